"""The lease on a message: renewed while work goes on, and known to be lost before anybody else can have it.

SQS hides a received message for the visibility timeout. The lease counts from before each call, so that it ends here no
later than it ends there; past its end the holder must not touch the message, nor publish.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self

from shared import telemetry
from shared.errors import one_line
from worker.persistence import FAULTS, understood

LONGEST_SECONDS: Final = 12 * 3_600
"""However often it is renewed, a message is visible again 12 h after it was received (SQS, ChangeMessageVisibility)."""
GUARD_SECONDS: Final = 10
"""The lease ends here that long before the 12 h end there."""
WIND_UP_SECONDS: Final = 60
"""Before the 12 h: when work is stopped, so that the message can still be settled with its reason."""
RENEWALS_PER_TERM: Final = 3
"""Two renewals may fail before the lease is lost."""
RENEWAL_SECONDS: Final = 10.0
"""For one renewal to be answered: one that hangs must not use up the lease."""
LAST_RENEWAL_SECONDS: Final = 2.0
"""For a renewal in flight to end before the message is settled."""
RETRY_SECONDS: Final = 1.0
"""Between renewals that fail."""

log = telemetry.logger("lease")


class Lease:
    """Holds a message for ``term`` seconds at a time.

    ``lost`` is set when it is no longer ours, for good; ``expiring`` when its 12 h are nearly over.
    ``received`` is on ``clock``; ``hide`` hides the message from others for as many seconds as it is told, from now.
    """

    def __init__(
        self,
        hide: Callable[[int], Awaitable[None]],
        received: float,
        term: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lost = asyncio.Event()
        self.expiring = asyncio.Event()
        self._hide = hide
        self._received = received
        self._term = term
        self._clock = clock
        self._calling = asyncio.Lock()
        self._end = received + term
        self._last_end = received + LONGEST_SECONDS - GUARD_SECONDS
        self._wind_up = received + LONGEST_SECONDS - WIND_UP_SECONDS

    @property
    def held(self) -> bool:
        """Whether the message is ours at this moment."""
        return self.remaining > 0

    @property
    def remaining(self) -> float:
        """Seconds until the lease ends, unless it is renewed; 0 once it was lost."""
        return 0.0 if self.lost.is_set() else max(0.0, self._end - self._clock())

    @property
    def longest_pause(self) -> int:
        """Seconds that SQS would still hide the message."""
        return max(0, int(self._last_end - self._clock()))

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop_renewing()

    async def stop_renewing(self) -> None:
        """Let the lease run out: no renewal may arrive after the message is settled and hide it once more."""
        if self._renewing.done():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_RENEWAL_SECONDS):
                await self._calling.acquire()
        self._renewing.cancel()
        await asyncio.wait([self._renewing])

    async def _keep(self) -> None:
        pause = self._term / RENEWALS_PER_TERM
        while self.held:
            await asyncio.sleep(self._until_next(pause))
            if self._clock() >= self._wind_up:
                self.expiring.set()
            if self.held:
                async with self._calling:
                    renewed = await self._renew()
                pause = self._term / RENEWALS_PER_TERM if renewed else min(RETRY_SECONDS, self._term / 10)
        log.warning("lease lost", held_seconds=round(self._clock() - self._received, 1))
        self.lost.set()

    def _until_next(self, pause: float) -> float:
        """Seconds until there is something to do."""
        ends = [self._end] if self.expiring.is_set() else [self._end, self._wind_up]
        return min(pause, max(0.0, min(ends) - self._clock()))

    async def _renew(self) -> bool:
        before = self._clock()
        seconds = int(min(self._term, self._last_end - before))
        if seconds <= 0:  # the cap: the lease runs out, and with it the work
            return True
        try:
            async with asyncio.timeout(min(RENEWAL_SECONDS, self._end - before)):
                await understood(lambda: self._hide(seconds))
        except FAULTS as error:
            log.warning("lease not renewed", error=one_line(str(error) or type(error).__name__))
            return False
        self._end = before + seconds
        return True
