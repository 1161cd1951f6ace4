"""Calls that are made again: which faults, how often, and for how long."""

import asyncio
import math
import socket
import time
from collections.abc import Iterator

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
from worker.holding import LeaseLostError
from worker.objects import Bucket
from worker.persistence import CLIENT_OPTIONS, persist

PASSING = {kind: reaction for kind, reaction in KINDS.items() if kind != "hang"} | {
    "throttled": error(400, "ThrottlingException"),
    "no AWS answer": say(502, b"<html>Bad Gateway</html>"),
    "no text": say(500, b"\xff\xfe\xfa"),
    "JSON of another kind": say(500, b"[]"),
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


@pytest.mark.parametrize("error", [REFUSED, ParamValidationError(report="no"), LeaseLostError()])
def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    call = Call(error)
    with pytest.raises(type(error)):
        asyncio.run(persist(call))
    assert call.made == 1


def test_an_answer_that_the_client_stumbles_over_is_a_fault_like_others() -> None:
    assert asyncio.run(persist(Call(AttributeError("'list' object has no attribute 'get'")))) == 2


def test_the_last_fault_is_raised_when_patience_is_at_its_end() -> None:
    call = Call(*[NOWHERE] * 20)
    with pytest.raises(EndpointConnectionError):
        asyncio.run(persist(call, patience=0))
    assert call.made == 1


def test_nothing_is_asked_once_the_message_is_lost() -> None:
    call = Call(NOWHERE)
    with pytest.raises(LeaseLostError):
        asyncio.run(persist(call, lambda: 1.0 if call.made == 0 else 0.0, patience=math.inf))
    assert call.made == 1


def test_an_attempt_that_hangs_is_given_up_and_made_again() -> None:
    made = []

    async def hang_once() -> int:
        made.append(1)
        if len(made) == 1:
            await asyncio.Event().wait()
        return len(made)

    assert asyncio.run(persist(hang_once, seconds=0.05)) == 2


@pytest.mark.usefixtures("aws")
def test_an_upload_to_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"

        async def work() -> None:
            config = AioConfig(**CLIENT_OPTIONS)
            async with get_session().create_client("s3", endpoint_url=address, config=config) as client:
                ends = time.monotonic() + 1
                bucket = Bucket(client, "bucket", attempt_seconds=0.2)
                await bucket.write("k.json", bytes(10_000_000), lambda: max(0.0, ends - time.monotonic()))

        with pytest.raises(LeaseLostError):
            asyncio.run(work())


@pytest.mark.parametrize("reaction", PASSING.values(), ids=PASSING.keys())
def test_an_object_is_read_and_written_whatever_fails_once(
    server: FaultyServer, s3: S3Client, stack: Stack, reaction: Reaction
) -> None:
    shelf = Shelf(server, s3, stack.figure_bucket)
    body = bytes(range(256)) * 4_000
    server.rules += [when(first(1, s3_call(method=method)), reaction) for method in ("PUT", "GET", "DELETE")]

    async def work(bucket: Bucket) -> bytes:
        await bucket.write("k.json", body, lambda: math.inf)
        stored = await bucket.read("k.json")
        await bucket.delete("k.json", lambda: math.inf)
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
