"""zip and tar archives: members are listed and checked, and only what is needed leaves them."""

import copy
import io
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Buffer, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tarfile import EOFHeaderError, HeaderError, ReadError  # type: ignore[attr-defined]
from typing import IO, Final, Self, cast, override

from isal import isal_zlib

from shared.errors import CorruptMatrixError, UnsupportedFormatError
from worker.matrices import scratch
from worker.matrices.streams import (
    DAMAGE,
    HEAD_BYTES,
    Closeable,
    Guarded,
    Readable,
    Source,
    file_source,
    gunzipped,
    inflated,
    inflated_start,
    is_gzipped,
)

ZIP_MAGIC: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""A zip's first member, or its end where it has none (APPNOTE.TXT, 4.3)."""
TAR_MAGIC: Final = b"ustar"
TAR_MAGIC_OFFSET: Final = 257
"""POSIX.1-1988 tar header."""
MAX_MEMBERS: Final = 10_000
MAX_NAME_CHARACTERS: Final = 1_024
MAX_HEADER_BYTES: Final = 1_048_576
"""Of a tar's extended header (POSIX pax, GNU long names), which is read at once."""
_LONG_HEADERS: Final = frozenset(
    {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}
)
START_BYTES: Final = 16_384
"""Of each member, enough to tell what it is."""
KEPT_BYTES: Final = 2**28
"""256 MiB: members of a gzipped tar that are kept on disk."""
MAX_UNPACKED_BYTES: Final = 2**38
"""256 GiB: what a file unpacked to disk may have at most."""
COPY_BYTES: Final = 4_194_304
SIP_BYTES: Final = 4_096
_ENCRYPTED: Final = 0x1
"""General purpose bit 0 of a zip member (APPNOTE.TXT, 4.4.4)."""
_READ_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_METHODS: Final = {9: "deflate64", 93: "zstd", 95: "xz", 96: "JPEG", 97: "WavPack", 98: "PPMd"}
"""Other methods of compression (APPNOTE.TXT, 4.4.5)."""
_GZIP_HEADER: Final = b"\x1f\x8b\x08" + b"\0" * 6 + b"\xff"
"""No name, no time, unknown system (RFC 1952, section 2.3)."""


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file in an archive; ``start`` is how it begins, inflated."""

    path: PurePosixPath
    source: Source
    start: bytes


def is_zip(start: bytes) -> bool:
    """Whether a file that starts like this is a zip archive."""
    return start.startswith(ZIP_MAGIC)


def is_tar(start: bytes) -> bool:
    """Whether a file that starts like this is a tar archive."""
    return start[TAR_MAGIC_OFFSET : TAR_MAGIC_OFFSET + len(TAR_MAGIC)] == TAR_MAGIC


def zip_members(path: Path) -> list[Member]:
    """The regular files of a zip archive; CorruptMatrixError where one is not to be trusted."""
    with _damage_named(path.name), zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        _refuse_too_many(path.name, len(infos))
        for info in infos:
            _refuse_untrusted(path.name, info)
        return [
            _zip_member(path, archive, info) for info in infos if not info.is_dir() and not _is_clutter(info.filename)
        ]


def _refuse_untrusted(archive: str, info: zipfile.ZipInfo) -> None:
    _refuse_outside(archive, info.filename)
    if info.header_offset < 0:
        raise CorruptMatrixError(f"{archive}: member {info.filename} begins before the archive does; send it again")
    if stat.S_ISLNK(info.external_attr >> 16):
        raise CorruptMatrixError(f"{archive}: member {info.filename} is a link; pack the file itself")
    if info.flag_bits & _ENCRYPTED:
        raise CorruptMatrixError(f"{archive}: member {info.filename} is encrypted; pack it without a password")
    if info.compress_type not in _READ_METHODS:
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        raise UnsupportedFormatError(
            f"{archive}: member {info.filename} is packed with {method}, which is not read; pack it with deflate"
        )


def _zip_member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with _damage_named(f"{path.name}, {info.filename}"), _opened_member(archive, info) as stream:
        start = stream.read(START_BYTES)
    source = Source(info.filename, partial(_open_zipped, path, info))
    return Member(PurePosixPath(info.filename), source, inflated_start(start, info.filename))


def _open_zipped(path: Path, info: zipfile.ZipInfo) -> io.BufferedReader:
    with _damage_named(f"{path.name}, {info.filename}"), ExitStack() as stack:
        archive = stack.enter_context(zipfile.ZipFile(path))
        member = _opened_member(archive, info, archive)
        stack.pop_all()
    return member


def _opened_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *owned: Closeable) -> io.BufferedReader:
    content = ExitStack()
    stream = content.enter_context(_content(archive, info))
    packed = None if info.compress_type == zipfile.ZIP_STORED else lambda: info.compress_size
    return io.BufferedReader(Guarded(stream, info.filename, packed, owned=(content, *owned)), HEAD_BYTES)


@contextmanager
def _content(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[Readable]:
    """The bytes of a member, verified. What is deflated is read as gzip: the same between a header and CRC and size."""
    if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        with archive.open(info) as stream:
            yield _Sips(stream)
        return
    unchecked = copy.copy(info)
    unchecked.compress_type, unchecked.file_size = zipfile.ZIP_STORED, info.compress_size
    del unchecked.CRC  # zipfile's own check takes a tenth of the time of inflating
    with archive.open(unchecked) as packed:
        if info.compress_type == zipfile.ZIP_STORED:
            yield _Stored(packed, info)
            return
        trailer = struct.pack("<LL", info.CRC, info.file_size & 0xFFFFFFFF)
        joined = _Joined(io.BytesIO(_GZIP_HEADER), cast("io.BufferedIOBase", packed), io.BytesIO(trailer))
        with gunzipped(io.BufferedReader(joined, HEAD_BYTES)) as stream:
            yield stream


class _Stored(io.RawIOBase):
    """Reads what is not packed; zipfile.BadZipFile at its end where the checksum is another."""

    def __init__(self, inner: IO[bytes], info: zipfile.ZipInfo) -> None:
        self._inner = cast("Readable", inner)
        self._info = info
        self._checksum = 0

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        count = self._inner.readinto(buffer) or 0
        self._checksum = isal_zlib.crc32(memoryview(buffer)[:count], self._checksum)
        if not count and self._checksum != self._info.CRC:
            raise zipfile.BadZipFile(f"Bad CRC-32 for file {self._info.filename!r}")
        return count


class _Sips(io.RawIOBase):
    """Reads little at a time: zipfile inflates all that so many bytes of bzip2 or LZMA may hold, 80 MB in 4 KiB."""

    def __init__(self, inner: IO[bytes]) -> None:
        self._inner = inner

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        data = self._inner.read(min(len(view), SIP_BYTES))
        view[: len(data)] = data
        return len(data)


class _Joined(io.RawIOBase):
    """One stream after another."""

    def __init__(self, *parts: io.BufferedIOBase) -> None:
        self._parts = [*parts]

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        while self._parts:
            if count := self._parts[0].readinto(buffer):
                return count
            self._parts.pop(0)
        return 0


class _Header(tarfile.TarInfo):
    """A member's header; tarfile itself takes a damaged one, but for the first, for the end of the archive."""

    @classmethod
    @override
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _LONG_HEADERS and header.size > MAX_HEADER_BYTES):
            raise ReadError(f"a header of {header.size:,} bytes")
        return header

    @classmethod
    @override
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except HeaderError as error:
            raise ReadError(f"{error} at byte {tarfile.offset:,}") from error


