"""The lease on a message, in a loop whose time is not the world's."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from botocore.exceptions import EndpointConnectionError

from worker.lease import GUARD_SECONDS, LAST_RENEWAL_SECONDS, LONGEST_SECONDS, WIND_UP_SECONDS, Lease

RECEIVED = 1_000.0
TERM = 120
FOR_EVER = 1_000_000
Away = Literal["out of reach", "silent"]
AWAY: tuple[Away, ...] = ("out of reach", "silent")


class _Impatient(selectors.DefaultSelector):
    """Does not wait, but notes how long it should have."""

    now = RECEIVED

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += max(0.0, timeout or 0.0)
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    """Time passes only by what is waited for."""

    def __init__(self) -> None:
        self.clock = _Impatient()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.now


class Queue:
    """A queue: notes when the message was hidden and for how long; may be slow to answer, or ``away``."""

    def __init__(self, loop: _Loop) -> None:
        self.hidden: list[tuple[float, int]] = []
        self.away: Away | None = None
        self.slowness = 0.0
        self._loop = loop

    @property
    def passed(self) -> float:
        """Seconds since the message was received."""
        return self._loop.time() - RECEIVED

    async def hide(self, seconds: int) -> None:
        await asyncio.sleep(FOR_EVER if self.away == "silent" else self.slowness)
        if self.away == "out of reach":
            raise EndpointConnectionError(endpoint_url="http://nowhere")
        self.hidden.append((round(self.passed, 3), seconds))

    def freeze(self, seconds: float) -> None:
        """This process does nothing meanwhile."""
        self._loop.clock.now += seconds

    def lease(self) -> Lease:
        return Lease(self.hide, RECEIVED, TERM, clock=self._loop.time)


def hold[T](work: Callable[[Queue, Lease], Awaitable[T]], *, away: Away | None = None, slowness: float = 0.0) -> T:
    """What ``work`` gives while the lease is held."""
    loop = _Loop()
    queue = Queue(loop)
    queue.away, queue.slowness = away, slowness

    async def under_lease() -> T:
        async with queue.lease() as lease:
            return await work(queue, lease)

    return asyncio.run(under_lease(), loop_factory=lambda: loop)


def test_a_lease_is_renewed_three_times_a_term_while_work_goes_on() -> None:
    async def work(queue: Queue, lease: Lease) -> bool:
        await asyncio.sleep(201)
        assert queue.hidden == [(at, TERM) for at in (40, 80, 120, 160, 200)]
        return lease.held

    assert hold(work)


@pytest.mark.parametrize("away", AWAY)
def test_a_lease_that_cannot_be_renewed_is_lost_when_its_term_ends_and_not_before(away: Away) -> None:
    async def work(queue: Queue, lease: Lease) -> tuple[bool, float]:
        await asyncio.sleep(TERM - 0.1)
        before = lease.held
        await lease.lost.wait()
        return before and not lease.held, queue.passed

    lost, passed = hold(work, away=away)
    assert lost
    assert TERM <= passed < TERM + 2


@pytest.mark.parametrize("away", AWAY)
def test_a_lease_survives_a_queue_that_is_away_for_a_minute(away: Away) -> None:
    async def work(queue: Queue, lease: Lease) -> bool:
        await asyncio.sleep(100)
        queue.away = None
        await asyncio.sleep(200)
        return lease.held

    assert hold(work, away=away)


def test_a_lease_that_is_not_renewed_any_more_runs_out() -> None:
    async def work(queue: Queue, lease: Lease) -> list[float]:
        await asyncio.sleep(30)
        await lease.stop_renewing()
        remaining = [lease.remaining]
        await asyncio.sleep(TERM - 31)
        remaining.append(lease.remaining)
        await asyncio.sleep(1)
        assert queue.hidden == []
        assert not lease.held
        return remaining

    assert hold(work) == pytest.approx([TERM - 30, 1])


def test_a_renewal_in_flight_has_ended_when_renewing_has_stopped() -> None:
    async def work(queue: Queue, lease: Lease) -> None:
        await asyncio.sleep(40.5)
        assert queue.hidden == []
        await lease.stop_renewing()
        assert queue.hidden == [(41, TERM)]
        assert lease.remaining == pytest.approx(TERM - 1)
        await asyncio.sleep(500)
        assert len(queue.hidden) == 1

    hold(work, slowness=1)


def test_a_renewal_that_is_not_answered_holds_up_nothing() -> None:
    async def work(queue: Queue, lease: Lease) -> None:
        await asyncio.sleep(41)
        await lease.stop_renewing()
        assert queue.passed <= 41 + LAST_RENEWAL_SECONDS + 0.1
        await asyncio.sleep(500)
        assert queue.hidden == []

    hold(work, slowness=9)


def test_who_is_cancelled_while_renewing_stops_is_cancelled() -> None:
    async def work(_queue: Queue, lease: Lease) -> bool:
        stopping = asyncio.create_task(lease.stop_renewing())
        while not lease._renewing.cancelling():  # noqa: ASYNC110, SLF001 - the moment that is meant
            await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        return stopping.cancelled()

    assert hold(work)


def test_a_worker_that_was_frozen_past_its_lease_does_not_touch_the_message() -> None:
    async def work(queue: Queue, lease: Lease) -> None:
        await asyncio.sleep(30)
        queue.freeze(3_600)
        assert not lease.held
        await lease.lost.wait()
        await asyncio.sleep(500)
        assert queue.hidden == []

    hold(work)


def test_work_is_to_stop_a_minute_before_the_message_cannot_be_hidden_any_longer() -> None:
    async def work(queue: Queue, lease: Lease) -> None:
        await lease.expiring.wait()
        assert queue.passed == pytest.approx(LONGEST_SECONDS - WIND_UP_SECONDS)
        assert lease.held
        assert lease.remaining > WIND_UP_SECONDS / 2

    hold(work)


def test_no_renewal_reaches_beyond_twelve_hours_and_the_lease_is_lost_before() -> None:
    async def work(queue: Queue, lease: Lease) -> None:
        await lease.lost.wait()
        assert max(at + seconds for at, seconds in queue.hidden) <= LONGEST_SECONDS - GUARD_SECONDS
        assert LONGEST_SECONDS - GUARD_SECONDS - 2 < queue.passed < LONGEST_SECONDS

    hold(work)


@pytest.mark.parametrize("passed", [0, 30, LONGEST_SECONDS - WIND_UP_SECONDS, LONGEST_SECONDS - 1])
def test_a_pause_ends_before_the_twelve_hours_do(passed: float) -> None:
    async def work(queue: Queue, lease: Lease) -> int:
        queue.freeze(passed)
        return lease.longest_pause

    assert hold(work) == max(0, LONGEST_SECONDS - GUARD_SECONDS - passed)
