"""Scale-in protection, asked of an agent over HTTP; only the pauses between renewals are made up."""

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
import structlog
from structlog.testing import capture_logs

from tests.fakes.ecs_agent import Asked, EcsAgent, Trouble
from worker.protection import PROTECTED_MINUTES, RENEWAL_SECONDS, RETRY_SECONDS, Protection

PROTECT = {"ProtectionEnabled": True, "ExpiresInMinutes": PROTECTED_MINUTES}
NOWHERE = "http://127.0.0.1:1/api/container"


class Pauses:
    """Sleep that ends when the test says so."""

    def __init__(self) -> None:
        self._begun: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        self._begun.put_nowait((seconds, over))
        await over.wait()

    async def end_next(self) -> float:
        """Wait for the next pause, end it, and give its seconds."""
        seconds, over = await self._begun.get()
        over.set()
        return seconds


@pytest.fixture
def agent() -> Iterator[EcsAgent]:
    with EcsAgent() as agent:
        yield agent


async def reaches(agent: EcsAgent, state: Callable[[EcsAgent], bool]) -> None:
    await asyncio.to_thread(agent.wait_for, state)


def test_a_task_is_protected_when_on_returns_and_not_any_more_when_off_does(agent: EcsAgent) -> None:
    async def work() -> tuple[bool, bool]:
        protection = Protection(agent.agent_uri)
        await protection.on()
        before = agent.protected
        await protection.off()
        return before, agent.protected

    assert asyncio.run(work()) == (True, False)
    path = "/api/container/task-protection/v1/state"
    assert agent.requests == [Asked("PUT", path, PROTECT), Asked("PUT", path, {"ProtectionEnabled": False})]


def test_what_is_on_or_off_already_is_not_asked_for_again(agent: EcsAgent) -> None:
    async def work() -> None:
        protection = Protection(agent.agent_uri)
        for call in (protection.off, protection.on, protection.on, protection.off, protection.off, protection.on):
            await call()
        await protection.off()

    asyncio.run(work())
    assert agent.wishes() == [True, False, True, False]


def test_slots_that_begin_together_make_one_request_and_all_wait_for_it(agent: EcsAgent) -> None:
    async def work() -> int:
        protection = Protection(agent.agent_uri)
        agent.fail(Trouble.HANG)
        slots = [asyncio.create_task(protection.on()) for _ in range(3)]
        await reaches(agent, lambda agent: bool(agent.requests))
        begun = sum(slot.done() for slot in slots)
        agent.recover()
        await asyncio.gather(*slots)
        await protection.off()
        return begun

    assert asyncio.run(work()) == 0
    assert agent.wishes() == [True, False]


def test_a_long_project_stays_protected(agent: EcsAgent) -> None:
    async def work() -> list[float]:
        pauses = Pauses()
        protection = Protection(agent.agent_uri, sleep=pauses.sleep)
        await protection.on()
        seconds = [await pauses.end_next() for _ in range(20)]
        await reaches(agent, lambda agent: len(agent.requests) == 21)
        await protection.off()
        return seconds

    seconds = asyncio.run(work())
    assert set(seconds) == {RENEWAL_SECONDS}
    assert RENEWAL_SECONDS * 2 < PROTECTED_MINUTES * 60
    assert [asked.body for asked in agent.requests[:21]] == [PROTECT] * 21
    assert agent.wishes()[21:] == [False]


def test_a_renewal_is_not_logged_as_the_first_projects(agent: EcsAgent) -> None:
    async def work() -> dict[str, object]:
        bound: asyncio.Future[dict[str, object]] = asyncio.get_running_loop().create_future()

        async def sleep(_seconds: float) -> None:
            bound.set_result(structlog.contextvars.get_contextvars())
            await asyncio.Event().wait()

        protection = Protection(agent.agent_uri, sleep=sleep)
        with structlog.contextvars.bound_contextvars(project_id="first"):
            await protection.on()
        found = await bound
        await protection.off()
        return found

    assert asyncio.run(work()) == {}


def test_nothing_is_renewed_after_off(agent: EcsAgent) -> None:
    async def work() -> set[asyncio.Task[None]]:
        protection = Protection(agent.agent_uri)
        await protection.on()
        await protection.off()
        return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}

    assert asyncio.run(work()) == set()


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (Trouble.HTTP_500, "HTTP 500: the agent is out of order"),
        (Trouble.FAILURE, "DEPLOYMENT_BLOCKED"),
        (Trouble.ERROR, "AccessDeniedException: not authorized to perform ecs:UpdateTaskProtection"),
    ],
)
def test_an_agent_that_fails_is_logged_and_asked_again_soon(agent: EcsAgent, trouble: Trouble, reason: str) -> None:
    async def work() -> list[float]:
        pauses = Pauses()
        protection = Protection(agent.agent_uri, sleep=pauses.sleep)
        agent.fail(trouble)
        await protection.on()
        agent.recover()
        seconds = [await pauses.end_next()]
        await reaches(agent, lambda agent: agent.protected)
        seconds.append(await pauses.end_next())
        await protection.off()
        return seconds

    with capture_logs() as lines:
        assert asyncio.run(work()) == [RETRY_SECONDS, RENEWAL_SECONDS]
    (warning,) = [line for line in lines if line["log_level"] == "warning"]
    assert warning == {
        "event": "scale-in protection not set", "enabled": True, "error": reason, "log_level": "warning"
    }  # fmt: skip