def tar_members(path: Path, room: Path) -> list[Member]:
    """The regular files of a tar archive, gzipped or not; CorruptMatrixError as for a zip.

    Small members of a gzipped one are kept in ``room``: to come back to them, all before them has to be inflated.
    """
    members: list[Member] = []
    room_left = KEPT_BYTES if is_gzipped(file_source(path)) else 0
    with _opened_tar(path) as archive:
        for number, info in enumerate(archive):
            _refuse_too_many(path.name, number + 1)
            _refuse_outside(path.name, info.name)
            if info.issym() or info.islnk():
                raise CorruptMatrixError(f"{path.name}: member {info.name} is a link; pack the file itself")
            if not info.isfile() or _is_clutter(info.name):
                continue
            if info.issparse():
                raise CorruptMatrixError(f"{path.name}: member {info.name} has holes; pack it without --sparse")
            keep = info.size <= room_left
            room_left -= info.size if keep else 0
            members.append(_tar_member(path, archive, info, number, room if keep else None))
    return members


def _tar_member(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo, number: int, room: Path | None) -> Member:
    content = archive.extractfile(info)
    if content is None:
        raise CorruptMatrixError(f"{path.name}: member {info.name} is no file")
    start = content.read(START_BYTES)
    source = Source(info.name, partial(_open_tarred, path, number, info.name))
    if room is not None:
        target = room / f"member-{number}"
        with scratch.writing(room), target.open("wb") as file:
            file.write(start)
            shutil.copyfileobj(content, file, COPY_BYTES)
        source = file_source(target, info.name)
    return Member(PurePosixPath(info.name), source, inflated_start(start, info.name))


