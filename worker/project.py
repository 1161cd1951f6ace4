"""One project as the parent sees it: up to date already, or worked by a child and then published."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from shared.errors import AccessDeniedError, InternalError, MatrixNotFoundError, SummaryStatsError
from shared.manifest import FailureRecord, Manifest, fingerprint, versions_known
from shared.messages import ProjectMessage, now
from shared.settings import LogFormat
from worker.child import Children, Job
from worker.holding import Remaining
from worker.lease import Lease
from worker.protection import Protection
from worker.publish import Published, Publisher
from worker.scratch import project_folder
from worker.settlement import Ending
from worker.stages import Stages


@dataclass(frozen=True, slots=True)
class Projects:
    """Works projects: the children compute below ``folder``, the publisher writes."""

    publisher: Publisher
    children: Children
    protection: Protection
    folder: Path
    figure_formats: tuple[str, ...]
    portal_url: str
    allowed_hosts: tuple[str, ...]
    log_format: LogFormat

    async def work(self, message: ProjectMessage, progress: Stages, lease: Lease) -> Ending:
        """Publish the project of ``message``, unless what is published is what the message asks for."""
        progress.enter("look up")
        before = await self.publisher.published(message.project_id)
        if _satisfied(message, before):
            return Ending("up_to_date")
        if _outdated(message, before):
            return Ending("superseded")
        await self.protection.on()
        async with project_folder(self.folder) as folder:
            progress.enter("start")
            await self.children.run(self._job(message, folder), progress.enter)
            made = _made(folder)
            progress.enter("publish")
            manifest = made.model_copy(
                update={
                    "requested_at": message.requested_at,
                    "run_id": message.run_id,
                    "source": message.source,
                    "choice": message.choice,
                    "timing": dict(progress.seconds),
                }
            )
            published = await self.publisher.publish(manifest, folder, before, lambda: lease.remaining)
            progress.enter("settle")
        return Ending("published" if published else "up_to_date", manifest.peak_rss_mib)

    async def record_failure(
        self, message: ProjectMessage, stage: str, error: SummaryStatsError, remaining: Remaining
    ) -> None:
        """Note a permanent failure, so that the daily run does not send the same again."""
        record = FailureRecord(
            fingerprint=fingerprint(message.matrices),
            reason=error.reason,
            error=error.line,
            stage=stage,
            failed_at=now(),
            addresses=tuple(sorted(m.uri for m in message.matrices)) if isinstance(error, _OF_ADDRESSES) else (),
        )
        await self.publisher.record_failure(message.project_id, record, remaining)

    def _job(self, message: ProjectMessage, folder: Path) -> Job:
        return Job(
            project_id=message.project_id,
            matrices=tuple(matrix.model_dump() for matrix in message.matrices),
            key_prefix=self.publisher.prefix,
            folder=str(folder),
            figure_formats=self.figure_formats,
            portal_url=self.portal_url,
            allowed_hosts=self.allowed_hosts,
            memory_mib=self.children.ceilings.memory_mib,
            log_format=self.log_format,
            log_context=structlog.contextvars.get_contextvars(),
        )


_OF_ADDRESSES: Final = (AccessDeniedError, MatrixNotFoundError)
"""A portal's release moves files without changing them: what is not there today may be elsewhere tomorrow."""


def _satisfied(message: ProjectMessage, before: Published | None) -> bool:
    """Whether the figures asked for are there; a forced message wants figures made after it was sent."""
    if before is None or not versions_known(message.matrices):
        return False
    if before.fingerprint != fingerprint(message.matrices):
        return False
    if not message.force:
        return True
    return bool(message.requested_at and before.generated_at and before.generated_at > message.requested_at)


def _outdated(message: ProjectMessage, before: Published | None) -> bool:
    """Whether what is published was asked for later: a portal's address names a version, and that may be an old one."""
    if message.force or before is None or not (message.requested_at and before.requested_at):
        return False
    return message.requested_at < before.requested_at


def _made(folder: Path) -> Manifest:
    try:
        return Manifest.model_validate_json((folder / "manifest.json").read_bytes())
    except (OSError, ValueError) as error:
        raise InternalError(f"the project's process left no manifest: {error}") from error
