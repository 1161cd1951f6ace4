"""The parent's loop: take as many messages as there is room for, see each through, be idle when there is none."""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from shared import aws, telemetry
from shared.errors import PassingError
from worker.drain import Drain, unless
from worker.persistence import FAULTS
from worker.queue import POLL_SECONDS, Delivery, WorkQueue
from worker.settlement import Settlement

LOOK_SECONDS: Final = 1.0
"""Between looks whether there is room again, where no project has ended: other processes use memory too."""
GATHER_SECONDS: Final = 0.05
"""For slots that become free at nearly the same time to be filled by one call."""
LONGEST_SILENCE_SECONDS: Final = 30.0
"""Between tries to reach a queue that does not answer."""
LAST_POLL_SECONDS: Final = POLL_SECONDS + 0.5
"""For a poll to end when told to stop."""
RELEASE_SECONDS: Final = 3.5
"""For what is in hand to be let go of; then the lease has to run out by itself."""

log = telemetry.logger("consumer")


@dataclass(frozen=True, slots=True)
class Signs:
    """What the loop shows to the outside: that it turns, and that it has nothing to do."""

    beat: Callable[[], None]
    idle: Callable[[], Awaitable[None]]


class Consumer:
    """Takes messages while ``room``, told the number in hand, says how many more; until drained, or long idle."""

    def __init__(
        self,
        *,
        queue: WorkQueue,
        settlement: Settlement,
        room: Callable[[int], int],
        drain: Drain,
        signs: Signs,
        until_idle: float | None,
    ) -> None:
        self._queue = queue
        self._settlement = settlement
        self._room = room
        self._drain = drain
        self._signs = signs
        self._until_idle = math.inf if until_idle is None else until_idle
        self._in_hand: set[asyncio.Task[None]] = set()
        self._fatal: BaseException | None = None
        self._silences = 0
        self._last_seen = time.monotonic()

    async def run(self) -> None:
        """Consume until told to stop. What no project can be worked with (SettingsError, AccessDeniedError) ends it."""
        self._last_seen = time.monotonic()
        try:
            while not self._drain.stopping.is_set() and not self._idle_for_long():
                self._signs.beat()
                await self._turn()
        except Exception as error:  # noqa: BLE001 - raised below, once nothing is in hand
            self._fatal = error
            self._drain.release()
        await self._let_go()
        log.info("stopped")
        if self._fatal:
            raise self._fatal

    async def _turn(self) -> None:
        if self._in_hand and self._room(len(self._in_hand)) > 0:
            await asyncio.sleep(GATHER_SECONDS)
        room = self._room(len(self._in_hand))
        if room <= 0:
            await unless(self._some_end(asyncio.FIRST_COMPLETED, LOOK_SECONDS), self._drain.stopping)
            return
        deliveries = await self._receive(room)
        for delivery in deliveries:
            self._take(self._settlement.see_through(delivery))
        if not deliveries and not self._in_hand:
            await self._signs.idle()

    def _take(self, case: Awaitable[None]) -> None:
        task = asyncio.ensure_future(case)
        self._in_hand.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._in_hand.discard(task)
        self._last_seen = time.monotonic()
        if not task.cancelled() and (error := task.exception()):
            self._fatal = error
            self._drain.release()  # the others let go of what they have

    async def _some_end(self, how_many: str, seconds: float | None = None) -> None:
        """Until so many of those in hand have ended, or so long."""
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=seconds, return_when=how_many)

    def _idle_for_long(self) -> bool:
        return not self._in_hand and time.monotonic() - self._last_seen >= self._until_idle

    async def _receive(self, room: int) -> list[Delivery]:
        try:
            deliveries = await self._poll(room)
        except FAULTS as error:
            explained = aws.explain(error, f"receiving from {self._queue.url}")
            if not isinstance(explained, PassingError):
                raise explained from error
            log.warning("queue unreachable", error=explained.line)
            await self._pause()
            return []
        self._silences = 0
        return deliveries

    async def _poll(self, room: int) -> list[Delivery]:
        """What one receive brings. One that is under way when told to stop is let end, for it may bring a message."""
        polling = asyncio.ensure_future(self._queue.receive(room))
        await unless(asyncio.wait([polling]), self._drain.stopping)
        await asyncio.wait([polling], timeout=LAST_POLL_SECONDS)
        if not polling.done():
            polling.cancel()
            return []
        return polling.result()

    async def _pause(self) -> None:
        """Longer each time, and by lot, so that workers that failed together do not come back together."""
        self._silences += 1
        longest = min(LONGEST_SILENCE_SECONDS, 2.0**self._silences)
        await unless(asyncio.sleep(random.uniform(longest / 2, longest)), self._drain.stopping)  # noqa: S311 - no secret
        self._last_seen = time.monotonic()  # a queue that does not answer is not an empty one

    async def _let_go(self) -> None:
        """Wait for what is in hand, as long as the grace lasts; what is not settled soon after is cut off."""
        while self._in_hand and not self._drain.released.is_set():
            self._signs.beat()
            await unless(self._some_end(asyncio.ALL_COMPLETED, LOOK_SECONDS), self._drain.released)
        await self._some_end(asyncio.ALL_COMPLETED, RELEASE_SECONDS)
        for task in self._in_hand:
            task.cancel()
        await self._some_end(asyncio.ALL_COMPLETED)
