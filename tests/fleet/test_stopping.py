"""What a worker does with what it has in hand when it is told to stop."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.faults.gate import holding
from tests.faults.proxy import Exchange
from tests.faults.reactions import error
from tests.faults.rules import first, sqs_call, when
from tests.fleet.conftest import PATIENCE_SECONDS, Command, Site, depth, eventually, handles, letters, outliving, site
from tests.fleet.through import POLL, Far, far_worker, key_of, place, reads, send
from tests.tiny import Tiny

DELETE = sqs_call("DeleteMessage")
IDLE_STOP_SECONDS = 2
RELEASE_SECONDS = 5
"""From the end of the grace to the exit."""
LONG_SECONDS = 600
"""A lease that no test waits for, and a grace."""


@pytest.fixture
def here(aws: str, tmp_path: Path) -> Iterator[Site]:
    with site(aws, tmp_path) as made:
        yield made


def start(site: Site, grace: int = LONG_SECONDS) -> AbstractContextManager[Far]:
    return far_worker(site, DPSS_VISIBILITY_SECONDS=str(LONG_SECONDS), DPSS_SHUTDOWN_GRACE_SECONDS=str(grace))


def tell(command: Command, number: signal.Signals = signal.SIGTERM) -> float:
    """Send a signal; gives the time."""
    command.process.send_signal(number)
    return time.monotonic()


def left_in(scratch: Path) -> list[str]:
    return [path.name for path in scratch.rglob("*")]


def test_an_idle_worker_told_to_stop_exits_well_within_two_seconds(here: Site) -> None:
    with start(here) as far:
        far.polls()
        told = tell(far.command)
        assert far.command.wait() == 0
        assert time.monotonic() - told < IDLE_STOP_SECONDS
    assert left_in(here.scratch) == []


@pytest.mark.parametrize("known_by", ["started", "warm.pid"], ids=["at its start", "while it imports"])
def test_a_worker_told_to_stop_before_it_is_warm_leaves_nothing(here: Site, known_by: str) -> None:
    with start(here) as far:
        eventually(lambda: far.command.said(known_by) or list(here.scratch.glob(f"*/{known_by}")), known_by)
        with handles(far.command.family()) as family:
            told = tell(far.command)
            assert far.command.wait() == 0
            assert time.monotonic() - told < IDLE_STOP_SECONDS
            assert outliving(family, IDLE_STOP_SECONDS) == set()
        assert far.server.calls("ReceiveMessage") == 0
    assert left_in(here.scratch) == []


def test_a_message_that_comes_with_the_last_poll_is_visible_at_once(here: Site, tiny: dict[str, Tiny]) -> None:
    send(here, place(here, "late", tiny["lung"].contents))
    with start(here) as far, holding(far.server, POLL, answers=True) as gate:
        eventually(lambda: far.server.calls("ReceiveMessage"), "a poll")
        gate.held()
        assert depth(here.sqs, here.stack.queue_url) == (0, 1)
        told = tell(far.command)
        eventually(lambda: far.command.said("stopping"), "the worker's obedience")
        gate.open()
        assert far.command.wait() == 0
        assert time.monotonic() - told < IDLE_STOP_SECONDS
        assert far.command.said("released")
    assert depth(here.sqs, here.stack.queue_url) == (1, 0)


def test_a_project_that_ends_within_the_grace_is_published_and_acknowledged(here: Site, tiny: dict[str, Tiny]) -> None:
    with start(here) as far, holding(far.server, reads(key_of("punctual"))) as gate:
        far.server.rules.append(when(first(2, DELETE), error(503, "ServiceUnavailable")))
        far.polls()
        send(here, place(here, "punctual", tiny["lung"].contents))
        gate.held()
        tell(far.command)
        eventually(lambda: far.command.said("stopping"), "the worker's obedience")
        gate.open()
        assert far.command.wait() == 0
        assert far.server.calls("DeleteMessage") == 3
    assert here.published("punctual")
    assert depth(here.sqs, here.stack.queue_url) == (0, 0)


def test_finished_work_is_acknowledged_even_when_told_twice_to_stop(here: Site, tiny: dict[str, Tiny]) -> None:
    asked, told = threading.Event(), threading.Event()

    def fail_late(exchange: Exchange) -> None:
        asked.set()
        told.wait(PATIENCE_SECONDS)
        error(503, "ServiceUnavailable")(exchange)

    with start(here) as far:
        far.server.rules.append(when(first(1, DELETE), fail_late))
        send(here, place(here, "done", tiny["lung"].contents))
        assert asked.wait(PATIENCE_SECONDS)
        tell(far.command)
        eventually(lambda: far.command.said("stopping"), "the worker's obedience")
        tell(far.command)
        eventually(lambda: far.command.said("releasing"), "the worker's obedience")
        told.set()
        assert far.command.wait() == 0
        assert far.server.calls("DeleteMessage") == 2
    assert here.published("done")
    assert depth(here.sqs, here.stack.queue_url) == (0, 0)


@pytest.mark.parametrize(
    ("grace", "signals"),
    [
        (1, [signal.SIGTERM]),
        (LONG_SECONDS, [signal.SIGTERM, signal.SIGTERM]),
        (LONG_SECONDS, [signal.SIGINT]),
    ],
    ids=["the grace is over", "told twice", "Ctrl-C"],
)
def test_a_project_that_does_not_end_is_released(
    here: Site, tiny: dict[str, Tiny], grace: int, signals: list[signal.Signals]
) -> None:
    with start(here, grace) as far, holding(far.server, reads(key_of("endless"))) as gate:
        far.polls()
        send(here, place(here, "endless", tiny["lung"].contents))
        gate.held()
        children = far.command.children()
        assert children
        with handles(children) as running:
            for number in signals:
                told = tell(far.command, number)
                eventually(lambda: far.command.said("stopping") or far.command.said("releasing"), "its obedience")
            assert far.command.wait() == 0
            waited = time.monotonic() - told
            assert outliving(running, 0) == set()
        assert waited < RELEASE_SECONDS + (grace if grace < LONG_SECONDS else 0)
        assert far.command.said("released")
        assert far.server.calls("DeleteMessage") == 0
    assert "Messages" in here.sqs.receive_message(QueueUrl=here.stack.queue_url, WaitTimeSeconds=0)
    assert here.published("endless") is None
    assert left_in(here.scratch) == []


def test_a_project_released_at_its_last_attempt_is_not_buried(aws: str, tmp_path: Path, tiny: dict[str, Tiny]) -> None:
    with site(aws, tmp_path, max_receive_count=1) as here:
        with start(here, 0) as far, holding(far.server, reads(key_of("healthy"))) as gate:
            far.polls()
            send(here, place(here, "healthy", tiny["lung"].contents))
            gate.held()
            tell(far.command)
            assert far.command.wait() == 0
        assert depth(here.sqs, here.stack.queue_url) == (1, 0)
        found = here.sqs.receive_message(QueueUrl=here.stack.queue_url, MessageSystemAttributeNames=["All"])
        assert [message["Attributes"]["ApproximateReceiveCount"] for message in found["Messages"]] == ["1"]
        assert letters(here.sqs, here.stack) == []
