"""From a folder of figures and tables to S3, with their page; the manifest is written last, and is the commit.

The parent publishes, not the child: who holds the lease is who writes, so a frozen or stopped parent publishes nothing.
What a manifest names is there, byte for byte, at every moment: one that names files about to be replaced goes first.
It does not name the page, which is made of it: every publishing writes one, so that none is left over.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from shared import keys, telemetry
from shared.errors import SummaryStatsError
from shared.manifest import FailureRecord, Manifest, published_fingerprint
from worker.claim import Claim, Claimant, claimed
from worker.holding import LeaseLostError, Remaining, SupersededError
from worker.objects import Bucket, unchanged
from worker.page import write_page

UPLOADS_AT_ONCE: Final = 8

log = telemetry.logger("publish")


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a project: its manifest's ETag, fingerprint and times, and the keys it names."""

    etag: str
    fingerprint: str | None = None
    generated_at: datetime | None = None
    requested_at: datetime | None = None
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes below ``prefix``; its claims name ``worker`` and hold for ``claim_seconds`` without renewal."""

    bucket: Bucket
    prefix: str
    worker: str
    claim_seconds: int

    async def published(self, project_id: str) -> Published | None:
        """What the project's manifest says; None where there is none. An unreadable one counts as out of date."""
        stored = await self.bucket.read(self.prefix + keys.manifest(project_id))
        return None if stored is None else _published(stored.etag, stored.body)

    async def publish(self, manifest: Manifest, folder: Path, before: Published | None, remaining: Remaining) -> bool:
        """Upload what ``manifest`` names from ``folder``, its page, then itself; False where others did so meanwhile.

        ``before`` was read before the inputs were. Raises SupersededError where figures of other inputs came since,
        LeaseLostError where nothing is ``remaining``.
        """
        await asyncio.to_thread(write_page, manifest, self.prefix, folder, indexed=True)
        while True:
            try:
                return await self._publish(manifest, folder, before, remaining)
            except LeaseLostError:
                if not remaining():
                    raise
                log.warning("the claim could not be renewed in time; publishing anew")

    async def _publish(self, manifest: Manifest, folder: Path, before: Published | None, remaining: Remaining) -> bool:
        key = self.prefix + keys.claim(manifest.project_id)
        async with claimed(Claimant(self.bucket, key, self.worker, self.claim_seconds, remaining)) as claim:
            present = await self.published(manifest.project_id)
            if present and present.etag != (before and before.etag):
                if present.fingerprint == manifest.fingerprint:
                    return False
                raise SupersededError
            await self._prepare(manifest, present, claim)
            await self._upload(_keys(manifest) | {self.prefix + keys.page(manifest.project_id)}, folder, claim)
            await self._commit(manifest, claim)
            await self._tidy(manifest, claim)
        return True

    async def record_failure(self, project_id: str, record: FailureRecord, remaining: Remaining) -> None:
        """Say beside the figures why there are no newer ones."""
        await self.bucket.write(self.prefix + keys.failure(project_id), record.body(), remaining)

    async def _prepare(self, manifest: Manifest, present: Published | None, claim: Claim) -> None:
        """Note whatever may be left over should we be stopped, and take back the manifest that names what goes."""
        await claim.note_left_over(_keys(manifest) | (present.keys if present else frozenset()))
        if present:
            await self.bucket.delete(self.prefix + keys.manifest(manifest.project_id), claim.remaining)

    async def _upload(self, upload_keys: frozenset[str], folder: Path, claim: Claim) -> None:
        """Each on condition that it is what it was as the claim began: what a frozen worker sends late is refused."""
        present: dict[str, str] = {}
        for place in sorted({key.rpartition("/")[0] + "/" for key in upload_keys}):
            present |= await self.bucket.etags(place)
        turns = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def one(key: str) -> None:
            async with turns:
                await self._put(key, folder / key.removeprefix(self.prefix), present.get(key), claim)

        try:
            async with asyncio.TaskGroup() as group:
                for key in sorted(upload_keys):
                    group.create_task(one(key))
        except ExceptionGroup as errors:
            lost = [error for error in errors.exceptions if isinstance(error, LeaseLostError)]
            raise (lost or errors.exceptions)[0] from None

    async def _put(self, key: str, path: Path, present: str | None, claim: Claim) -> None:
        await claim.keep()
        if await self.bucket.write(key, path, claim.remaining, unchanged(present)) is None:
            stored = await self.bucket.read(key)
            if stored is None or stored.body != await asyncio.to_thread(path.read_bytes):
                raise SupersededError

    async def _commit(self, manifest: Manifest, claim: Claim) -> None:
        """The manifest, where there is none: an answer that was lost leaves our own there."""
        await claim.keep()
        await self.bucket.delete(self.prefix + keys.failure(manifest.project_id), claim.remaining)
        key, body = self.prefix + keys.manifest(manifest.project_id), manifest.body()
        if await self.bucket.write(key, body, claim.remaining, unchanged(None)) is None:
            stored = await self.bucket.read(key)
            if stored is None or stored.body != body:
                raise SupersededError

    async def _tidy(self, manifest: Manifest, claim: Claim) -> None:
        """Delete the project's figures that no manifest names any more: that one stays is no failure."""
        own = tuple(f"{self.prefix}{manifest.project_id}{end}" for end in ("/", "."))
        for key in sorted(claim.left_over - _keys(manifest)):
            if key.startswith(own):
                try:
                    await self.bucket.delete(key, claim.remaining)
                except (SummaryStatsError, LeaseLostError) as error:
                    log.warning("left over", key=key, error=str(error))
        claim.forget_left_over()


def _keys(manifest: Manifest) -> frozenset[str]:
    libraries = [library for entity in manifest.entities for library in entity.libraries]
    figures = {figure.key for library in libraries for figure in library.figures}
    tables = {table.key for library in libraries for table in library.tables}
    return frozenset(figures | tables)


def _published(etag: str, body: bytes) -> Published:
    try:
        manifest = Manifest.model_validate_json(body)
    except ValidationError:
        return Published(etag, published_fingerprint(body))
    return Published(etag, manifest.fingerprint, manifest.generated_at, manifest.requested_at, _keys(manifest))
