"""Processes that die without a word: the worker, a project's child, and the process that children come from."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.faults.proxy import Request
from tests.faults.reactions import hang
from tests.faults.rules import first, nth, s3_call, when
from tests.fleet.conftest import Command, Site, eventually, handles, outliving, site
from tests.tiny import Tiny

VISIBILITY_SECONDS = 5
OUTLIVE_SECONDS = 2
TAKING_SECONDS = 3
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
    eventually(victim.children, "the child")
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
    for project_id in ("first", "second"):  # the living one, whose folder stayed, has to work one of them
        crew.site.send(project_id, tiny["lung"].contents)
    crew.site.wait_until_settled()
    assert crew.site.published("first")
    assert crew.site.published("second")


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