def _open_tarred(path: Path, number: int, name: str) -> io.BufferedReader:
    stack = ExitStack()
    archive = stack.enter_context(_opened_tar(path))
    with stack:
        for place, info in enumerate(archive):
            if place == number and (content := archive.extractfile(info)):
                owned = stack.pop_all()
                return io.BufferedReader(Guarded(cast("Readable", content), name, owned=(owned,)), HEAD_BYTES)
    raise CorruptMatrixError(f"{path.name}: member {name} is gone")


@contextmanager
def _opened_tar(path: Path) -> Iterator[tarfile.TarFile]:
    """Read from start to end where it is gzipped, with seeks where it is not."""
    packed = file_source(path)
    with ExitStack() as stack, _damage_named(path.name):
        if is_gzipped(packed):
            stream = stack.enter_context(inflated(packed))
            yield stack.enter_context(tarfile.open(fileobj=stream, mode="r|", bufsize=HEAD_BYTES, tarinfo=_Header))
        else:
            yield stack.enter_context(tarfile.open(path, mode="r:", tarinfo=_Header))


@contextmanager
def _damage_named(name: str) -> Iterator[None]:
    try:
        yield
    except (*DAMAGE, NotImplementedError, RuntimeError, ValueError) as error:
        raise CorruptMatrixError(f"{name}: damaged or truncated archive ({error}); send it again") from error


def _refuse_outside(archive: str, name: str) -> None:
    if len(name) > MAX_NAME_CHARACTERS:
        raise CorruptMatrixError(f"{archive}: the name of a member has {len(name):,} characters; give it a shorter one")
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or not parts[0] or ":" in parts[0]:
        raise CorruptMatrixError(f"{archive}: member {name} points outside the archive; pack relative names")


def _refuse_too_many(archive: str, count: int) -> None:
    if count > MAX_MEMBERS:
        raise CorruptMatrixError(f"{archive}: more than {MAX_MEMBERS:,} members; pack the matrix only")


def _is_clutter(name: str) -> bool:
    """Whether a member is what file managers add (``__MACOSX``, ``.DS_Store``, ``._x``)."""
    return any(part.startswith((".", "__MACOSX")) and part != "." for part in name.split("/"))


def unpack(source: Source, room: Path) -> Path:
    """Its bytes, inflated, as a file in ``room``; ScratchFullError where there is no room."""
    with inflated(source, MAX_UNPACKED_BYTES) as stream, scratch.writing(room):
        descriptor, name = tempfile.mkstemp(dir=room)
        os.close(descriptor)
        with Path(name).open("wb") as target:
            shutil.copyfileobj(stream, target, COPY_BYTES)
    return Path(name)
