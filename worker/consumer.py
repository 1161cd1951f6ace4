"""The parent's loop: take a message, hold it, have its project worked, settle it. It computes nothing itself.

A message is settled once, after the fact:

    published, up to date                 delete
    superseded, told to stop              visible again at once
    permanent failure, last attempt       dead letter with its reason, then delete
    passing failure                       visible again after a pause that grows
    lease lost                            touch nothing
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, telemetry
from shared.errors import (
    InternalError,
    PassingError,
    PublishFailedError,
    SettingsError,
    SummaryStatsError,
    one_line,
)
from shared.messages import ProjectMessage, now, parse
from worker.drain import Drain
from worker.failures import Bury, verdict
from worker.lease import Lease
from worker.publish import LeaseLostError, SupersededError
from worker.queue import Delivery, WorkQueue
from worker.stages import Stages

log = telemetry.logger("consumer")

LOGGED_BODY_CHARACTERS: Final = 200
LONGEST_SILENCE_SECONDS: Final = 30
"""Between tries to reach a queue that does not answer."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a project's work ended well: ``published`` or ``up_to_date``; memory in MiB where it was measured."""

    what: str
    peak_rss_mib: float | None = None


Work = Callable[[ProjectMessage, Stages, Lease], Awaitable[Ending]]
RecordFailure = Callable[[ProjectMessage, str, SummaryStatsError], Awaitable[None]]
"""Given the message, the stage it failed in, and why."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who settles: what a dead letter says of its worker, and where the log lies."""

    worker: str
    log: str


