"""The faulty server itself, between real clients and the embedded AWS."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import boto3
import pytest
from aiobotocore.session import get_session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from tests.faults.gate import holding
from tests.faults.proxy import Exchange, FaultyServer, Reaction, Request
from tests.faults.reactions import cut, cut_midway, error, hang, lose_answer, pass_on, reset
from tests.faults.rules import first, nth, s3_call, sqs_call, when
from tests.faults.weather import KINDS, Weather

ONE_ATTEMPT = Config(
    connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1}, max_pool_connections=50
)
LARGE = bytes(range(256)) * 12_000
"""3 MB."""


@pytest.fixture
def server(aws: str) -> Iterator[FaultyServer]:
    with FaultyServer(aws) as server:
        yield server


@pytest.fixture
def far_s3(server: FaultyServer) -> Iterator[S3Client]:
    """S3 behind the faulty server, asked once a call."""
    client = boto3.client("s3", endpoint_url=server.address, config=ONE_ATTEMPT)
    yield client
    client.close()


@pytest.fixture
def far_sqs(server: FaultyServer) -> Iterator[SQSClient]:
    """SQS behind the faulty server, asked once a call."""
    client = boto3.client("sqs", endpoint_url=server.address, config=ONE_ATTEMPT)
    yield client
    client.close()


def is_there(s3: S3Client, stack: Stack, key: str) -> bool:
    return "Contents" in s3.list_objects_v2(Bucket=stack.figure_bucket, Prefix=key)


def code_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["ResponseMetadata"]["HTTPStatusCode"], caught.value.response["Error"]["Code"]


def test_large_objects_and_everything_said_of_them_pass_unharmed(far_s3: S3Client, stack: Stack) -> None:
    key = "folder/a b+c?ä.png"
    far_s3.put_object(Bucket=stack.figure_bucket, Key=key, Body=LARGE, ContentType="image/png", Metadata={"a": "b"})
    head = far_s3.head_object(Bucket=stack.figure_bucket, Key=key)
    assert (head["ContentLength"], head["ContentType"], head["Metadata"]) == (len(LARGE), "image/png", {"a": "b"})
    assert far_s3.get_object(Bucket=stack.figure_bucket, Key=key)["Body"].read() == LARGE
    part = far_s3.get_object(Bucket=stack.figure_bucket, Key=key, Range="bytes=1000000-", IfMatch=head["ETag"])
    assert part["Body"].read() == LARGE[1_000_000:]
    assert [entry["Key"] for entry in far_s3.list_objects_v2(Bucket=stack.figure_bucket)["Contents"]] == [key]
    far_s3.delete_object(Bucket=stack.figure_bucket, Key=key)
    assert code_of(lambda: far_s3.head_object(Bucket=stack.figure_bucket, Key=key)) == (404, "404")


def test_an_upload_on_a_condition_that_does_not_hold_is_refused_as_ever(far_s3: S3Client, stack: Stack) -> None:
    far_s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=b"1", IfNoneMatch="*")
    second = code_of(lambda: far_s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=b"2", IfNoneMatch="*"))
    assert second == (412, "PreconditionFailed")


def test_a_queue_is_reached_through_the_server_though_its_address_names_another(
    server: FaultyServer, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given what a process of the fleet is told
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    assert server.address not in stack.queue_url

    # when it calls by boto3 and by aiobotocore
    async def receive() -> list[str]:
        async with get_session().create_client("sqs") as client:
            answer = await client.receive_message(QueueUrl=stack.queue_url)
            return [message["Body"] for message in answer["Messages"]]

    with closing(boto3.client("sqs")) as client:
        client.send_message(QueueUrl=stack.queue_url, MessageBody="ä")
    # then both come by here
    assert asyncio.run(receive()) == ["ä"]
    assert [request.action for request in server.requests] == ["SendMessage", "ReceiveMessage"]


def test_a_poll_waits_for_its_message_and_keeps_nobody_waiting(
    far_sqs: SQSClient, far_s3: S3Client, sqs: SQSClient, server: FaultyServer, stack: Stack
) -> None:
    with ThreadPoolExecutor() as threads:
        polls = [
            threads.submit(far_sqs.receive_message, QueueUrl=stack.queue_url, WaitTimeSeconds=4, MaxNumberOfMessages=1)
            for _ in range(4)
        ]
        while server.calls("ReceiveMessage") < 4:
            far_s3.head_bucket(Bucket=stack.figure_bucket)
        assert not any(poll.done() for poll in polls)
        for number in range(4):
            sqs.send_message(QueueUrl=stack.queue_url, MessageBody=str(number))
        bodies = [message["Body"] for poll in polls for message in poll.result().get("Messages", [])]
    assert len(bodies) == len(set(bodies)) >= 3, "moto may hand one message to two"


def test_a_connection_is_used_again(far_s3: S3Client, server: FaultyServer, stack: Stack) -> None:
    for _ in range(3):
        far_s3.head_bucket(Bucket=stack.figure_bucket)
    assert len({request.client for request in server.requests}) == 1


def test_an_error_is_told_in_the_words_of_its_service(
    far_s3: S3Client, far_sqs: SQSClient, server: FaultyServer, stack: Stack
) -> None:
    server.rules += [
        when(s3_call(method="PUT", ends=".png"), error(403, "AccessDenied")),
        when(sqs_call(), error(503, "ServiceUnavailable")),
    ]
    refused = code_of(lambda: far_s3.put_object(Bucket=stack.figure_bucket, Key="a.png", Body=b""))
    assert refused == (403, "AccessDenied")
    assert code_of(lambda: far_sqs.receive_message(QueueUrl=stack.queue_url))[0] == 503
    far_s3.put_object(Bucket=stack.figure_bucket, Key="a.tsv", Body=b"")


@pytest.mark.parametrize(
    ("reaction", "done"),
    [(cut, 0), (reset, 0), (lose_answer, 1), (cut_midway, 1)],
    ids=["cut", "reset", "answer lost", "answer cut"],
)
def test_a_connection_that_ends_leaves_the_call_done_or_not(
    reaction: Reaction, done: int, far_s3: S3Client, s3: S3Client, server: FaultyServer, stack: Stack
) -> None:
    with server.imposed(when(s3_call("/k"), reaction)), pytest.raises(BotoCoreError):
        far_s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=b"1")
    assert is_there(s3, stack, "k") == done
    far_s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=b"1")


def test_a_download_can_end_in_the_middle(far_s3: S3Client, s3: S3Client, server: FaultyServer, stack: Stack) -> None:
    s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=LARGE)
    server.rules.append(when(s3_call("/k"), cut_midway))
    body = far_s3.get_object(Bucket=stack.figure_bucket, Key="k")["Body"]
    assert body.read(len(LARGE) // 2) == LARGE[: len(LARGE) // 2]
    with pytest.raises(BotoCoreError):
        body.read()


def test_a_request_that_hangs_ends_when_the_client_gives_up(server: FaultyServer, stack: Stack) -> None:
    over = threading.Event()

    def hangs(exchange: Exchange) -> None:
        hang(60)(exchange)
        over.set()

    server.rules.append(when(s3_call(), hangs))
    hasty = Config(read_timeout=0.2, retries={"total_max_attempts": 1})
    client = boto3.client("s3", endpoint_url=server.address, config=hasty)
    with pytest.raises(ReadTimeoutError):
        client.head_bucket(Bucket=stack.figure_bucket)
    client.close()
    assert over.wait(5)


def test_closing_ends_what_hangs_and_what_polls(aws: str, stack: Stack) -> None:
    with ThreadPoolExecutor() as threads:
        with FaultyServer(aws) as server:
            server.rules.append(when(s3_call(), hang(60)))
            sqs = boto3.client("sqs", endpoint_url=server.address, config=ONE_ATTEMPT)
            s3 = boto3.client("s3", endpoint_url=server.address, config=ONE_ATTEMPT)
            poll = threads.submit(sqs.receive_message, QueueUrl=stack.queue_url, WaitTimeSeconds=20)
            look = threads.submit(s3.head_bucket, Bucket=stack.figure_bucket)
            while len(server.requests) < 2:
                time.sleep(0.01)
        for call in (poll, look):
            assert isinstance(call.exception(), BotoCoreError)
            assert not isinstance(call.exception(), ReadTimeoutError)
        for client in (sqs, s3):
            client.close()


def test_a_gate_holds_a_request_until_it_is_opened(
    far_sqs: SQSClient, sqs: SQSClient, server: FaultyServer, stack: Stack
) -> None:
    with ThreadPoolExecutor() as threads, holding(server, sqs_call("SendMessage")) as gate:
        sending = threads.submit(far_sqs.send_message, QueueUrl=stack.queue_url, MessageBody="m")
        (request,) = gate.held()
        assert json.loads(request.body)["MessageBody"] == "m"
        assert "Messages" not in sqs.receive_message(QueueUrl=stack.queue_url, WaitTimeSeconds=0)
        gate.open()
        sending.result()
    assert "Messages" in sqs.receive_message(QueueUrl=stack.queue_url, WaitTimeSeconds=0)


def test_a_gate_for_answers_holds_what_is_done(
    far_s3: S3Client, s3: S3Client, server: FaultyServer, stack: Stack
) -> None:
    with ThreadPoolExecutor() as threads:
        with holding(server, s3_call("/k"), answers=True) as gate:
            putting = threads.submit(far_s3.put_object, Bucket=stack.figure_bucket, Key="k", Body=b"1")
            gate.held()
            assert is_there(s3, stack, "k")
            assert not putting.done()
        putting.result()


def test_only_some_of_the_requests_are_meant(far_s3: S3Client, server: FaultyServer, stack: Stack) -> None:
    server.rules += [
        when(nth(3, s3_call(method="HEAD")), error(500, "InternalError")),
        when(first(1, s3_call(method="HEAD")), error(503, "SlowDown")),
    ]
    seen = []
    for _ in range(4):
        try:
            seen.append(far_s3.head_bucket(Bucket=stack.figure_bucket)["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as refused:
            seen.append(refused.response["ResponseMetadata"]["HTTPStatusCode"])
    assert seen == [503, 200, 500, 200]


def test_requests_are_kept_in_order_with_time_and_origin(
    far_s3: S3Client, far_sqs: SQSClient, server: FaultyServer, stack: Stack
) -> None:
    far_s3.put_object(Bucket=stack.figure_bucket, Key="k", Body=b"1")
    far_sqs.send_message(QueueUrl=stack.queue_url, MessageBody="m")
    put, send = server.requests
    assert (put.service, put.method, put.path) == ("s3", "PUT", f"/{stack.figure_bucket}/k")
    assert (send.service, send.action) == ("sqs", "SendMessage")
    assert put.at < send.at
    assert put.client != send.client
    assert server.sent(s3_call(method="PUT")) == [put]


def test_bad_weather_fails_its_share_in_all_kinds_and_passes(
    far_s3: S3Client, server: FaultyServer, stack: Stack
) -> None:
    kinds = {kind: reaction for kind, reaction in KINDS.items() if kind != "hang"} | {"hang": hang(0.01)}
    weather = Weather(seed=1, share=0.5, kinds=kinds)
    server.rules.append(weather)
    failed = 0
    for number in range(80):
        try:
            far_s3.put_object(Bucket=stack.figure_bucket, Key=f"{number}", Body=b"1")
        except (BotoCoreError, ClientError):
            failed += 1
    assert failed == weather.injected.total()
    assert 25 < failed < 55
    assert weather.injected.keys() == KINDS.keys()
    weather.bad = False
    for _ in range(20):
        far_s3.head_bucket(Bucket=stack.figure_bucket)
    assert failed == weather.injected.total()


def test_equal_seeds_give_equal_weather() -> None:
    request = Request("GET", "/", "", b"", (), 1, 0.0)
    one, other, third = Weather(7), Weather(7), Weather(8)
    calm = [weather(request) is None for weather in (one, other, third) for _ in range(300)]
    assert calm[:300] == calm[300:600] != calm[600:]


def test_a_rule_that_raises_fails_the_test(aws: str, stack: Stack) -> None:
    def broken(_request: Request) -> Reaction:
        raise ZeroDivisionError

    with ExitStack() as block:
        server = block.enter_context(FaultyServer(aws))
        server.rules.append(broken)
        client = boto3.client("s3", endpoint_url=server.address, config=ONE_ATTEMPT)
        with pytest.raises(BotoCoreError):
            client.head_bucket(Bucket=stack.figure_bucket)
        client.close()
        with pytest.raises(ZeroDivisionError):
            block.close()


def test_many_connections_at_once_are_served(server: FaultyServer, far_s3: S3Client, stack: Stack) -> None:
    server.rules.append(when(s3_call(), pass_on))
    with ThreadPoolExecutor(40) as threads:
        answers = list(threads.map(lambda _: far_s3.head_bucket(Bucket=stack.figure_bucket), range(120)))
    assert len(answers) == len(server.requests) == 120
