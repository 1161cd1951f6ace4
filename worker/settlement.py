"""One message from receipt to its end; it is settled once, after the fact.

published, up to date, superseded     delete
overtaken, told to stop               visible again at once
permanent failure, last attempt       dead letter with its reason, then delete
passing failure                       visible again after a pause that grows
lease lost                            touch nothing
"""

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from shared import telemetry
from shared.errors import (
    InternalError,
    JobTimeoutError,
    PublishFailedError,
    SettingsError,
    SummaryStatsError,
    one_line,
)
from shared.messages import ProjectMessage, now, parse
from worker.drain import Drain, unless
from worker.failures import Bury, verdict
from worker.holding import LeaseLostError, Remaining, SupersededError
from worker.lease import Lease
from worker.persistence import FAULTS, persist
from worker.queue import Delivery, WorkQueue
from worker.stages import Stages
from worker.task import Identity

log = telemetry.logger("settlement")

LOGGED_BODY_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Ending:
    """How work ended well: ``published``, ``up_to_date`` or ``superseded``; memory in MiB where it was measured."""

    what: str
    peak_rss_mib: float | None = None


Work = Callable[[ProjectMessage, Stages, Lease], Awaitable[Ending]]
RecordFailure = Callable[[ProjectMessage, str, SummaryStatsError, Remaining], Awaitable[None]]
"""Given the message, the stage it failed in, why, and how long the message is still ours."""


@dataclass(frozen=True, slots=True)
class Case:
    """A message in hand, or why it is none."""

    delivery: Delivery
    lease: Lease
    progress: Stages
    message: ProjectMessage | SummaryStatsError


