"""Bytes of a file or of an archive's member, inflated as they are read, with damage and bombs found on the way."""

import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Buffer, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast, override

from isal import igzip, isal_zlib

from shared.errors import CorruptMatrixError

GZIP_MAGIC: Final = b"\x1f\x8b"
"""RFC 1952, section 2.3.1."""
HEAD_BYTES: Final = 65_536
"""Enough to tell what a file is."""
MAX_RATIO: Final = 500
"""Bytes inflated for each packed byte. Counts pack 3:1 to 100:1, as text mostly zeros; deflate ends at 1,032:1."""
RATIO_GRACE_BYTES: Final = 67_108_864
"""Below this much (64 MiB) a ratio does no harm."""
MAX_INFLATED_BYTES: Final = 2**40
"""1 TiB: some thirty times the text of the largest matrix published (1.3 M cells, 2.6 G entries)."""
_GZIP_FRAMED: Final = 31
"""Window bits that ask zlib's interface for a gzip header and trailer."""

DEFLATE_ERROR: Final = cast("type[Exception]", isal_zlib.error)
DAMAGE: Final = (EOFError, DEFLATE_ERROR, gzip.BadGzipFile, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError)


class Readable(Protocol):
    """What bytes are read from."""

    def readinto(self, buffer: Buffer, /) -> int | None:
        """Fill the buffer as far as there are bytes, and say how far; 0 at the end."""

    def close(self) -> None:
        """Let go."""


class Closeable(Protocol):
    """What is let go with a stream."""

    def close(self) -> None:
        """Let go."""


@dataclass(frozen=True, slots=True)
class Source:
    """Something to read from its start, as often as wanted; ``name`` is for messages."""

    name: str
    open: Callable[[], io.BufferedReader]


def file_source(path: Path, name: str | None = None) -> Source:
    """A file on this machine."""
    return Source(name or path.name, lambda: path.open("rb"))


class Guarded(io.RawIOBase):
    """Reads ``inner``; damage becomes CorruptMatrixError with the place, and so does what inflates beyond reason.

    ``packed`` gives the packed bytes behind what was read so far; None where nothing is packed.
    """

    def __init__(
        self,
        inner: Readable,
        name: str,
        packed: Callable[[], int] | None = None,
        limit: int = MAX_INFLATED_BYTES,
        owned: tuple[Closeable, ...] = (),
    ) -> None:
        self._inner = inner
        self._name = name
        self._packed = packed
        self._limit = limit
        self._owned = owned
        self._offset = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        try:
            count = self._inner.readinto(buffer) or 0
        except DAMAGE as error:
            raise self._damaged(error) from error
        except OSError as error:
            if error.errno is not None:
                raise
            raise self._damaged(error) from error  # bz2's word for damage
        self._offset += count
        self._refuse_bombs()
        return count

    def _damaged(self, error: Exception) -> CorruptMatrixError:
        return CorruptMatrixError(
            f"{self._name}: damaged or truncated after {self._offset:,} bytes of content ({error}); send it again"
        )

    def _refuse_bombs(self) -> None:
        if self._offset > self._limit:
            raise CorruptMatrixError(f"{self._name}: inflates to more than {self._limit:,} bytes, more than any matrix")
        if self._packed is None or self._offset <= RATIO_GRACE_BYTES:
            return
        packed = max(self._packed(), 1)
        if self._offset > MAX_RATIO * packed:
            raise CorruptMatrixError(
                f"{self._name}: {packed:,} bytes inflate to {self._offset:,} and on, more than {MAX_RATIO}:1,"
                " which no matrix does"
            )

    @override
    def close(self) -> None:
        if not self.closed:
            for stream in (self._inner, *self._owned):
                stream.close()
        super().close()


class _Counting(io.RawIOBase):
    """Counts what is read from ``inner``."""

    def __init__(self, inner: io.BufferedReader) -> None:
        self._inner = inner
        self.count = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        count = self._inner.readinto(buffer)
        self.count += count
        return count

    @override
    def close(self) -> None:
        self._inner.close()
        super().close()


def is_gzipped(source: Source) -> bool:
    """Whether it starts as gzip does."""
    with source.open() as stream:
        return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def inflated(source: Source, limit: int = MAX_INFLATED_BYTES) -> io.BufferedReader:
    """Its bytes, inflated if they are gzip; at most ``limit`` of them."""
    counting = _Counting(source.open())
    packed = io.BufferedReader(counting, HEAD_BYTES)
    if not packed.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
        return io.BufferedReader(Guarded(packed, source.name, limit=limit), HEAD_BYTES)
    guarded = Guarded(gunzipped(packed), source.name, lambda: counting.count, limit, owned=(packed,))
    return io.BufferedReader(guarded, HEAD_BYTES)


def gunzipped(packed: io.BufferedIOBase) -> io.BufferedIOBase:
    """What gzip members, one or several, inflate to; their CRC and sizes are verified. ``packed`` stays open."""
    return igzip.IGzipFile(fileobj=packed, mode="rb")  # type: ignore[no-untyped-call]


def inflated_start(start: bytes, name: str) -> bytes:
    """The first bytes of something of which ``start`` is at hand, inflated if they are gzip."""
    if not start.startswith(GZIP_MAGIC):
        return start
    try:
        return isal_zlib.decompressobj(_GZIP_FRAMED).decompress(start, HEAD_BYTES)
    except DEFLATE_ERROR as error:
        raise CorruptMatrixError(f"{name}: damaged gzip ({error}); send it again") from error


def head(source: Source) -> bytes:
    """Its first bytes, inflated if they are gzip."""
    with inflated(source) as stream:
        return stream.read(HEAD_BYTES)
