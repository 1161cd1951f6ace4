"""Matrices lying in a bucket under ``{prefix}{project_id}[.{species}].{extension}``."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from producer.sources.project import Candidate, Project, Unusable
from shared import aws, keys
from shared.errors import EmptyMatrixError, SettingsError, UnsupportedFormatError
from shared.messages import MAX_MATRICES, MatrixReference

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One line of a bucket's listing; ``version`` is the ETag without quotes."""

    key: str
    version: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CannedSource:
    """The place of the matrices; ``blacklist_key`` may lie among them and is none."""

    s3: "S3Client"
    bucket: str
    prefix: str
    blacklist_key: str = ""

    def projects(self, project_id: str = "") -> Iterator[Candidate]:
        """Every project (or only ``project_id``) and every unusable name, as the listing streams by.

        Raises AccessDeniedError or SourceUnavailableError where the listing stops, SettingsError without a bucket.
        """
        start = f"{self.prefix}{project_id}." if project_id else self.prefix
        matrices = (listed for listed in self._listing(start) if listed.key not in (self.prefix, self.blacklist_key))
        return _grouped(self.bucket, self.prefix, matrices)

    def _listing(self, start: str) -> Iterator[ListedObject]:
        place = f"listing s3://{self.bucket}/{start}"
        try:
            for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
                for found in page.get("Contents", []):
                    yield ListedObject(found["Key"], aws.etag(found["ETag"]), found["Size"])
        except (BotoCoreError, ClientError) as error:
            if aws.is_missing(error):
                raise SettingsError(f"DPSS_MATRIX_BUCKET: there is no bucket {self.bucket}") from error
            raise aws.explain(error, place) from error


def _grouped(bucket: str, prefix: str, listing: Iterable[ListedObject]) -> Iterator[Candidate]:
    """Matrices of a project are neighbours in S3's order, for they share ``{project_id}.``; others may be between."""
    project_id, matrices = "", list[MatrixReference]()
    for listed in listing:
        name = listed.key.removeprefix(prefix)
        try:
            parsed = _parsed(name, listed.size_bytes)
            matrix = _reference(f"s3://{bucket}/{listed.key}", listed, parsed.species)
        except (EmptyMatrixError, UnsupportedFormatError) as error:
            yield Unusable(name, error.reason, error.line)
            continue
        if parsed.project_id != project_id:
            if matrices:
                yield Project(project_id, tuple(matrices))
            project_id, matrices = parsed.project_id, []
        if len(matrices) <= MAX_MATRICES:  # one too many tells that there are too many
            matrices.append(matrix)
    if matrices:
        yield Project(project_id, tuple(matrices))


def _parsed(name: str, size_bytes: int) -> keys.CannedKey:
    if "/" in name:
        raise UnsupportedFormatError("the object lies in a folder below the prefix")
    try:
        parsed = keys.parse_canned(name)
    except ValueError as error:
        raise UnsupportedFormatError(str(error)) from None
    if not size_bytes:
        raise EmptyMatrixError("the object is empty")
    return parsed


def _reference(uri: str, listed: ListedObject, species: str | None) -> MatrixReference:
    try:
        return MatrixReference(uri=uri, version=listed.version, size_bytes=listed.size_bytes, species=species)
    except ValidationError as error:
        raise UnsupportedFormatError(f"no message can name the matrix: {error.errors()[0]['msg']}") from None
