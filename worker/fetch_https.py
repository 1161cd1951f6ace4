"""A portal's file over HTTPS to a file here: resumed by range after a cut, never glued from two versions."""

import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import tenacity

from shared import aws
from shared.errors import CorruptMatrixError, SourceUnavailableError
from shared.keys import shown
from shared.portal import promised_sha256
from worker.hops import Answer, Client, TryAgainError
from worker.landing import InVain, Landed, check_room, file_name, named_place

if TYPE_CHECKING:
    from hashlib import _Hash

TRIES: Final = 8
"""Answers in a row that are busy, broken or cut and bring nothing, before the file is given up for now."""
READINGS: Final = 2
"""Of the whole file, where its sha256 is not the one promised."""
_GROWING: Final = tenacity.wait_random_exponential(multiplier=0.2, max=20)


def fetch_https(uri: str, version: str | None, folder: Path, client: Client) -> Landed:
    """Download the file; where ``version`` promises a sha256, what came has to have it, at the second time."""
    promised = promised_sha256(version)
    seen: list[str] = []
    while len(seen) < READINGS:
        landed = _download(uri, folder, client)
        if promised in {None, landed.sha256}:
            return landed
        seen.append(landed.sha256)
    text = f"{shown(uri)}: what comes has sha256 {seen[-1]}, not {promised} as the message's version says"
    raise CorruptMatrixError(text) if len(set(seen)) == 1 else SourceUnavailableError(text)


def _download(uri: str, folder: Path, client: Client) -> Landed:
    path = folder / file_name(named_place(uri))
    tries = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(TryAgainError),
        wait=_pause,
        sleep=client.sleep,
        reraise=True,
    )
    with path.open("wb") as file:
        part = _Part(file)
        tries.stop = InVain(TRIES, lambda: part.received)
        try:
            tries(_go_on, uri, part, folder, client)
        except TryAgainError as error:
            raise SourceUnavailableError(f"{shown(uri)}: {error}; gave up after {TRIES} tries in vain") from error
    return Landed(path, aws.etag(part.etag) if part.etag else None, part.digest.hexdigest())


def _pause(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    after = error.after if isinstance(error, TryAgainError) else None
    return _GROWING(state) if after is None else after


def _go_on(uri: str, part: "_Part", folder: Path, client: Client) -> None:
    """Ask for what is missing, from the message's address on: the place a portal redirects to is good for a while."""
    with client.get(uri, part.condition()) as answer:
        if not part.continued_by(answer):
            part.start_over()
            if answer.status != HTTPStatus.OK:
                raise TryAgainError(f"{answer.place.host} has another file than a moment ago")
            if answer.size is None:
                raise SourceUnavailableError(f"{shown(uri)}: {answer.place.host} does not say how long the file is")
            check_room(uri, answer.size, folder)
            part.etag, part.size = answer.header("ETag"), answer.size
        for chunk in answer.chunks():
            part.add(chunk)
    if part.received != part.size:
        raise TryAgainError(f"{answer.place.host} cut the file at {part.received:,} of {part.size:,} bytes")


@dataclass
class _Part:
    """What has come of one version of the file; ``etag`` as the server wrote it."""

    file: BinaryIO
    etag: str | None = None
    size: int = 0
    digest: "_Hash" = field(default_factory=hashlib.sha256)

    @property
    def received(self) -> int:
        return self.file.tell()

    def condition(self) -> dict[str, str]:
        """The headers that ask for the rest; a weak ETag, or none, does not tell versions apart (RFC 9110, 13.1.5)."""
        if not self.received or not self.etag or self.etag.startswith("W/"):
            return {}
        return {"Range": f"bytes={self.received}-", "If-Range": self.etag}

    def continued_by(self, answer: Answer) -> bool:
        """Whether the body is the missing rest of the same version."""
        rest = f"bytes {self.received}-{self.size - 1}/{self.size}"
        return (
            answer.status == HTTPStatus.PARTIAL_CONTENT
            and answer.header("ETag") == self.etag
            and answer.header("Content-Range") == rest
            and answer.size == self.size - self.received
        )

    def start_over(self) -> None:
        """Forget what came."""
        self.file.seek(0)
        self.file.truncate()
        self.digest = hashlib.sha256()

    def add(self, chunk: bytes) -> None:
        """Take what comes next."""
        self.file.write(chunk)
        self.digest.update(chunk)
