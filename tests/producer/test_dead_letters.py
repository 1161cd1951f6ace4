"""Looking through the dead-letter queue."""

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import boto3
import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local import stack as stacks
from infra.local.stack import Stack
from producer.dead_letters import NO_REASON, DeadLetter, DeadLetterQueue
from shared.errors import SettingsError
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error, fail_entries
from tests.faults.rules import sqs_call, when
from tests.producer.conftest import Command
from tests.producer.letters import bury, message_body, visible

HOSTILE = "\x1b[2J[red]boo[/red]\u202e\x07"


@pytest.fixture
def flaky_sqs(faulty: FaultyServer) -> Iterator[SQSClient]:
    """A client whose calls go through the faulty server."""
    client = boto3.client("sqs", endpoint_url=faulty.address)
    yield client
    client.close()


def test_every_letter_is_seen_once_and_visible_again_afterwards(sqs: SQSClient, stack: Stack) -> None:
    sent = {bury(sqs, stack, message_body(f"p{number}"), "timeout") for number in range(23)}
    with DeadLetterQueue(sqs, stack.dlq_url) as box:
        seen = [letter.message_id for letter in box.letters()]
        assert visible(sqs, stack.dlq_url) == 0
    assert len(seen) == 23
    assert set(seen) == sent
    assert visible(sqs, stack.dlq_url) == 23


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_look_makes_letters_visible_again(
    error: type[BaseException], sqs: SQSClient, stack: Stack
) -> None:
    for number in range(12):
        bury(sqs, stack, message_body(f"p{number}"), "timeout")

    def look() -> None:
        with DeadLetterQueue(sqs, stack.dlq_url) as box:
            next(box.letters())
            raise error

    with pytest.raises(error):
        look()
    assert visible(sqs, stack.dlq_url) == 12


def test_a_release_that_fails_at_first_is_tried_again(
    flaky_sqs: SQSClient, faulty: FaultyServer, sqs: SQSClient, stack: Stack
) -> None:
    bury(sqs, stack, message_body("p1"), "timeout")
    failures = iter([True, True, False])
    faulty.rules.append(
        when(sqs_call("ChangeMessageVisibilityBatch"), fail_entries(lambda _entry: next(failures), sender_fault=False))
    )
    with DeadLetterQueue(flaky_sqs, stack.dlq_url, lambda _pause: None) as box:
        next(box.letters())
    assert visible(sqs, stack.dlq_url) == 1


def test_a_release_that_stays_refused_is_warned_of_and_hides_no_result(
    faulty: FaultyServer, dpss: Command, sqs: SQSClient, stack: Stack
) -> None:
    bury(sqs, stack, message_body("p1"), "timeout")
    faulty.rules.append(when(sqs_call("ChangeMessageVisibilityBatch"), error(403, "AccessDenied")))
    done = dpss("dlq", "list", "--json", AWS_ENDPOINT_URL=faulty.address)
    assert (done.code, done.summary["letters"]) == (0, 1)
    assert '"letters stay hidden for a while"' in done.err


def test_an_empty_queue_has_no_letters_and_a_missing_one_is_a_wrong_setting(dpss: Command, stack: Stack) -> None:
    done = dpss("dlq", "list")
    assert (done.code, done.out) == (0, "no dead letters\n")
    done = dpss("dlq", "list", DPSS_DLQ_URL=f"{stack.dlq_url}-not-there")
    assert done.code == 2
    assert "DPSS_DLQ_URL" in done.last_words


def test_a_queue_that_is_not_there_raises_a_settings_error(sqs: SQSClient, stack: Stack) -> None:
    with pytest.raises(SettingsError), DeadLetterQueue(sqs, f"{stack.dlq_url}-not-there") as box:
        next(box.letters())


def test_a_letter_that_sqs_moved_itself_is_told_as_a_crash(sqs: SQSClient, s3: S3Client) -> None:
    # given a message whose only attempt ends without a word
    stack = stacks.create(sqs, s3, f"test-{uuid.uuid4().hex[:12]}", max_receive_count=1)
    sqs.send_message(QueueUrl=stack.queue_url, MessageBody=message_body("p1"))
    for _ in range(2):
        sqs.receive_message(QueueUrl=stack.queue_url, VisibilityTimeout=0, WaitTimeSeconds=0)
    # when the letters are looked at
    with DeadLetterQueue(sqs, stack.dlq_url) as box:
        (letter,) = box.letters()
    # then it is one of them
    assert (letter.reason, letter.error, letter.project_id) == ("crashed", NO_REASON, "p1")
    assert letter.body == message_body("p1")
    assert abs((datetime.now(UTC) - letter.sent_at).total_seconds()) < 60


@pytest.mark.parametrize("body", ["", "no json", "[]", '{"project_id": 7}', "[" * 100_000, "1" * 5_000])
def test_a_body_that_names_no_project_has_none(body: str) -> None:
    assert DeadLetter("id", "handle", body).project_id == ""


def test_the_list_tells_each_letter_and_leaves_it_there(dpss: Command, sqs: SQSClient, stack: Stack) -> None:
    first = bury(sqs, stack, message_body("p1"), "corrupt_matrix", "matrix.mtx: line 7: cut short")
    second = bury(sqs, stack, "no json")
    done = dpss("dlq", "list")
    assert done.code == 0
    lines = {line.split()[0]: line for line in done.out.splitlines() if line.strip()}
    assert "p1  " in lines[first]
    for told in ("corrupt_matrix", "read", "2026-11-22T03:00:00Z", "matrix.mtx: line 7: cut short"):
        assert told in lines[first]
    assert "crashed" in lines[second]
    assert NO_REASON in lines[second]
    rows = {row["message_id"]: row for row in dpss("dlq", "list", "--json").rows}
    assert rows[first] == {
        "message_id": first,
        "project_id": "p1",
        "reason": "corrupt_matrix",
        "stage": "read",
        "attempts": "1",
        "failed_at": "2026-11-22T03:00:00Z",
        "error": "matrix.mtx: line 7: cut short",
    }
    assert visible(sqs, stack.dlq_url) == 2


def test_a_letter_is_shown_whole_with_hostile_text_literal(dpss: Command, sqs: SQSClient, stack: Stack) -> None:
    # SQS itself takes no escape character, JSON's own escape brings it in
    body = json.dumps({"project_id": "[bold]p1", "note": HOSTILE})
    message_id = bury(sqs, stack, body, "internal_error", "[red]é\u202e", trace="[link=x]y")
    done = dpss("dlq", "show", message_id)
    assert done.code == 0
    assert not any(c in done.out for c in "\x1b\x07\u202e")
    for told in ("[red]é\\u202e", "[bold]p1", "[link=x]y", "[red]boo[/red]", "SentTimestamp", "internal_error"):
        assert told in done.out
    shown = json.loads(dpss("dlq", "show", message_id, "--json").out)
    assert shown["body"] == body
    assert shown["attributes"]["trace"]["StringValue"] == "[link=x]y"
    listed = dpss("dlq", "list").out
    assert "[bold]p1" in listed
    assert "\u202e" not in listed
    assert visible(sqs, stack.dlq_url) == 1


def test_an_unknown_letter_is_told_in_one_line(dpss: Command) -> None:
    done = dpss("dlq", "show", "not-there\x1b[31m")
    assert done.code == 1
    assert done.last_words.startswith("invalid_message: no letter not-there\\x1b[31m is in the dead-letter queue")
    assert "Traceback" not in done.err
