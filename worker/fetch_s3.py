"""An S3 object to a file, as it is now, going on after a cut where it broke off."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
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
from shared.errors import InvalidMessageError, SourceUnavailableError, one_line
from worker.landing import CHUNK_BYTES, InVain, Landed, check_room, file_name

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CUTS_FORGIVEN: Final = 8
"""In a row, that bring nothing."""
_CUT: Final = (ConnectionClosedError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError, ConnectionError)


def fetch_s3(uri: str, folder: Path, s3: "S3Client") -> Landed:
    """Download the object as it is now, not as it was when the message was sent."""
    try:
        bucket, key = keys.split_s3_uri(uri)
    except ValueError as error:
        raise InvalidMessageError(str(error)) from None
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
        check_room(uri, head["ContentLength"], folder)
        path = folder / file_name(key)
        digest = _download(s3, {"Bucket": bucket, "Key": key, "IfMatch": head["ETag"]}, head["ContentLength"], path)
    except ParamValidationError as error:
        raise InvalidMessageError(f"{keys.shown(uri)}: {one_line(str(error))}") from error
    except (BotoCoreError, ClientError) as error:
        if aws.is_precondition_failed(error):
            raise SourceUnavailableError(f"{keys.shown(uri)} was replaced while it was read") from error
        raise aws.explain(error, f"reading {keys.shown(uri)}") from error
    return Landed(path, aws.etag(head["ETag"]), digest)


def _download(s3: "S3Client", request: dict[str, Any], size: int, path: Path) -> str:
    """Write the object to ``path``, going on after a cut where it broke off; the sha256 of it all."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_CUT),
            stop=InVain(CUTS_FORGIVEN, file.tell),
            wait=tenacity.wait_random_exponential(multiplier=0.2, max=20),
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