def test_a_renewal_that_fails_is_tried_again_soon(agent: EcsAgent) -> None:
    async def work() -> list[float]:
        pauses = Pauses()
        protection = Protection(agent.agent_uri, sleep=pauses.sleep)
        await protection.on()
        agent.fail(Trouble.HTTP_500)
        seconds = [await pauses.end_next() for _ in range(3)]
        await protection.off()
        return seconds

    assert asyncio.run(work()) == [RENEWAL_SECONDS, RETRY_SECONDS, RETRY_SECONDS]


@pytest.mark.parametrize("agent_uri", [NOWHERE, "no address", "http://[", "ftp://127.0.0.1"])
def test_an_agent_that_is_not_there_is_logged_and_not_fatal(agent_uri: str) -> None:
    async def work() -> None:
        protection = Protection(agent_uri)
        await protection.on()
        await protection.off()

    with capture_logs() as lines:
        asyncio.run(work())
    assert [(line["log_level"], line["enabled"]) for line in lines] == [("warning", True), ("warning", False)]
    assert all(line["error"] for line in lines)


def test_an_agent_that_does_not_answer_is_not_waited_for(agent: EcsAgent) -> None:
    async def work() -> float:
        agent.fail(Trouble.HANG)
        protection = Protection(agent.agent_uri, patience_seconds=0.2)
        before = time.monotonic()
        await protection.on()
        await protection.off()
        return time.monotonic() - before

    with capture_logs() as lines:
        assert 0.4 <= asyncio.run(work()) < 4
    assert [line["error"].split(":")[0] for line in lines] == ["TimeoutError", "TimeoutError"]


def test_work_that_comes_while_protection_goes_off_is_protected(agent: EcsAgent) -> None:
    async def work() -> bool:
        protection = Protection(agent.agent_uri)
        await protection.on()
        agent.fail(Trouble.HANG)
        going_off = asyncio.create_task(protection.off())
        await reaches(agent, lambda agent: agent.wishes() == [True, False])
        coming_on = asyncio.create_task(protection.on())
        agent.recover()
        await asyncio.gather(going_off, coming_on)
        protected = agent.protected
        await protection.off()
        return protected

    assert asyncio.run(work())
    assert agent.wishes() == [True, False, True, False]


def test_a_task_that_goes_idle_while_protection_comes_on_ends_unprotected(agent: EcsAgent) -> None:
    async def work() -> None:
        protection = Protection(agent.agent_uri)
        agent.fail(Trouble.HANG)
        coming_on = asyncio.create_task(protection.on())
        await reaches(agent, lambda agent: agent.wishes() == [True])
        going_off = asyncio.create_task(protection.off())
        agent.recover()
        await asyncio.gather(coming_on, going_off)

    asyncio.run(work())
    assert agent.wishes() == [True, False]
    assert not agent.protected


def test_protection_of_a_project_that_was_let_go_of_meanwhile_is_renewed_and_taken_back(agent: EcsAgent) -> None:
    async def work() -> bool:
        pauses = Pauses()
        protection = Protection(agent.agent_uri, sleep=pauses.sleep)
        agent.fail(Trouble.HANG)
        coming_on = asyncio.create_task(protection.on())
        await reaches(agent, lambda agent: bool(agent.requests))
        coming_on.cancel()
        await asyncio.wait([coming_on])
        agent.recover()
        await pauses.end_next()
        await reaches(agent, lambda agent: agent.wishes() == [True, True])
        await protection.off()
        return coming_on.cancelled()

    assert asyncio.run(work())
    assert agent.wishes() == [True, True, False]
    assert not agent.protected


def test_protection_that_was_not_taken_back_is_asked_for_with_the_next_work(agent: EcsAgent) -> None:
    async def work() -> None:
        protection = Protection(agent.agent_uri)
        await protection.on()
        agent.fail(Trouble.FAILURE)
        await protection.off()
        agent.recover()
        await protection.on()
        await protection.off()

    with capture_logs() as lines:
        asyncio.run(work())
    assert agent.wishes() == [True, False, True, False]
    assert [line["enabled"] for line in lines if line["log_level"] == "warning"] == [False]


@pytest.mark.parametrize("agent_uri", [None, ""])
def test_a_worker_that_is_not_on_ecs_asks_nobody(agent_uri: str | None) -> None:
    async def work() -> int:
        protection = Protection(agent_uri)
        await protection.on()
        tasks = len(asyncio.all_tasks())
        await protection.off()
        return tasks

    with capture_logs() as lines:
        assert asyncio.run(work()) == 1
    assert lines == []
