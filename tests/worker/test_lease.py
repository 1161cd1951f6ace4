"""The lease on a message, on a clock that only sleeping moves."""

import asyncio

from botocore.exceptions import EndpointConnectionError

from worker.lease import LONGEST_SECONDS, Lease

RECEIVED = 1_000.0
TERM = 120


class Queue:
    """A queue and its time: notes when the message was hidden and for how long; may be out of reach."""

    def __init__(self) -> None:
        self.now = RECEIVED
        self.hidden: list[tuple[float, int]] = []
        self.reachable = True
        self.overslept = 0.0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.overslept
        await asyncio.sleep(0)

    async def hide(self, seconds: int) -> None:
        if not self.reachable:
            raise EndpointConnectionError(endpoint_url="http://nowhere")
        self.hidden.append((self.now - RECEIVED, seconds))

    def lease(self) -> Lease:
        return Lease(self.hide, RECEIVED, TERM, clock=self.clock, sleep=self.sleep)

    async def pass_until(self, seconds: float, lease: Lease) -> None:
        while self.now < RECEIVED + seconds and not lease.lost.is_set():  # noqa: ASYNC110 - the lease moves the clock
            await asyncio.sleep(0)


def test_a_lease_is_renewed_three_times_a_term_while_work_goes_on() -> None:
    async def hold() -> tuple[Queue, bool]:
        queue = Queue()
        async with queue.lease() as lease:
            await queue.pass_until(200, lease)
            return queue, lease.held

    queue, held = asyncio.run(hold())
    assert held
    assert queue.hidden[:4] == [(40, TERM), (80, TERM), (120, TERM), (160, TERM)]


def test_a_lease_that_cannot_be_renewed_is_lost_when_its_term_ends_and_not_before() -> None:
    async def hold() -> tuple[float, bool]:
        queue = Queue()
        queue.reachable = False
        async with queue.lease() as lease:
            await queue.pass_until(1_000, lease)
            return queue.now - RECEIVED, lease.held

    ended, held = asyncio.run(hold())
    assert not held
    assert TERM <= ended < TERM + 2


def test_a_lease_survives_two_renewals_that_fail() -> None:
    async def hold() -> bool:
        queue = Queue()
        queue.reachable = False
        async with queue.lease() as lease:
            await queue.pass_until(90, lease)
            queue.reachable = True
            await queue.pass_until(200, lease)
            return lease.held

    assert asyncio.run(hold())


def test_a_lease_that_is_not_renewed_any_more_runs_out() -> None:
    async def hold() -> tuple[Queue, bool, bool]:
        queue = Queue()
        async with queue.lease() as lease:
            await queue.pass_until(30, lease)
            await lease.stop_renewing()
            held_before = lease.held
            queue.now += TERM
            return queue, held_before, lease.held

    queue, held_before, held_after = asyncio.run(hold())
    assert held_before
    assert not held_after
    assert len(queue.hidden) <= 1


def test_a_worker_that_was_frozen_past_its_lease_does_not_touch_the_message() -> None:
    async def hold() -> tuple[Queue, Lease]:
        queue = Queue()
        queue.overslept = 3_600
        async with queue.lease() as lease:
            await lease.lost.wait()
            return queue, lease

    queue, lease = asyncio.run(hold())
    assert not lease.held
    assert queue.hidden == []


def test_no_renewal_reaches_beyond_twelve_hours_and_the_lease_is_lost_before() -> None:
    async def hold() -> Queue:
        queue = Queue()
        async with queue.lease() as lease:
            await lease.lost.wait()
        return queue

    queue = asyncio.run(hold())
    assert max(at + seconds for at, seconds in queue.hidden) < LONGEST_SECONDS
    assert LONGEST_SECONDS - 120 < queue.now - RECEIVED < LONGEST_SECONDS
