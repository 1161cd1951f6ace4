"""Dead letters back to work."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from producer.dead_letters import DeadLetter, DeadLetterQueue
from producer.replay import Pace, Selection, parse_rate, replay, sender
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error
from tests.faults.rules import sqs_call, when
from tests.producer.conftest import Command
from tests.producer.letters import bury, message_body, visible

Received = list[Any]


@pytest.fixture
def returned(sqs: SQSClient, stack: Stack) -> Callable[[], Received]:
    """Take everything off the work queue, with attributes."""

    def take() -> Received:
        taken: Received = []
        while batch := sqs.receive_message(
            QueueUrl=stack.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0, MessageAttributeNames=["All"]
        ).get("Messages"):
            taken += batch
        return taken

    return take


def test_a_letter_goes_back_byte_for_byte_and_says_that_it_is_a_replay(
    dpss: Command, sqs: SQSClient, stack: Stack, returned: Callable[[], Received]
) -> None:
    body = ' {"project_id": "p1",\t"é": "\u2028"}\r\n'
    bury(sqs, stack, body, "timeout", trace="kept")
    done = dpss("dlq", "replay", "--json")
    assert done.code == 0
    assert done.summary == {"replayed": 1, "skipped": 0, "failed": 0, "not_deleted": 0, "dry_run": False}
    (message,) = returned()
    assert message["Body"] == body
    assert {name: value["StringValue"] for name, value in message["MessageAttributes"].items()} == {
        "dpss.requested_by": "replay",
        "trace": "kept",
    }
    assert visible(sqs, stack.dlq_url) == 0


def test_projects_and_reasons_select_together_and_the_rest_is_visible_again(
    dpss: Command, sqs: SQSClient, stack: Stack, returned: Callable[[], Received]
) -> None:
    for project_id in ("p1", "p2", "p3"):
        for reason in ("timeout", "out_of_memory", ""):
            bury(sqs, stack, message_body(project_id), reason)
    selected = ["--project", "p1", "--project", "p2", "--reason", "timeout", "--reason", "crashed"]
    done = dpss("dlq", "replay", *selected)
    assert done.code == 0
    assert sorted(message["Body"] for message in returned()) == sorted(map(message_body, ["p1", "p1", "p2", "p2"]))
    assert visible(sqs, stack.dlq_url) == 5
    counts = dict(line.rsplit(maxsplit=1) for line in done.out.splitlines() if line.strip().endswith(("4", "5")))
    assert {name.strip(): count for name, count in counts.items()} == {"replayed": "4", "skipped": "5"}


def test_a_dry_run_names_what_it_would_send_and_moves_nothing(dpss: Command, sqs: SQSClient, stack: Stack) -> None:
    message_id = bury(sqs, stack, message_body("p1"), "timeout")
    done = dpss("dlq", "replay", "--dry-run")
    assert f"would be replayed: {message_id} p1 timeout" in done.out
    assert visible(sqs, stack.dlq_url) == 1
    assert visible(sqs, stack.queue_url) == 0


def test_a_limit_ends_the_replay(dpss: Command, sqs: SQSClient, stack: Stack) -> None:
    for number in range(12):
        bury(sqs, stack, message_body(f"p{number}"), "timeout")
    assert dpss("dlq", "replay", "--limit", "3", "--rate", "100/s", "--json").summary["replayed"] == 3
    assert visible(sqs, stack.queue_url) == 3
    assert visible(sqs, stack.dlq_url) == 9


def test_what_fails_again_meanwhile_is_not_replayed_in_a_circle(sqs: SQSClient, stack: Stack) -> None:
    # given workers that bury each message again as soon as it is sent
    for number in range(3):
        bury(sqs, stack, message_body(f"p{number}"), "timeout")
    start = datetime.now(UTC)
    send = sender(sqs, stack.queue_url, Pace(None))

    def buried_again(letter: DeadLetter) -> None:
        send(letter)
        bury(sqs, stack, letter.body, "timeout")

    # when all are replayed
    with DeadLetterQueue(sqs, stack.dlq_url) as box:
        outcomes = [each.outcome for each in replay(box, buried_again, Selection(start), None)]
    # then each went once
    assert sorted(outcomes) == ["replayed"] * 3 + ["skipped"] * 3
    assert visible(sqs, stack.queue_url) == 3
    assert visible(sqs, stack.dlq_url) == 3


def test_a_letter_that_cannot_be_sent_stays(dpss: Command, sqs: SQSClient, stack: Stack, faulty: FaultyServer) -> None:
    message_id = bury(sqs, stack, message_body("p1"), "timeout")
    faulty.rules.append(when(sqs_call("SendMessage"), error(403, "AccessDenied")))
    done = dpss("dlq", "replay", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith(f"access_denied: {message_id}: sending to the work queue")
    assert faulty.calls("DeleteMessage") == 0
    assert visible(sqs, stack.dlq_url) == 1


def test_a_letter_that_was_sent_but_not_deleted_is_told(
    dpss: Command, sqs: SQSClient, stack: Stack, faulty: FaultyServer
) -> None:
    message_id = bury(sqs, stack, message_body("p1"), "timeout")
    faulty.rules.append(when(sqs_call("DeleteMessage"), error(403, "AccessDenied")))
    done = dpss("dlq", "replay", "--json", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith(f"access_denied: {message_id}: sent, but deleting the letter")
    assert done.summary == {"replayed": 0, "skipped": 0, "failed": 0, "not_deleted": 1, "dry_run": False}
    assert visible(sqs, stack.queue_url) == visible(sqs, stack.dlq_url) == 1


def test_a_letter_sent_later_than_the_start_is_not_selected() -> None:
    letter = DeadLetter("id", "handle", "", {}, {"SentTimestamp": "1500"})
    sent_at = datetime.fromtimestamp(1.5, UTC)
    assert Selection(sent_at).takes(letter)
    assert not Selection(sent_at - timedelta(milliseconds=1)).takes(letter)


def test_steps_keep_their_distance_and_a_slow_step_is_not_made_up_for() -> None:
    time = 100.0
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal time
        pauses.append(seconds)
        time += seconds

    pace = Pace(4, clock=lambda: time, sleep=sleep)
    for _ in range(3):
        pace.wait()
    time += 10
    pace.wait()
    pace.wait()
    assert pauses == [0.25, 0.25, 0.25]


@pytest.mark.parametrize(("text", "rate"), [("5", 5.0), ("5/s", 5.0), (" 0.5/s", 0.5)])
def test_a_rate_is_read(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "0", "-1", "5/m", "nan", "inf", "1e3", "5 /s"])
def test_a_rate_that_is_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(ValueError, match="no rate above zero"):
        parse_rate(text)
