"""The lease on a message: renewed while work goes on, and known to be lost before anybody else can have it.

SQS hides a received message for the visibility timeout. The lease counts from before each call, so that it ends here no
later than it ends there; past its end the holder must not touch the message, nor publish.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from shared import telemetry
from shared.errors import one_line
from worker.queue import Delivery, WorkQueue

LONGEST_SECONDS: Final = 12 * 3_600
"""However often it is renewed, a message is visible again 12 h after it was received (SQS, ChangeMessageVisibility)."""
MARGIN_SECONDS: Final = 60
"""Held back from the 12 h so that the project can still be released."""
RENEWALS_PER_TERM: Final = 3
"""Two renewals may fail before the lease is lost."""

log = telemetry.logger("lease")


class Lease:
    """Holds one delivery; ``lost`` is set when it is no longer ours, for good."""

    def __init__(self, queue: WorkQueue, delivery: Delivery, clock: Callable[[], float] = time.monotonic) -> None:
        self.lost = asyncio.Event()
        self._queue = queue
        self._delivery = delivery
        self._clock = clock
        self._deadline = delivery.received + queue.visibility
        self._cap = delivery.received + LONGEST_SECONDS - MARGIN_SECONDS
        self._renewing: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether the message is ours at this moment."""
        return not self.lost.is_set() and self._clock() < self._deadline

    async def __aenter__(self) -> Self:
        self._renewing = asyncio.create_task(self._keep_renewing())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._renewing:
            self._renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._renewing

    async def _keep_renewing(self) -> None:
        pause = self._queue.visibility / RENEWALS_PER_TERM
        while self.held and self._clock() < self._cap:
            await asyncio.sleep(min(pause, max(0.0, self._deadline - self._clock())))
            if self.held:
                await self._renew()
        log.warning("lease lost", held_seconds=round(self._clock() - self._delivery.received, 1))
        self.lost.set()

    async def _renew(self) -> None:
        before = self._clock()
        seconds = int(min(self._queue.visibility, self._cap + MARGIN_SECONDS - before))
        try:
            async with asyncio.timeout(max(0.1, self._deadline - before)):
                await self._queue.hide(self._delivery, seconds)
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            log.warning("lease not renewed", error=one_line(str(error) or type(error).__name__))
            await asyncio.sleep(min(1.0, self._queue.visibility / 10))
        else:
            self._deadline = before + seconds