class Consumer:
    """Keeps ``slots`` projects in hand until drained, or idle for ``until_idle`` seconds."""

    def __init__(
        self,
        *,
        queue: WorkQueue,
        work: Work,
        record_failure: RecordFailure,
        drain: Drain,
        identity: Identity,
        slots: int,
        until_idle: float | None,
    ) -> None:
        self._queue = queue
        self._work = work
        self._record_failure = record_failure
        self._drain = drain
        self._identity = identity
        self._slots = slots
        self._until_idle = until_idle
        # A lease counts from before the poll, so a poll must not use up much of it.
        patience = math.inf if until_idle is None else until_idle
        self._poll_seconds = max(1, int(min(aws.LONG_POLL_SECONDS, queue.visibility / 4, patience)))
        self._fatal: SettingsError | SummaryStatsError | None = None
        self._in_hand = 0
        self._last_seen = 0.0

    async def run(self) -> None:
        """Consume until told to stop. What no project can be worked with (SettingsError, AccessDeniedError) ends it."""
        self._last_seen = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for _ in range(self._slots):
                group.create_task(self._slot())
        log.info("stopped")
        if self._fatal:
            raise self._fatal

    async def _slot(self) -> None:
        try:
            while not self._drain.stopping.is_set():
                for delivery in await unless(self._receive(), self._drain.stopping) or []:
                    await self._take(delivery)
                if self._idle_for_long():
                    return
        except (SettingsError, SummaryStatsError) as error:
            self._fatal = error
            self._drain.release()  # the other slots let go of what they have

    async def _take(self, delivery: Delivery) -> None:
        self._in_hand += 1
        try:
            await self._handle(delivery)
        finally:
            self._in_hand -= 1
            self._last_seen = time.monotonic()

    def _idle_for_long(self) -> bool:
        if self._until_idle is None or self._in_hand:
            return False
        return time.monotonic() - self._last_seen >= self._until_idle

    async def _receive(self) -> list[Delivery]:
        try:
            return await self._queue.receive(self._poll_seconds)
        except (BotoCoreError, ClientError, OSError, TimeoutError) as error:
            explained = aws.explain(error, f"receiving from {self._queue.url}")
            if not isinstance(explained, PassingError):
                raise explained from error
            log.warning("queue unreachable", error=explained.line)
            await asyncio.sleep(min(LONGEST_SILENCE_SECONDS, self._queue.visibility / 4))
            self._last_seen = time.monotonic()  # a queue that does not answer is not an empty one
            return []

    async def _handle(self, delivery: Delivery) -> None:
        context = {"message_id": delivery.message_id, "attempt": delivery.attempt}
        with structlog.contextvars.bound_contextvars(**context):
            hide = partial(self._queue.hide, delivery)
            async with Lease(hide, delivery.received, self._queue.visibility) as lease:
                await self._hold(delivery, lease)

    async def _hold(self, delivery: Delivery, lease: Lease) -> None:
        progress = Stages(lambda stage: log.info("stage", stage=stage))
        try:
            message = parse(delivery.body)
        except SummaryStatsError as error:
            log.warning("not a message", body=one_line(delivery.body[:LOGGED_BODY_CHARACTERS], LOGGED_BODY_CHARACTERS))
            await self._settle_failure(delivery, lease, None, progress, error)
            return
        with structlog.contextvars.bound_contextvars(project_id=message.project_id, run_id=message.run_id):
            waited = max(0.0, time.time() - delivery.sent_at)
            log.info("received", matrices=len(message.matrices), queue_wait_seconds=round(waited, 1))
            if delivery.attempt == 1:  # later it is the pauses that are waited for
                telemetry.metrics({"QueueWait": (waited, "Seconds")})
            await self._settle(delivery, lease, message, progress)

    async def _settle(self, delivery: Delivery, lease: Lease, message: ProjectMessage, progress: Stages) -> None:
        try:
            try:
                ending = await unless(self._work(message, progress, lease), lease.lost, self._drain.released)
            finally:
                await lease.stop_renewing()
            if not lease.held:
                log.warning("left alone: the lease was lost")
            elif ending is None:
                log.info("released")
                await self._settled("release", self._queue.hide(delivery, 0))
            else:
                _report_done(ending, progress)
                await self._settled("delete", self._queue.delete(delivery))
        except LeaseLostError:
            log.warning("left alone: the lease was lost")
        except SupersededError:
            await self._settle_superseded(delivery, lease, message, progress)
        except SummaryStatsError as error:
            await self._settle_failure(delivery, lease, message, progress, error)
        except SettingsError:
            raise
        except Exception as error:
            log.exception("defect")
            defect = InternalError(f"{type(error).__name__}: {error}")
            await self._settle_failure(delivery, lease, message, progress, defect)

    async def _settle_superseded(
        self, delivery: Delivery, lease: Lease, message: ProjectMessage, progress: Stages
    ) -> None:
        """Another worker published other inputs meanwhile: look again at once, while there are attempts left."""
        if delivery.attempt >= self._queue.limit:
            error = PublishFailedError("superseded: other workers kept publishing this project meanwhile")
            await self._settle_failure(delivery, lease, message, progress, error)
        elif lease.held:
            log.info("superseded")
            await self._settled("release", self._queue.hide(delivery, 0))

    async def _settle_failure(
        self,
        delivery: Delivery,
        lease: Lease,
        message: ProjectMessage | None,
        progress: Stages,
        error: SummaryStatsError,
    ) -> None:
        if not lease.held:
            log.warning("left alone: the lease was lost", reason=error.reason, error=error.line)
            return
        fate = verdict(error, delivery.attempt, self._queue.limit)
        log.warning("failed", reason=error.reason, error=error.line, stage=progress.stage, fate=str(fate))
        if not isinstance(fate, Bury):
            await self._settled("release", self._queue.hide(delivery, fate.pause_seconds))
            return
        telemetry.metrics({"ProjectsFailed": (1, "Count")}, Reason=error.reason)
        if message and not error.retried:
            await self._settled("record", self._record_failure(message, progress.stage, error))
        await self._settled("bury", self._queue.bury(delivery, self._epitaph(delivery, progress, error)))

    def _epitaph(self, delivery: Delivery, progress: Stages, error: SummaryStatsError) -> dict[str, str]:
        return {
            "dpss.reason": error.reason,
            "dpss.error": error.line,
            "dpss.attempts": str(delivery.attempt),
            "dpss.failed_at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
            "dpss.stage": progress.stage,
            "dpss.worker": self._identity.worker,
            "dpss.log": self._identity.log,
        }

    async def _settled(self, what: str, call: Awaitable[None]) -> None:
        """A call that fails leaves the message where it is: it is visible again when the lease ends."""
        try:
            await call
        except (BotoCoreError, ClientError, OSError, SummaryStatsError, SettingsError) as error:
            log.error("not settled", call=what, error=one_line(str(error)))  # noqa: TRY400 - expected, and explained


def _report_done(ending: Ending, progress: Stages) -> None:
    log.info(ending.what, seconds=progress.seconds, peak_rss_mib=ending.peak_rss_mib)
    telemetry.metrics({"ProjectsDone": (1, "Count")}, Ending=ending.what)
    if ending.peak_rss_mib is not None:
        telemetry.metrics({"PeakMemory": (ending.peak_rss_mib, "Megabytes")})
    for stage, seconds in progress.seconds.items():
        telemetry.metrics({"StageSeconds": (seconds, "Seconds")}, Stage=stage)


async def unless[T](work: Awaitable[T], *stops: asyncio.Event) -> T | None:
    """What ``work`` gives, or None when one of ``stops`` is set before; then ``work`` is cancelled and has ended."""
    working = asyncio.ensure_future(work)
    waiting = [asyncio.ensure_future(stop.wait()) for stop in stops]
    try:
        await asyncio.wait([working, *waiting], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            return await working
        return None
    finally:
        for task in (working, *waiting):
            task.cancel()
