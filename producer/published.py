"""What the figure bucket says of a project: the manifest of its last success, the record of a failure since."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, keys, manifest
from shared.errors import AccessDeniedError, SettingsError

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
        body = self._read(keys.manifest(project_id))
        found = manifest.published_fingerprint(body) if body is not None else None
        if found == fingerprint:
            return Published(found)
        record = self._read(keys.failure(project_id))
        return Published(found, manifest.parse_failure(record) if record is not None else None)

    def _read(self, name: str) -> bytes | None:
        uri = f"s3://{self.bucket}/{self.prefix}{name}"
        try:
            return self.s3.get_object(Bucket=self.bucket, Key=self.prefix + name)["Body"].read()
        except (BotoCoreError, ClientError) as error:
            if aws.code(error) == "NoSuchBucket":
                raise SettingsError(f"DPSS_FIGURE_BUCKET: there is no bucket {self.bucket}") from error
            if aws.is_missing(error):
                return None
            explained = aws.explain(error, f"reading {uri}")
            if isinstance(explained, AccessDeniedError):
                raise AccessDeniedError(
                    f"{explained}; without s3:ListBucket a missing object is forbidden, too"
                ) from error
            raise explained from error
