"""A real worker as a task of ECS, with an agent on loopback, and what its container's health check sees."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.ecs_agent import LOG_STREAM, TASK_ARN, EcsAgent, Trouble
from tests.fleet.conftest import Command, Site, eventually, site
from tests.tiny import Tiny
from worker.health import SILENT_SECONDS


@pytest.fixture(scope="module")
def ours(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(endpoint, tmp_path_factory.mktemp("task")) as ours:
        yield ours


@pytest.fixture(scope="module")
def agent() -> Iterator[EcsAgent]:
    with EcsAgent() as agent:
        yield agent


@pytest.fixture(scope="module")
def task(ours: Site, agent: EcsAgent) -> Iterator[Command]:
    """A worker that runs as a task, idle at first."""
    with ours.fleet.worker(**agent.environ()) as worker:
        eventually(lambda: worker.said("started"), "the start")
        yield worker


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does not turn until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def silence(ours: Site) -> Path:
    """Make the worker's last sign of life older than is well; gives its file."""
    (alive,) = ours.scratch.glob("*/alive")
    long_ago = time.time() - SILENT_SECONDS - 1
    os.utime(alive, (long_ago, long_ago))
    return alive


def is_well(ours: Site) -> bool:
    """What the health check of the container says."""
    command = [sys.executable, "-m", "worker.health"]
    return subprocess.run(command, env=ours.fleet.environ, capture_output=True, check=False).returncode == 0


def test_a_task_is_protected_before_it_works_and_let_go_when_idle(
    ours: Site, agent: EcsAgent, task: Command, tiny: dict[str, Tiny]
) -> None:
    assert not agent.wishes()
    ours.send("first", tiny["pancreas"].contents)
    started = eventually(lambda: task.said("stage", stage="start"), "the project's start")
    assert (
        started["timestamp"] > eventually(lambda: task.said("scale-in protection set", enabled=True), "")["timestamp"]
    )
    eventually(lambda: task.said("published"), "the figures")
    agent.wait_for(lambda agent: agent.wishes() == [True, False])
    assert not agent.protected


def test_a_dead_letter_names_the_task_and_its_log(ours: Site, task: Command, tiny: dict[str, Tiny]) -> None:
    ours.send("scaled", tiny["scaled"].contents)
    letter = ours.letter("scaled")
    assert TASK_ARN in letter["dpss.worker"]
    assert LOG_STREAM in letter["dpss.log"]
    assert task.process.poll() is None


def test_a_failing_agent_is_logged_and_the_project_published(
    ours: Site, agent: EcsAgent, task: Command, tiny: dict[str, Tiny]
) -> None:
    agent.wait_for(lambda agent: not agent.protected)
    agent.fail(Trouble.FAILURE)
    ours.send("unprotected", tiny["blood"].contents)
    eventually(lambda: ours.published("unprotected"), "the figures")
    assert task.said("scale-in protection not set", enabled=True)
    agent.recover()


def test_a_long_project_is_no_reason_to_be_unwell(ours: Site, task: Command, tiny: dict[str, Tiny]) -> None:
    ours.send("long", tiny["lung"].contents)
    (child,) = eventually(task.children, "the project's process")
    with frozen(child):
        alive = silence(ours)
        stale = alive.stat().st_mtime
        eventually(lambda: alive.stat().st_mtime > stale, "the next turn of the loop")
        assert is_well(ours)
    eventually(lambda: ours.published("long"), "the figures")


def test_a_loop_that_has_stopped_turning_is_unwell(ours: Site, task: Command) -> None:
    with frozen(task.process.pid):
        silence(ours)
        assert not is_well(ours)
    eventually(lambda: is_well(ours), "the next turn of the loop")
