"""Objects of one bucket: read, written on condition, deleted; every call made again while another try may help."""

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict

from shared import aws
from shared.errors import PublishFailedError, SettingsError, SummaryStatsError
from shared.pages import serving
from worker.holding import Remaining
from worker.persistence import ATTEMPT_SECONDS, FAULTS, persist

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.type_defs import GetObjectOutputTypeDef, ListObjectsV2OutputTypeDef

CONTENT_TYPES: Final = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".tsv": "text/tab-separated-values; charset=utf-8",
    ".parquet": "application/vnd.apache.parquet",
    ".json": "application/json",
    ".html": serving.CONTENT_TYPE,
}

PATIENCE_SECONDS: Final = 600.0
"""With an S3 that keeps failing: shorter than what it takes to compute a large project once more."""
SLOWEST_BYTES_PER_SECOND: Final = 1_048_576
"""An upload that is slower counts as stuck."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read; ``age`` in seconds since it was written, by S3's clock, to a second."""

    etag: str
    body: bytes
    age: float


class Condition(TypedDict, total=False):
    """What has to hold when S3 writes; empty is always."""

    IfMatch: str
    IfNoneMatch: str


class Headers(TypedDict):
    """What S3 says of an object to who asks for it."""

    ContentType: str
    CacheControl: str


def unchanged(etag: str | None) -> Condition:
    """What is there is still what was read; None: nothing."""
    return {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Raises PublishFailedError where S3 refused or kept failing; changes stop with LeaseLostError in time."""

    client: "S3Client"
    name: str
    attempt_seconds: float = ATTEMPT_SECONDS

    async def read(self, key: str) -> Stored | None:
        """What is there; None where nothing is."""
        try:
            return await persist(lambda: self._read(key), patience=PATIENCE_SECONDS, seconds=self.attempt_seconds)
        except FAULTS as error:
            if aws.code(error) in {"NoSuchKey", "404"}:
                return None
            raise self._explained(error, f"reading {self._uri(key)}") from error

    async def write(
        self, key: str, body: bytes | Path, remaining: Remaining, condition: Condition | None = None
    ) -> str | None:
        """The ETag of what was written; None where ``condition`` did not hold.

        The answer of a write that went well may be lost: then the condition does not hold any more, of our own doing.
        """
        seconds = self.attempt_seconds + _size(body) / SLOWEST_BYTES_PER_SECOND
        try:
            return await persist(
                lambda: self._write(key, body, condition or {}), remaining, patience=PATIENCE_SECONDS, seconds=seconds
            )
        except FAULTS as error:
            if aws.is_precondition_failed(error) or (condition and aws.code(error) == "NoSuchKey"):
                return None
            raise self._explained(error, f"writing {self._uri(key)}") from error

    async def etags(self, folder: str) -> dict[str, str]:
        """The ETag of each object whose key begins with ``folder``; of the first 1,000, and no project has as many."""

        async def ask() -> "ListObjectsV2OutputTypeDef":
            return await self.client.list_objects_v2(Bucket=self.name, Prefix=folder)

        try:
            answer = await persist(ask, patience=PATIENCE_SECONDS, seconds=self.attempt_seconds)
        except FAULTS as error:
            raise self._explained(error, f"listing {self._uri(folder)}") from error
        return {item["Key"]: item["ETag"] for item in answer.get("Contents", [])}

    async def delete(self, key: str, remaining: Remaining) -> None:
        """Nothing is there afterwards."""
        try:
            await persist(lambda: self._delete(key), remaining, patience=PATIENCE_SECONDS, seconds=self.attempt_seconds)
        except FAULTS as error:
            raise self._explained(error, f"deleting {self._uri(key)}") from error

    async def _read(self, key: str) -> Stored:
        answer = await self.client.get_object(Bucket=self.name, Key=key)
        async with answer["Body"] as body:  # else a body cut short leaves its connection open
            return Stored(answer["ETag"], await body.read(), _age(answer))

    async def _write(self, key: str, body: bytes | Path, condition: Condition) -> str:
        headers = _headers(Path(key).suffix)
        if isinstance(body, bytes):
            answer = await self.client.put_object(Bucket=self.name, Key=key, Body=body, **headers, **condition)
        else:
            with body.open("rb") as file:
                answer = await self.client.put_object(Bucket=self.name, Key=key, Body=file, **headers, **condition)
        return answer["ETag"]

    async def _delete(self, key: str) -> None:
        await self.client.delete_object(Bucket=self.name, Key=key)

    def _uri(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def _explained(self, error: Exception, what: str) -> SummaryStatsError | SettingsError:
        if aws.is_missing(error) or aws.is_forbidden(error):
            return PublishFailedError(f"{what}: refused ({aws.code(error)})")
        return aws.explain(error, what, PublishFailedError)


def _headers(suffix: str) -> Headers:
    return {"ContentType": CONTENT_TYPES[suffix], "CacheControl": serving.CACHE_CONTROL}


def _size(body: bytes | Path) -> int:
    return len(body) if isinstance(body, bytes) else body.stat().st_size


def _age(answer: "GetObjectOutputTypeDef") -> float:
    now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])
    return (now - answer["LastModified"]).total_seconds()