@dataclass(frozen=True, slots=True)
class Settlement:
    """Sees messages through: has their projects worked by ``work`` while their leases hold, and settles them."""

    queue: WorkQueue
    work: Work
    record_failure: RecordFailure
    drain: Drain
    identity: Identity

    async def see_through(self, delivery: Delivery) -> None:
        """From receipt to end; what was received while stopping is given back. Raises SettingsError."""
        with structlog.contextvars.bound_contextvars(message_id=delivery.message_id, attempt=delivery.attempt):
            message = _parsed(delivery)
            if isinstance(message, ProjectMessage):
                structlog.contextvars.bind_contextvars(project_id=message.project_id, run_id=message.run_id)
            hide = partial(self.queue.hide, delivery)
            async with Lease(hide, delivery.received, self.queue.visibility) as lease:
                case = Case(delivery, lease, Stages(lambda stage: log.info("stage", stage=stage)), message)
                await (self._release(case) if self.drain.stopping.is_set() else self._settle(case))

    async def _settle(self, case: Case) -> None:
        if isinstance(case.message, SummaryStatsError):
            await self._fail(case, case.message)
            return
        try:
            await self._work(case, case.message)
        except LeaseLostError:
            log.warning("left alone: the lease was lost")
        except SupersededError:
            await self._overtaken(case)
        except SummaryStatsError as error:
            await self._fail(case, error)
        except SettingsError:
            raise
        except Exception as error:
            log.exception("defect")
            await self._fail(case, InternalError(f"{type(error).__name__}: {error}"))

    async def _work(self, case: Case, message: ProjectMessage) -> None:
        _report_received(case.delivery, message)
        lease = case.lease
        work = self.work(message, case.progress, lease)
        ending = await unless(work, lease.lost, lease.expiring, self.drain.released)
        if not lease.held:
            raise LeaseLostError
        if ending:
            _report_done(ending, case.progress)
            await self._call(case, "delete", partial(self.queue.delete, case.delivery))
        elif lease.expiring.is_set():
            raise JobTimeoutError("let go of after nearly 12 h, the longest that SQS hides a message")
        else:
            await self._release(case)

    async def _release(self, case: Case) -> None:
        """Visible to others at once; after its last attempt SQS would bury it, so that it is sent anew."""
        log.info("released")
        if case.delivery.attempt < self.queue.limit:
            await self._call(case, "release", partial(self.queue.hide, case.delivery, 0))
        elif await self._call(case, "send anew", partial(self.queue.send_anew, case.delivery)):
            await self._call(case, "delete", partial(self.queue.delete, case.delivery))

    async def _overtaken(self, case: Case) -> None:
        """Another worker published other inputs meanwhile: look again at once, while there are attempts left."""
        if case.delivery.attempt >= self.queue.limit:
            await self._fail(
                case, PublishFailedError("superseded: other workers kept publishing this project meanwhile")
            )
        else:
            log.info("superseded")
            await self._release(case)

    async def _fail(self, case: Case, error: SummaryStatsError) -> None:
        if not case.lease.held:
            log.warning("left alone: the lease was lost", reason=error.reason, error=error.line)
            return
        fate = verdict(error, case.delivery.attempt, self.queue.limit)
        log.warning("failed", reason=error.reason, error=error.line, stage=case.progress.stage, fate=str(fate))
        if isinstance(fate, Bury):
            await self._bury(case, error)
        else:
            pause = min(fate.pause_seconds, case.lease.longest_pause)
            await self._call(case, "pause", partial(self.queue.hide, case.delivery, pause))

    async def _bury(self, case: Case, error: SummaryStatsError) -> None:
        """To the dead-letter queue first, off the work queue second: a crash between leaves two copies, never none."""
        if isinstance(case.message, ProjectMessage) and not error.retried:
            await self._record(case, case.message, error)
        epitaph = self._epitaph(case, error)
        if await self._call(case, "bury", partial(self.queue.send_dead_letter, case.delivery, epitaph)):
            telemetry.metrics({"ProjectsFailed": (1, "Count")}, Reason=error.reason)
            await self._call(case, "delete", partial(self.queue.delete, case.delivery))

    async def _record(self, case: Case, message: ProjectMessage, error: SummaryStatsError) -> None:
        record = self.record_failure(message, case.progress.stage, error, lambda: case.lease.remaining)
        try:
            await unless(record, case.lease.lost, self.drain.released)
        except (SummaryStatsError, SettingsError, LeaseLostError) as fault:
            log.warning("failure not recorded", error=one_line(str(fault)))

    def _epitaph(self, case: Case, error: SummaryStatsError) -> dict[str, str]:
        """What the letter says, the most important first."""
        return {
            "dpss.reason": error.reason,
            "dpss.stage": case.progress.stage,
            "dpss.attempts": str(case.delivery.attempt),
            "dpss.failed_at": f"{now():%Y-%m-%dT%H:%M:%SZ}",
            "dpss.error": error.line,
            "dpss.worker": self.identity.worker,
            "dpss.log": self.identity.log,
        }

    async def _call(self, case: Case, what: str, call: Callable[[], Awaitable[None]]) -> bool:
        """Whether SQS did it, asked again while the lease holds; else the message is visible again when that ends."""
        await case.lease.stop_renewing()
        try:
            await persist(call, lambda: case.lease.remaining, patience=math.inf)
        except (*FAULTS, LeaseLostError) as error:
            explanation = one_line(str(error) or type(error).__name__)
            log.error("not settled", call=what, error=explanation)  # noqa: TRY400 - expected, and explained
            return False
        return True


def _parsed(delivery: Delivery) -> ProjectMessage | SummaryStatsError:
    try:
        return parse(delivery.body)
    except SummaryStatsError as error:
        log.warning("not a message", body=one_line(delivery.body[:LOGGED_BODY_CHARACTERS], LOGGED_BODY_CHARACTERS))
        return error
    except Exception as error:
        log.exception("defect")
        return InternalError(f"{type(error).__name__}: {error}")


def _report_received(delivery: Delivery, message: ProjectMessage) -> None:
    waited = max(0.0, time.time() - delivery.sent_at)
    log.info("received", matrices=len(message.matrices), queue_wait_seconds=round(waited, 1))
    if delivery.attempt == 1:  # later it is the pauses that are waited for
        telemetry.metrics({"QueueWait": (waited, "Seconds")})


def _report_done(ending: Ending, progress: Stages) -> None:
    log.info(ending.what, seconds=progress.seconds, peak_rss_mib=ending.peak_rss_mib)
    telemetry.metrics({"ProjectsDone": (1, "Count")}, Ending=ending.what)
    if ending.peak_rss_mib is not None:
        telemetry.metrics({"PeakMemory": (ending.peak_rss_mib, "Megabytes")})
    for stage, seconds in progress.seconds.items():
        telemetry.metrics({"StageSeconds": (seconds, "Seconds")}, Stage=stage)
