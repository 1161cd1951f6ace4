"""Sending in batches, every entry's answer looked at."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from producer.batches import ATTEMPTS, settle
from producer.enqueue import WorkQueue
from producer.plan import Decision
from shared.errors import AccessDeniedError, SettingsError
from shared.messages import MAX_MESSAGE_BYTES, MatrixReference, ProjectMessage
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error, fail_entries
from tests.faults.rules import sqs_call, when

Work = Callable[[], list[dict[str, Any]]]


def _due(project_id: str, matrices: int = 1, padding: int = 0) -> Decision:
    references = tuple(MatrixReference(uri=f"s3://b/{number}{'x' * padding}") for number in range(matrices))
    message = ProjectMessage(
        schema_version=1, project_id=project_id, matrices=references, requested_at=datetime(2026, 11, 22, tzinfo=UTC)
    )
    return Decision(project_id, "due", message=message)


@pytest.fixture
def flaky_sqs(faulty: FaultyServer) -> Iterator[SQSClient]:
    """A client whose calls go through the faulty server."""
    client = boto3.client("sqs", endpoint_url=faulty.address)
    yield client
    client.close()


def test_what_is_due_arrives_in_batches_of_ten_and_the_rest_passes_by(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack, work: Work
) -> None:
    passing = Decision("p-old", "up_to_date")
    decisions = [_due(f"p{number}") for number in range(21)]
    found = list(WorkQueue(flaky_sqs, stack.queue_url).deliver([*decisions[:5], passing, *decisions[5:]]))
    assert Counter(each.outcome for each in found) == {"enqueued": 21, "up_to_date": 1}
    assert faulty.calls("SendMessageBatch") == 3
    assert {message["project_id"] for message in work()} == {f"p{number}" for number in range(21)}


def test_large_messages_share_no_batch_that_sqs_would_refuse(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack
) -> None:
    decisions = [_due(f"p{number}", matrices=400, padding=1_000) for number in range(5)]
    size = len(decisions[0].message.body()) if decisions[0].message else 0
    assert MAX_MESSAGE_BYTES / 3 < size < MAX_MESSAGE_BYTES / 2
    found = list(WorkQueue(flaky_sqs, stack.queue_url).deliver(decisions))
    assert [each.outcome for each in found] == ["enqueued"] * 5
    assert faulty.calls("SendMessageBatch") == 3


def test_an_entry_that_the_service_dropped_is_sent_again_alone_after_growing_pauses(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack, work: Work
) -> None:
    # given a service that drops p1 twice
    dropped: list[str] = []

    def drops(entry: dict[str, Any]) -> bool:
        if '"p1"' not in entry["MessageBody"] or len(dropped) == 2:
            return False
        dropped.append(entry["Id"])
        return True

    faulty.rules.append(when(sqs_call("SendMessageBatch"), fail_entries(drops, sender_fault=False)))
    # when three are sent
    pauses: list[float] = []
    found = list(WorkQueue(flaky_sqs, stack.queue_url, pauses.append).deliver([_due(f"p{n}") for n in range(3)]))
    # then all arrive, each once
    assert [each.outcome for each in found] == ["enqueued"] * 3
    assert sorted(message["project_id"] for message in work()) == ["p0", "p1", "p2"]
    assert len(pauses) == 2


def test_an_entry_that_stays_dropped_fails_by_itself(flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack) -> None:
    faulty.rules.append(
        when(
            sqs_call("SendMessageBatch"), fail_entries(lambda entry: '"p1"' in entry["MessageBody"], sender_fault=False)
        )
    )
    found = list(WorkQueue(flaky_sqs, stack.queue_url, lambda _pause: None).deliver([_due("p0"), _due("p1")]))
    assert [each.outcome for each in found] == ["enqueued", "failed"]
    assert found[1].code == "publish_failed"
    assert "ToldToFail: as told" in found[1].reason
    assert faulty.calls("SendMessageBatch") == ATTEMPTS


def test_what_was_taken_counts_though_the_queue_refuses_the_rest_later(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack, work: Work
) -> None:
    # given a queue that drops p1, and after that takes no calls at all
    def closes(entry: dict[str, Any]) -> bool:
        faulty.rules.insert(0, when(sqs_call("SendMessageBatch"), error(403, "AccessDenied")))
        return '"p1"' in entry["MessageBody"]

    faulty.rules.append(when(sqs_call("SendMessageBatch"), fail_entries(closes, sender_fault=False)))
    found = list(WorkQueue(flaky_sqs, stack.queue_url, lambda _pause: None).deliver([_due("p0"), _due("p1")]))
    assert [each.outcome for each in found] == ["enqueued", "failed"]
    assert "AccessDenied" in found[1].reason
    assert [message["project_id"] for message in work()] == ["p0"]


def test_an_entry_refused_for_its_own_fault_is_not_sent_again(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack
) -> None:
    faulty.rules.append(
        when(
            sqs_call("SendMessageBatch"), fail_entries(lambda entry: '"p1"' in entry["MessageBody"], sender_fault=True)
        )
    )
    found = list(WorkQueue(flaky_sqs, stack.queue_url).deliver([_due("p0"), _due("p1")]))
    assert [each.outcome for each in found] == ["enqueued", "failed"]
    assert faulty.calls("SendMessageBatch") == 1


def test_a_queue_that_refuses_the_call_ends_the_sending_with_its_batch_told(
    flaky_sqs: SQSClient, faulty: FaultyServer, stack: Stack
) -> None:
    faulty.rules.append(when(sqs_call("SendMessageBatch"), error(403, "AccessDenied")))
    stream = WorkQueue(flaky_sqs, stack.queue_url).deliver(_due(f"p{number}") for number in range(30))
    told = [next(stream) for _ in range(10)]
    assert {(each.outcome, each.code) for each in told} == {("failed", "access_denied")}
    with pytest.raises(AccessDeniedError, match="sending to the work queue"):
        next(stream)
    assert faulty.calls("SendMessageBatch") == 1


def test_a_queue_that_is_not_there_is_a_wrong_setting(sqs: SQSClient, stack: Stack) -> None:
    with pytest.raises(SettingsError, match="DPSS_QUEUE_URL"):
        list(WorkQueue(sqs, stack.queue_url + "-not-there").deliver([_due("p")]))


@given(st.lists(st.sampled_from(["taken", "refused", "dropped", "forgotten"]), min_size=1, max_size=10), st.data())
def test_every_entry_of_a_batch_is_settled_or_told(fates: list[str], data: st.DataObject) -> None:
    """A fate holds for one call; a later one may differ, but what was taken or refused is not sent again."""
    fate = {str(number): each for number, each in enumerate(fates)}
    settled: set[str] = set()

    def call(entries: Any) -> dict[str, Any]:
        answer: dict[str, Any] = {"Successful": [], "Failed": []}
        for entry in entries:
            assert entry["Id"] not in settled
            match fate[entry["Id"]]:
                case "taken":
                    settled.add(entry["Id"])
                    answer["Successful"].append({"Id": entry["Id"]})
                case "refused" | "dropped" as kind:
                    settled.update({entry["Id"]} if kind == "refused" else ())
                    answer["Failed"].append({"Id": entry["Id"], "Code": kind, "SenderFault": kind == "refused"})
                case _:
                    pass
            if fate[entry["Id"]] in {"dropped", "forgotten"}:
                fate[entry["Id"]] = data.draw(st.sampled_from(["taken", "refused", "dropped"]))
        return answer

    failures = settle(call, [{"Id": each} for each in fate], lambda _pause: None)
    unsettled = set(fate) - settled
    assert {each for each, failure in failures.items() if not failure.sender_fault} == unsettled
    assert {each for each, failure in failures.items() if failure.sender_fault} <= settled
