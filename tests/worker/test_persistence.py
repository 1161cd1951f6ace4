"""Calls that are made again: which faults, how often, and for how long."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from tests.faults.proxy import FaultyServer, Reaction
from tests.faults.reactions import error, say
from tests.faults.rules import first, s3_call, sqs_call, when
from tests.faults.weather import KINDS
from tests.worker.shelf import Shelf
from worker.objects import Bucket
from worker.persistence import CLIENT_OPTIONS, TRIES, persist

PASSING = {kind: reaction for kind, reaction in KINDS.items() if kind != "hang"} | {
    "throttled": error(400, "ThrottlingException"),
    "no AWS answer": say(502, b"<html>Bad Gateway</html>"),
}
NOWHERE = EndpointConnectionError(endpoint_url="http://nowhere")
BUSY = ClientError({"Error": {"Code": "SlowDown"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "GetObject")  # type: ignore[typeddict-item]
REFUSED = ClientError({"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "GetObject")  # type: ignore[typeddict-item]


class Call:
    """Raises what it is told, one after the other, then gives how often it was made."""

    def __init__(self, *errors: Exception) -> None:
        self.made = 0
        self._errors = errors

    async def __call__(self) -> int:
        self.made += 1
        if self.made <= len(self._errors):
            raise self._errors[self.made - 1]
        return self.made


@pytest.fixture
def server(aws: str) -> Iterator[FaultyServer]:
    with FaultyServer(aws) as server:
        yield server


def test_what_passes_is_tried_again() -> None:
    assert asyncio.run(persist(Call(NOWHERE, BUSY, TimeoutError()))) == 4


@pytest.mark.parametrize("error", [REFUSED, ParamValidationError(report="no"), ZeroDivisionError()])
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        asyncio.run(persist(call))
    assert call.made == 1


@pytest.mark.parametrize(
    ("worth_it", "tries", "made"),
    [(lambda: True, 2, 2), (lambda: False, TRIES, 1), (lambda: False, None, 1)],
    ids=["enough tries", "not worth it", "not worth it without a limit"],
)
def test_the_last_fault_is_raised_when_there_is_no_use(
    worth_it: Callable[[], bool], tries: int | None, made: int
) -> None:
    call = Call(*[NOWHERE] * 20)
    with pytest.raises(EndpointConnectionError):
        asyncio.run(persist(call, worth_it, tries))
    assert call.made == made


@pytest.mark.parametrize("reaction", PASSING.values(), ids=PASSING.keys())
def test_an_object_is_read_and_written_whatever_fails_once(
    server: FaultyServer, s3: S3Client, stack: Stack, reaction: Reaction
) -> None:
    shelf = Shelf(server, s3, stack.figure_bucket)
    body = bytes(range(256)) * 4_000
    server.rules += [when(first(1, s3_call(method=method)), reaction) for method in ("PUT", "GET", "DELETE")]

    async def work(bucket: Bucket) -> bytes:
        await bucket.write("k.json", body, lambda: True)
        stored = await bucket.read("k.json")
        await bucket.delete("k.json", lambda: True)
        assert stored
        return stored.body

    assert shelf.run(work) == body
    assert [len(server.sent(s3_call(method=method))) for method in ("PUT", "GET", "DELETE")] == [2, 2, 2]
    assert shelf.objects() == set()


@pytest.mark.parametrize("reaction", PASSING.values(), ids=PASSING.keys())
def test_a_message_is_sent_whatever_fails_once(
    server: FaultyServer, sqs: SQSClient, stack: Stack, reaction: Reaction
) -> None:
    server.rules.append(when(first(1, sqs_call("SendMessage")), reaction))

    async def work() -> None:
        config = AioConfig(**CLIENT_OPTIONS)
        async with get_session().create_client("sqs", endpoint_url=server.address, config=config) as client:
            await persist(lambda: client.send_message(QueueUrl=stack.queue_url, MessageBody="m"))

    asyncio.run(work())
    assert server.calls("SendMessage") == 2
    assert "Messages" in sqs.receive_message(QueueUrl=stack.queue_url, WaitTimeSeconds=0)
