"""From an address to a file in the scratch folder, whole or not at all, its sha256 taken on the way."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import tenacity
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from shared import aws, keys
from shared.errors import (
    AccessDeniedError,
    InvalidMessageError,
    ScratchFullError,
    SourceUnavailableError,
    one_line,
)
from shared.manifest import Input
from shared.messages import MatrixReference

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK_BYTES: Final = 1_048_576
SCRATCH_FACTOR: Final = 3
"""Room wanted before a matrix of known size is fetched, in times its size: the file, its store, and the regrouping."""
CUTS_FORGIVEN: Final = 8
NAME_CHARACTERS: Final = 60
_CUT: Final = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError, ConnectionError)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A matrix on this machine, and what a manifest says of it."""

    path: Path
    input: Input


def describe(path: Path, reference: MatrixReference, version: str | None, sha256: str) -> Input:
    """The manifest's entry for the file at ``path``."""
    return Input(
        uri=reference.uri,
        version=version,
        size_bytes=path.stat().st_size,
        sha256=sha256,
        species=reference.species,
        library_construction=reference.library_construction,
    )


def fetch(reference: MatrixReference, folder: Path, s3: "S3Client") -> Fetched:
    """Download the matrix as it is now, not as it was when the message was sent."""
    if not reference.uri.startswith("s3://"):
        raise AccessDeniedError(f"{reference.uri}: no https:// host is allowed; copy the matrix to S3 and send that")
    try:
        bucket, key = keys.split_s3_uri(reference.uri)
    except ValueError as error:
        raise InvalidMessageError(str(error)) from None
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
        _check_room(reference.uri, head["ContentLength"], folder)
        path = folder / _file_name(key)
        digest = _download(s3, {"Bucket": bucket, "Key": key, "IfMatch": head["ETag"]}, head["ContentLength"], path)
    except ParamValidationError as error:
        raise InvalidMessageError(f"{reference.uri}: {one_line(str(error))}") from error
    except (BotoCoreError, ClientError) as error:
        if aws.is_precondition_failed(error):
            raise SourceUnavailableError(f"{reference.uri} was replaced while it was read") from error
        raise aws.explain(error, f"reading {reference.uri}") from error
    return Fetched(path, describe(path, reference, aws.etag(head["ETag"]), digest))


def _file_name(key: str) -> str:
    """What messages call the file: the end of the key's name, which may be longer than a file system takes."""
    name = PurePosixPath(key).name[-NAME_CHARACTERS:]
    return name if name.strip(".") else "matrix"


def hash_file(path: Path) -> str:
    """The sha256 of a file that is here already."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_room(uri: str, size: int, folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if size * SCRATCH_FACTOR > free:
        raise ScratchFullError(
            f"{uri} of {size / 1e6:,.0f} MB wants {SCRATCH_FACTOR} times that in {folder.parent}, "
            f"which has {free / 1e6:,.0f} MB left; give DPSS_SCRATCH_DIR more room"
        )


def _download(s3: "S3Client", request: dict[str, Any], size: int, path: Path) -> str:
    """Write the object to ``path``, going on after a cut where it broke off; the sha256 of it all."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_CUT),
            stop=tenacity.stop_after_attempt(CUTS_FORGIVEN),
            wait=tenacity.wait_exponential_jitter(initial=0.2, max=20),
            reraise=True,
        ):
            with attempt:
                for chunk in _rest_of(s3, request, file.tell(), size):
                    file.write(chunk)
                    digest.update(chunk)
    return digest.hexdigest()


def _rest_of(s3: "S3Client", request: dict[str, Any], start: int, size: int) -> Iterator[bytes]:
    if start < size:
        body = s3.get_object(**request, Range=f"bytes={start}-")["Body"]
        yield from body.iter_chunks(CHUNK_BYTES)
