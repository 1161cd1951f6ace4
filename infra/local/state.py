"""What S3 and SQS held, kept in a folder from run to run, since the emulator itself keeps nothing.

figures/            the figure bucket: each object under its key
objects.json        their content types and metadata
dead-letters.json   the dead-letter queue: bodies as they were, and attributes
logs/, scratch/     of the last run
"""

import base64
import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from infra.local.stack import Stack
from shared import aws
from shared.errors import SettingsError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

KEPT_HEADERS: Final = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)
"""What GetObject gives and PutObject takes."""
HIDDEN_SECONDS: Final = 600
"""How long a dead letter stays hidden once it was read here: longer than reading all of them takes."""
COMMIT: Final = "/manifest.json"


@dataclass(frozen=True, slots=True)
class State:
    """The folder, and where things lie in it."""

    folder: Path

    @property
    def figures(self) -> Path:
        """The figure bucket's objects."""
        return self.folder / "figures"

    @property
    def objects(self) -> Path:
        """Their content types and metadata."""
        return self.folder / "objects.json"

    @property
    def dead_letters(self) -> Path:
        """The dead-letter queue."""
        return self.folder / "dead-letters.json"

    @property
    def logs(self) -> Path:
        """What the processes of the last run had to say."""
        return self.folder / "logs"

    @property
    def scratch(self) -> Path:
        """The workers' room."""
        return self.folder / "scratch"

    def kept_dead_letters(self) -> list[dict[str, Any]]:
        """``body`` and ``attributes`` of each dead letter."""
        letters: list[dict[str, Any]] = _read_json(self.dead_letters, [])
        return letters


@contextmanager
def opened(folder: Path, *, fresh: bool) -> Iterator[State]:
    """The state in ``folder``, ours alone until the block ends; ``fresh`` forgets earlier runs.

    SettingsError where another process has it, or where the folder holds something else.
    """
    lock = folder / ".lock"
    if folder.exists() and not lock.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SettingsError(f"--state {folder}: there is something else; name a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as claim:
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SettingsError(f"--state {folder}: another dpss-local is using it; name another folder") from None
        state = State(folder)
        _tidy(state, fresh=fresh)
        yield state


def _tidy(state: State, *, fresh: bool) -> None:
    for stale in (state.scratch, state.logs, *((state.figures,) if fresh else ())):
        shutil.rmtree(stale, ignore_errors=True)
    for needed in (state.scratch, state.logs, state.figures):
        needed.mkdir(exist_ok=True)
    if fresh:
        state.objects.unlink(missing_ok=True)
        state.dead_letters.unlink(missing_ok=True)


def restore(state: State, stack: Stack, sqs: "SQSClient", s3: "S3Client") -> None:
    """Put what was kept into the figure bucket and the dead-letter queue."""
    headers = _kept_headers(state)
    for path in sorted(p for p in state.figures.rglob("*") if p.is_file()):
        key = path.relative_to(state.figures).as_posix()
        s3.put_object(Bucket=stack.figure_bucket, Key=key, Body=path.read_bytes(), **headers.get(key, {}))
    for letter in state.kept_dead_letters():
        attributes = {name: _decoded(value) for name, value in letter["attributes"].items()}
        sqs.send_message(QueueUrl=stack.dlq_url, MessageBody=letter["body"], MessageAttributes=attributes)


def save(state: State, stack: Stack, sqs: "SQSClient", s3: "S3Client") -> None:
    """Keep the figure bucket and the dead-letter queue; manifests last, since they say that the rest is there."""
    etags = object_etags(s3, stack.figure_bucket)
    headers = {key: kept for key, kept in _kept_headers(state).items() if key in etags}
    for key in sorted(etags, key=lambda k: (k.endswith(COMMIT), k)):
        path = _path(state, key)
        if key not in headers or not _has(path, etags[key]):
            answer = s3.get_object(Bucket=stack.figure_bucket, Key=key)
            headers[key] = {name: value for name, value in answer.items() if name in KEPT_HEADERS and value}
            _write(path, answer["Body"].read())
    for path in [p for p in state.figures.rglob("*") if p.is_file()]:
        if path.relative_to(state.figures).as_posix() not in etags:
            path.unlink()
    _write_json(state.objects, headers)
    _write_json(state.dead_letters, dead_letters(sqs, stack.dlq_url))


def object_etags(s3: "S3Client", bucket: str) -> dict[str, str]:
    """Key → ETag of every object in ``bucket``."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {found["Key"]: aws.etag(found["ETag"]) for page in pages for found in page.get("Contents", ())}


def dead_letters(sqs: "SQSClient", url: str) -> list[dict[str, Any]]:
    """``body`` and ``attributes`` of every letter that is not hidden; they stay in the queue, hidden for a while."""
    letters: list[dict[str, Any]] = []
    while messages := sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=aws.BATCH_ENTRIES,
        MessageAttributeNames=["All"],
        VisibilityTimeout=HIDDEN_SECONDS,
        WaitTimeSeconds=0,
    ).get("Messages"):
        letters += [
            {
                "body": message["Body"],
                "attributes": {
                    name: _encoded(dict(value)) for name, value in message.get("MessageAttributes", {}).items()
                },
            }
            for message in messages
        ]
    return letters


def _kept_headers(state: State) -> dict[str, dict[str, Any]]:
    return _read_json(state.objects, {})


def _encoded(attribute: dict[str, Any]) -> dict[str, str]:
    return {
        field: base64.b64encode(value).decode() if isinstance(value, bytes) else value
        for field, value in attribute.items()
        if isinstance(value, (str, bytes))
    }


def _decoded(attribute: dict[str, str]) -> Any:
    return {field: base64.b64decode(value) if field == "BinaryValue" else value for field, value in attribute.items()}


def _path(state: State, key: str) -> Path:
    path = state.figures / key
    if ".." in path.parts or not path.is_relative_to(state.figures):
        raise SettingsError(f"the object {key!r} in the figure bucket cannot be kept as a file below {state.figures}")
    return path


def _has(path: Path, etag: str) -> bool:
    return path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == etag


def _write(path: Path, contents: bytes) -> None:
    """All of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(contents)
    partial.replace(path)


def _write_json(path: Path, value: object) -> None:
    _write(path, json.dumps(value, indent=1, ensure_ascii=False).encode())


def _read_json[T](path: Path, absent: T) -> T:
    try:
        kept: T = json.loads(path.read_bytes())
    except FileNotFoundError:
        return absent
    except ValueError as error:
        raise SettingsError(f"{path}: {error}; --fresh starts anew") from None
    return kept
