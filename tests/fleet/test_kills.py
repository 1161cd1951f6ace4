"""Processes that die without a word: the worker, a project's child, and the process that children come from."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from tests.faults.proxy import Request
from tests.faults.reactions import hang
from tests.faults.rules import first, nth, s3_call, when
from tests.fleet.conftest import Command, Site, eventually, handles, outliving, site
from tests.tiny import Tiny
from worker.failures import FIRST_PAUSE_SECONDS

VISIBILITY_SECONDS = 5
OUTLIVE_SECONDS = 2
TAKING_SECONDS = 5
"""For a visible message to be taken by a worker that has nothing else to do, on a busy machine."""
HELD_SECONDS = 60
"""For a request whose client is killed long before."""


class Crew:
    """Two workers at a time, over one scratch folder; who was killed is followed by another."""

    def __init__(self, site: Site, block: ExitStack) -> None:
        self.site = site
        self.workers: list[Command] = []
        self._block = block

    def two(self) -> None:
        """Have two that poll the queue."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        names = [f"worker-{time.monotonic_ns()}-{number}" for number in range(2 - len(self.workers))]
        for name in names:
            settings = {"AWS_ACCESS_KEY_ID": name, "DPSS_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS)}
            self.workers.append(self._block.enter_context(self.site.fleet.worker(**settings)))
        for asks in map(polls_of, names):
            eventually(lambda asks=asks: self.site.server.sent(asks), "a worker's first poll")  # type: ignore[misc]

    def holder(self, message_id: str) -> tuple[Command, Command]:
        """The worker that has the message in hand, and the other."""

        def look() -> Command | None:
            return next((worker for worker in self.workers if worker.said("received", message_id=message_id)), None)

        holder = eventually(look, "the receipt of the message")
        (other,) = [worker for worker in self.workers if worker is not holder]
        return holder, other


def polls_of(name: str) -> Callable[[Request], bool]:
    """Whether it is the worker of this name, which stands in its credentials, that asks for messages."""

    def match(request: Request) -> bool:
        return request.action == "ReceiveMessage" and f"Credential={name}/" in dict(request.headers)["Authorization"]

    return match


@pytest.fixture(scope="module")
def _crew(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with ExitStack() as block:
        yield Crew(block.enter_context(site(endpoint, tmp_path_factory.mktemp("crew"))), block)


@pytest.fixture
def crew(_crew: Crew) -> Crew:
    """Two workers, whatever the last test did to them."""
    _crew.two()
    return _crew


def kill(*pids: int) -> float:
    """Kill them at once; gives the time."""
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    return time.monotonic()


def takes_over(other: Command, message_id: str, killed: float) -> None:
    """That the other worker has the message as soon as the lease is over, and works its project."""
    eventually(lambda: other.said("received", message_id=message_id), "its receipt by the other worker")
    assert time.monotonic() - killed < VISIBILITY_SECONDS + TAKING_SECONDS
    eventually(lambda: other.said("published", message_id=message_id), "its figures")


def test_a_worker_killed_while_a_child_starts_takes_it_along_and_what_it_left_is_swept(
    crew: Crew, tiny: dict[str, Tiny]
) -> None:
    folders = set(crew.site.scratch.iterdir())
    message_id = crew.site.send("born", tiny["lung"].contents)
    victim, other = crew.holder(message_id)
    eventually(victim.children, "the child", pause=0.01)
    with handles(victim.family()) as running:
        killed = kill(victim.process.pid)
        assert not outliving(running, OUTLIVE_SECONDS)
    takes_over(other, message_id, killed)
    assert crew.site.published("born")
    assert set(crew.site.scratch.iterdir()) == folders

    crew.two()
    (left,) = folders - set(crew.site.scratch.iterdir())
    (new,) = set(crew.site.scratch.iterdir()) - folders
    assert crew.workers[-1].said("swept", folder=str(left))
    assert folders - {left} == set(crew.site.scratch.iterdir()) - {new}


@pytest.mark.parametrize("with_child", [False, True], ids=["alone", "with its child"])
def test_a_worker_killed_in_mid_project_leaves_it_to_another(
    crew: Crew, tiny: dict[str, Tiny], *, with_child: bool
) -> None:
    project_id = f"fetched-{with_child}"
    asked = s3_call(f"/{project_id}.", method="HEAD")
    with crew.site.server.imposed(when(first(1, asked), hang(HELD_SECONDS))):
        message_id = crew.site.send(project_id, tiny["lung"].contents)
        victim, other = crew.holder(message_id)
        eventually(lambda: crew.site.server.sent(asked), "the child's first request")
        (child,) = victim.children()
        with handles(victim.family()) as running:
            assert child in running
            killed = kill(victim.process.pid, *([child] if with_child else []))
            assert not outliving(running, OUTLIVE_SECONDS)
        takes_over(other, message_id, killed)
    assert crew.site.published(project_id)
    crew.site.wait_until_settled()


def test_a_worker_killed_while_it_publishes_leaves_no_manifest_of_what_is_half_written(
    crew: Crew, tiny: dict[str, Tiny]
) -> None:
    crew.site.send("replaced", tiny["lung"].contents)
    crew.site.wait_until_settled()
    assert crew.site.published("replaced")
    upload = s3_call("/replaced/", method="PUT", ends=".png")
    once = len(crew.site.server.sent(upload))
    half = once // 2
    with crew.site.server.imposed(when(nth(half, upload), hang(HELD_SECONDS))):
        message_id = crew.site.send("replaced", tiny["pancreas"].contents)
        eventually(lambda: len(crew.site.server.sent(upload)) >= once + half, "half of the figures")
        victim, other = crew.holder(message_id)
        killed = kill(victim.process.pid)
        assert crew.site.published("replaced") is None
        takes_over(other, message_id, killed)
    manifest = crew.site.published("replaced")
    assert manifest
    assert [entity.libraries[0].statistics["genes"] for entity in manifest.entities] == [200]
    crew.site.wait_until_settled()


@pytest.fixture(scope="module")
def place(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two attempts a message."""
    with site(endpoint, tmp_path_factory.mktemp("place"), max_receive_count=2) as place:
        yield place


def test_a_worker_killed_at_its_start_leaves_no_process(place: Site) -> None:
    with place.fleet.worker() as worker:
        eventually(worker.warm_process, "the process that children are forked from", pause=0)
        with handles(worker.family()) as running:
            kill(worker.process.pid)
            assert not outliving(running, OUTLIVE_SECONDS)


@pytest.fixture(scope="module")
def worker(place: Site) -> Iterator[Command]:
    """A worker that has to survive all that is done to its children."""
    with place.fleet.worker() as worker:
        yield worker
        assert worker.process.poll() is None


def child_of(worker: Command, place: Site, project_id: str, attempt: int) -> int:
    """The child that fetches the project's matrix at this attempt."""
    asked = s3_call(f"/{project_id}.", method="HEAD")
    eventually(lambda: len(place.server.sent(asked)) >= attempt, f"attempt {attempt} at {project_id}")
    (child,) = worker.children()
    return child


def test_a_child_that_dies_is_tried_again_after_a_pause_and_buried_at_the_limit(
    place: Site, worker: Command, tiny: dict[str, Tiny]
) -> None:
    asked = s3_call("/deadly.", method="HEAD")
    with place.server.imposed(when(asked, hang(HELD_SECONDS))):
        place.send("deadly", tiny["lung"].contents)
        os.kill(child_of(worker, place, "deadly", 1), signal.SIGKILL)
        failed = eventually(lambda: worker.said("failed", attempt=1, project_id="deadly"), "the first failure")
        place.send("meanwhile", tiny["lung"].contents)
        segfaulting = child_of(worker, place, "deadly", 2)
        assert worker.said("published", project_id="meanwhile")
        os.kill(segfaulting, signal.SIGSEGV)
        letter = place.letter("deadly")
    received = worker.said("received", attempt=2, project_id="deadly")
    assert received
    assert seconds_between(failed, received) >= FIRST_PAUSE_SECONDS - 1
    assert (failed["reason"], failed["stage"]) == ("crashed", "fetch")
    assert "SIGKILL" in failed["error"]
    assert (letter["dpss.reason"], letter["dpss.stage"], letter["dpss.attempts"]) == ("crashed", "fetch", "2")
    assert "SIGSEGV" in letter["dpss.error"]
    place.wait_until_settled()


def test_the_process_that_children_come_from_is_replaced_when_it_dies(
    place: Site, worker: Command, tiny: dict[str, Tiny]
) -> None:
    with place.server.imposed(when(first(1, s3_call("/orphaned.", method="HEAD")), hang(HELD_SECONDS))):
        place.send("orphaned", tiny["lung"].contents)
        child = child_of(worker, place, "orphaned", 1)
        warm = worker.warm_process()
        assert warm
        with handles([child]) as running:
            os.kill(warm, signal.SIGKILL)
            assert not outliving(running, OUTLIVE_SECONDS)
        failed = eventually(lambda: worker.said("failed", attempt=1, project_id="orphaned"), "its failure")
        assert failed["reason"] == "crashed"
        assert "forked from" in failed["error"]
        place.wait_until_settled()
    assert place.published("orphaned")
    assert worker.warm_process() not in {warm, None}


def seconds_between(one: dict[str, Any], other: dict[str, Any]) -> float:
    """From one log line to another."""
    start, end = (datetime.fromisoformat(line["timestamp"]) for line in (one, other))
    return (end - start).total_seconds()
