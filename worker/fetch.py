"""From an address to a file in the scratch folder, whole or not at all, its sha256 taken on the way."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import CorruptMatrixError
from shared.keys import shown
from shared.manifest import Input
from shared.messages import MatrixReference
from shared.portal import is_file_version, promised_sha256
from worker.fetch_https import fetch_https
from worker.fetch_s3 import fetch_s3
from worker.hops import Client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Fetched:
    """A matrix on this machine, and what a manifest says of it.

    ``found`` are tables that nobody named: they lay beside the matrix, which is bare.
    """

    path: Path
    input: Input
    found: tuple["Fetched", ...] = ()


def fetch(reference: MatrixReference, folder: Path, s3: "S3Client", client: Client) -> Fetched:
    """Download the matrix; a portal's version stands in the manifest as the message has it.

    Of an object in S3 that is its ETag, unless it lies in a portal's mirror or the message promises a content.
    """
    promised = promised_sha256(reference.version)
    if reference.uri.startswith("s3://"):
        landed = fetch_s3(reference.uri, folder, s3)
        if promised not in {None, landed.sha256}:
            raise CorruptMatrixError(
                f"{shown(reference.uri)}: it has sha256 {landed.sha256}, not {promised} as the message's version says"
            )
        version = reference.version if promised or is_file_version(reference.version) else landed.etag
    else:
        landed = fetch_https(reference.uri, reference.version, folder, client)
        version = reference.version or landed.etag
    return Fetched(landed.path, describe(landed.path, reference, version, landed.sha256))


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


def hash_file(path: Path) -> str:
    """The sha256 of a file that is here already."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
