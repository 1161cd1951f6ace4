"""What the figure bucket says of a project: the manifest of its last success, the record of a failure since."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, keys, manifest
from shared.errors import (
    AccessDeniedError,
    PassingError,
    PublishFailedError,
    SettingsError,
    SourceUnavailableError,
    SummaryStatsError,
)
from shared.pages import serving

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Published:
    """The fingerprint in the manifest, None where there is no manifest, and the failure record if one was read."""

    fingerprint: str | None = None
    failure: manifest.FailureRecord | None = None


@dataclass(frozen=True, slots=True)
class FigureBucket:
    """Where figures are published."""

    s3: "S3Client"
    bucket: str
    prefix: str

    def published(self, project_id: str, fingerprint: str) -> Published:
        """What is published of a project; its failure record is read only where the manifest is not of ``fingerprint``.

        Raises AccessDeniedError or SourceUnavailableError, SettingsError without a bucket.
        """
        body = self.read(keys.manifest(project_id))
        found = manifest.published_fingerprint(body) if body is not None else None
        if found == fingerprint:
            return Published(found)
        record = self.read(keys.failure(project_id))
        return Published(found, manifest.parse_failure(record) if record is not None else None)

    def objects(self) -> Iterator[tuple[str, str]]:
        """Name and ETag of every object below the prefix, in S3's order, as they stream by; raises as ``published``."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix)
        try:
            for page in pages:
                for found in page.get("Contents", ()):
                    yield found["Key"].removeprefix(self.prefix), found["ETag"]
        except (BotoCoreError, ClientError) as error:
            raise self._explained(error, f"listing s3://{self.bucket}/{self.prefix}") from error

    def read(self, name: str) -> bytes | None:
        """An object below the prefix; None where there is none. Raises as ``published`` does."""
        uri = self._uri(name)
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            if aws.is_missing(error) and aws.code(error) != "NoSuchBucket":
                return None
            explained = self._explained(error, f"reading {uri}")
            if isinstance(explained, AccessDeniedError):
                raise AccessDeniedError(
                    f"{explained}; without s3:ListBucket a missing object is forbidden, too"
                ) from error
            raise explained from error

    def write_page(self, name: str, body: bytes) -> str:
        """Put a page below the prefix; its address.

        Raises AccessDeniedError or PublishFailedError, SettingsError without a bucket.
        """
        uri = self._uri(name)
        try:
            self.s3.put_object(
                Bucket=self.bucket,
                Key=self.prefix + name,
                Body=body,
                ContentType=serving.CONTENT_TYPE,
                CacheControl=serving.CACHE_CONTROL,
            )
        except (BotoCoreError, ClientError) as error:
            raise self._explained(error, f"writing {uri}", PublishFailedError) from error
        return uri

    def _uri(self, name: str) -> str:
        return f"s3://{self.bucket}/{self.prefix}{name}"

    def _explained(
        self, error: Exception, what: str, passing: type[PassingError] = SourceUnavailableError
    ) -> SummaryStatsError | SettingsError:
        if aws.code(error) == "NoSuchBucket":
            return SettingsError(f"DPSS_FIGURE_BUCKET: there is no bucket {self.bucket}")
        return aws.explain(error, what, passing)
