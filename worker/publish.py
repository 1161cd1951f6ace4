"""From a folder of figures and tables to S3; the manifest is written last, and is the commit.

The parent publishes, not the child: who holds the lease is who writes, so a frozen or stopped parent publishes nothing.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from shared import aws, keys
from shared.errors import PublishFailedError, SettingsError, SummaryStatsError
from shared.manifest import FailureRecord, Manifest

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

UPLOADS_AT_ONCE: Final = 8
CONTENT_TYPES: Final = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
}


class SupersededError(Exception):
    """Another worker published this project since its manifest was read."""


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
        except (BotoCoreError, ClientError) as error:
            if aws.code(error) in {"NoSuchKey", "404"}:
                return None
            raise self._explained(error, f"reading s3://{self.bucket}/{key}") from error
        return _published(answer["ETag"], body)

    async def publish(
        self, manifest: Manifest, folder: Path, before: Published | None, held: Callable[[], bool]
    ) -> None:
        """Upload what ``manifest`` names from ``folder``, then the manifest if it is still as ``before``, then tidy up.

        Raises SupersededError where another manifest came between, LeaseLostError as soon as ``held`` says no.
        """
        await self._upload(_keys(manifest), folder, held)
        if not held():
            raise LeaseLostError
        key = self.prefix + keys.manifest(manifest.project_id)
        condition: _Condition = {"IfMatch": before.etag} if before else {"IfNoneMatch": "*"}
        try:
            await self.client.put_object(
                Bucket=self.bucket, Key=key, Body=manifest.body(), ContentType=CONTENT_TYPES[".json"], **condition
            )
        except (BotoCoreError, ClientError) as error:
            if aws.is_precondition_failed(error):
                raise SupersededError from error
            raise self._explained(error, f"writing s3://{self.bucket}/{key}") from error
        stale = (before.keys if before else frozenset()) - _keys(manifest)
        await self._delete([*sorted(stale), self.prefix + keys.failure(manifest.project_id)])

    async def record_failure(self, project_id: str, record: FailureRecord) -> None:
        """Say beside the figures why there are no newer ones."""
        key = self.prefix + keys.failure(project_id)
        try:
            await self.client.put_object(
                Bucket=self.bucket, Key=key, Body=record.body(), ContentType=CONTENT_TYPES[".json"]
            )
        except (BotoCoreError, ClientError) as error:
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
        except* (SummaryStatsError, SettingsError, LeaseLostError) as errors:
            raise errors.exceptions[0] from None

    async def _put_file(self, key: str, path: Path) -> None:
        try:
            with path.open("rb") as body:
                await self.client.put_object(
                    Bucket=self.bucket, Key=key, Body=body, ContentType=CONTENT_TYPES[path.suffix]
                )
        except (BotoCoreError, ClientError) as error:
            raise self._explained(error, f"writing s3://{self.bucket}/{key}") from error

    async def _delete(self, stale: list[str]) -> None:
        for key in stale:
            try:
                await self.client.delete_object(Bucket=self.bucket, Key=key)
            except (BotoCoreError, ClientError) as error:
                raise self._explained(error, f"deleting s3://{self.bucket}/{key}") from error

    def _explained(self, error: BotoCoreError | ClientError, what: str) -> SummaryStatsError | SettingsError:
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
    except (ValidationError, json.JSONDecodeError):
        return Published(etag)
    return Published(etag, manifest.fingerprint, manifest.generated_at, _keys(manifest))
