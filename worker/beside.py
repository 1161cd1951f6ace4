"""The tables of a bare matrix that nobody named, looked for where the matrix lies."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, keys
from shared.companions import choose, is_table_name
from shared.manifest import Input
from shared.messages import MatrixReference
from worker.fetch import Fetched, describe, hash_file
from worker.fetch_s3 import fetch_s3
from worker.matrices.opening import is_bare, member_of

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

LISTED: Final = 1_000
"""Keys looked at: what S3 lists in one answer (S3 API reference, ListObjectsV2)."""
_OWN_NAME = re.compile(r"[._-]*(?:matrix|\.mtx)", re.IGNORECASE)
"""Where the part of a name ends that a matrix shares with its tables."""


def found_in_folder(matrix: Path) -> tuple[Fetched, ...]:
    """The tables in the folder of ``matrix`` that are called as it is; none unless it is bare."""
    if not is_bare(member_of(matrix, str(matrix))):
        return ()
    chosen = choose(PurePosixPath(matrix), map(PurePosixPath, matrix.parent.iterdir()), alone=False)
    return tuple(_local(Path(path)) for path in chosen.paths)


def _local(path: Path) -> Fetched:
    digest = hash_file(path)
    return Fetched(path, Input(uri=path.name, version=digest, size_bytes=path.stat().st_size, sha256=digest))


def found_in_s3(matrix: Fetched, named: Iterable[str], folder: Path, s3: "S3Client") -> tuple[Fetched, ...]:
    """The tables that lie beside a bare matrix in S3 and are called as it is, fetched to ``folder``.

    None where the message names tables in that place itself: ``named`` are all its addresses. AccessDeniedError or
    SourceUnavailableError where S3 does not list or give them.
    """
    uri = matrix.input.uri
    if not uri.startswith("s3://") or not is_bare(member_of(matrix.path, uri)):
        return ()
    place = PurePosixPath(uri)
    if any(other.parent == place.parent and is_table_name(other) for other in map(PurePosixPath, named)):
        return ()
    neighbours = {PurePosixPath(neighbour): neighbour for neighbour in _neighbours(uri, s3)}
    chosen = choose(place, neighbours, alone=False)
    return tuple(_fetched(neighbours[path], folder / f"table-{n}", s3) for n, path in enumerate(chosen.paths))


def _neighbours(uri: str, s3: "S3Client") -> list[str]:
    """Objects whose names begin as the matrix's does, before ``matrix`` or its extension."""
    bucket, key = keys.split_s3_uri(uri)
    folder, _, name = key.rpartition("/")
    prefix = f"{folder}/" if folder else ""
    prefix += _OWN_NAME.split(name, maxsplit=1)[0]
    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=LISTED)
    except (BotoCoreError, ClientError) as error:
        what = f"listing s3://{bucket}/{prefix}… for the tables of {keys.shown(uri)}, which its message does not name"
        raise aws.explain(error, what) from error
    return [f"s3://{bucket}/{item['Key']}" for item in found.get("Contents", [])]


def _fetched(uri: str, folder: Path, s3: "S3Client") -> Fetched:
    folder.mkdir()
    landed = fetch_s3(uri, folder, s3)
    return Fetched(landed.path, describe(landed.path, MatrixReference(uri=uri), landed.etag, landed.sha256))
