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

from botocore.exceptions import BotoCoreError, ClientError

from shared import telemetry
from shared.errors import one_line

LONGEST_SECONDS: Final = 12 * 3_600
"""However often it is renewed, a message is visible again 12 h after it was received (SQS, ChangeMessageVisibility)."""
MARGIN_SECONDS: Final = 60
"""Held back from the 12 h so that the project is let go of in time."""
RENEWALS_PER_TERM: Final = 3
"""Two renewals may fail before the lease is lost."""
RETRY_SECONDS: Final = 1.0
"""Between renewals that fail."""

log = telemetry.logger("lease")


class Lease:
    """Holds a message for ``term`` seconds at a time; ``lost`` is set when it is no longer ours, for good.

    ``received`` is on ``clock``; ``hide`` hides the message from others for as many seconds as it is told, from now.
    """

    def __init__(
        self,
        hide: Callable[[int], Awaitable[None]],
        received: float,
        term: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.lost = asyncio.Event()
        self._hide = hide
        self._received = received
        self._term = term
        self._clock = clock
        self._sleep = sleep
        self._end = received + term
        self._last_end = received + LONGEST_SECONDS - MARGIN_SECONDS

    @property
    def held(self) -> bool:
        """Whether the message is ours at this moment."""
        return not self.lost.is_set() and self._clock() < self._end

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop_renewing()

    async def stop_renewing(self) -> None:
        """Let the lease run out: no renewal may arrive after the message is settled and hide it once more."""
        self._renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._renewing

    async def _keep(self) -> None:
        pause = self._term / RENEWALS_PER_TERM
        while self.held:
            await self._sleep(min(pause, max(0.0, self._end - self._clock())))
            if self.held:
                renewed = await self._renew()
                pause = self._term / RENEWALS_PER_TERM if renewed else min(RETRY_SECONDS, self._term / 10)
        log.warning("lease lost", held_seconds=round(self._clock() - self._received, 1))
        self.lost.set()

    async def _renew(self) -> bool:
        before = self._clock()
        seconds = int(min(self._term, self._last_end - before))
        if seconds <= 0:  # the cap: the lease runs out, and with it the work
            return True
        try:
            async with asyncio.timeout(self._end - before):
                await self._hide(seconds)
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            log.warning("lease not renewed", error=one_line(str(error) or type(error).__name__))
            return False
        self._end = before + seconds
        return True
