"""From a folder of figures and tables to S3; the manifest is written last, and is the commit.

The parent publishes, not the child: who holds the lease is who writes, so a frozen or stopped parent publishes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from shared import aws, keys, telemetry
from shared.errors import PublishFailedError, SettingsError, SummaryStatsError, one_line
from shared.manifest import FailureRecord, Manifest, published_fingerprint

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

FAULTS: Final = (BotoCoreError, ClientError, aiohttp.ClientError, TimeoutError)
"""What a call to S3 may end with; aiohttp's own come from the body of an answer."""
UPLOADS_AT_ONCE: Final = 8
COMMITS_TRIED: Final = 5
CONTENT_TYPES: Final = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
}


log = telemetry.logger("publish")


class SupersededError(Exception):
    """Another worker published this project, of other inputs, since its manifest was read."""


class LeaseLostError(Exception):
    """The message is no longer ours: nothing more may be written."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is published of a project: its manifest's ETag, fingerprint and time, and the keys it names."""

    etag: str
    fingerprint: str | None = None
    generated_at: datetime | None = None
    keys: frozenset[str] = frozenset()


class _Condition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


@dataclass(frozen=True, slots=True)
class Publisher:
    """Writes below ``prefix`` of ``bucket``."""

    client: "S3Client"
    bucket: str
    prefix: str

    async def published(self, project_id: str) -> Published | None:
        """What the project's manifest says; None where there is none. An unreadable one counts as out of date."""
        key = self.prefix + keys.manifest(project_id)
        try:
            answer = await self.client.get_object(Bucket=self.bucket, Key=key)
            body = await answer["Body"].read()
        except FAULTS as error:
            if aws.code(error) in {"NoSuchKey", "404"}:
                return None
            raise self._explained(error, f"reading s3://{self.bucket}/{key}") from error
        return _published(answer["ETag"], body)

    async def publish(
        self, manifest: Manifest, folder: Path, before: Published | None, held: Callable[[], bool]
    ) -> None:
        """Upload what ``manifest`` names from ``folder``, then the manifest if it is still as ``before``, then tidy up.

        Raises SupersededError where figures of other inputs came between, LeaseLostError as soon as ``held`` says no.
        """
        await self._upload(_keys(manifest), folder, held)
        if not held():
            raise LeaseLostError
        await self._commit(manifest, before)
        await self._tidy(manifest, before)

    async def _commit(self, manifest: Manifest, before: Published | None) -> None:
        """Write the manifest over the one that was read; over another of the same fingerprint too.

        That is our own, if its answer was lost, or a duplicate's, whose figures ours have just replaced.
        """
        for _ in range(COMMITS_TRIED):
            if await self._put_manifest(manifest, before):
                return
            before = await self.published(manifest.project_id)
            if before and before.fingerprint != manifest.fingerprint:
                raise SupersededError
        raise PublishFailedError(f"the manifest of {manifest.project_id} kept changing while it was written")

    async def _put_manifest(self, manifest: Manifest, before: Published | None) -> bool:
        """Whether the manifest was still as ``before``, and so was written."""
        key = self.prefix + keys.manifest(manifest.project_id)
        condition: _Condition = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        try:
            await self.client.put_object(
                Bucket=self.bucket, Key=key, Body=manifest.body(), ContentType=CONTENT_TYPES[".json"], **condition
            )
        except FAULTS as error:
            if aws.is_precondition_failed(error):
                return False
            raise self._explained(error, f"writing s3://{self.bucket}/{key}") from error
        return True

    async def record_failure(self, project_id: str, record: FailureRecord) -> None:
        """Say beside the figures why there are no newer ones."""
        key = self.prefix + keys.failure(project_id)
        try:
            await self.client.put_object(
                Bucket=self.bucket, Key=key, Body=record.body(), ContentType=CONTENT_TYPES[".json"]
            )
        except FAULTS as error:
            raise self._explained(error, f"writing s3://{self.bucket}/{key}") from error

    async def _upload(self, upload_keys: Iterable[str], folder: Path, held: Callable[[], bool]) -> None:
        turns = asyncio.Semaphore(UPLOADS_AT_ONCE)

        async def one(key: str) -> None:
            async with turns:
                if not held():
                    raise LeaseLostError
                await self._put_file(key, folder / key.removeprefix(self.prefix))

        try:
            async with asyncio.TaskGroup() as group:
                for key in sorted(upload_keys):
                    group.create_task(one(key))
        except ExceptionGroup as errors:
            lost = [error for error in errors.exceptions if isinstance(error, LeaseLostError)]
            raise (lost or errors.exceptions)[0] from None

    async def _put_file(self, key: str, path: Path) -> None:
        try:
            with path.open("rb") as body:
                await self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentType=CONTENT_TYPES[path.suffix]
                )
        except FAULTS as error:
            raise self._explained(error, f"writing s3://{self.bucket}/{key}") from error

    async def _tidy(self, manifest: Manifest, before: Published | None) -> None:
        """Delete the record of a failure and the project's figures that the manifest no longer names.

        What is published is published: that a left-over stays is no failure.
        """
        own = tuple(f"{self.prefix}{manifest.project_id}{end}" for end in ("/", "."))
        stale = (before.keys if before else frozenset()) - _keys(manifest)
        left_over = [key for key in sorted(stale) if key.startswith(own)]
        for key in (*left_over, self.prefix + keys.failure(manifest.project_id)):
            try:
                await self.client.delete_object(Bucket=self.bucket, Key=key)
            except FAULTS as error:
                log.warning("left over", key=key, error=one_line(str(error)))

    def _explained(self, error: Exception, what: str) -> SummaryStatsError | SettingsError:
        if aws.is_missing(error) or aws.is_forbidden(error):
            return PublishFailedError(f"{what}: refused ({aws.code(error)})")
        return aws.explain(error, what, PublishFailedError)


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
    return Published(etag, manifest.fingerprint, manifest.generated_at, _keys(manifest))
