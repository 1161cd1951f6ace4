"""What is fuzzed, and what holds whatever it is given.

Each ends, raises nothing but the project's own errors, and gives what a plain reading gives, where there is one.
"""

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import scipy.sparse

from shared.errors import CorruptMatrixError, EmptyMatrixError, NoRawCountsError, UnsupportedFormatError
from tests.fuzz import oracles
from tests.fuzz.hdf5_edits import edited
from tests.matrices.building import whole
from worker.matrices import archives, tables, text
from worker.matrices.digits import read_index, read_number
from worker.matrices.market import EntriesOutOfOrderError, open_market
from worker.matrices.matrix import Matrix
from worker.matrices.opening import open_matrix
from worker.matrices.streams import GZIP_MAGIC, Source, inflated

Target = Callable[[bytes, Path], None]
"""Takes an input and an empty folder."""

FORESEEN: Final = (CorruptMatrixError, EmptyMatrixError, NoRawCountsError, UnsupportedFormatError)
MOST_LABELS: Final = 300
"""Genes or cells of a made table: a header may ask for more, which is a mismatch."""
TOLERANCE: Final = 1e-6
"""Relative: sums are kept as float32."""
MOST_INFLATED_BYTES: Final = 2**20
FLAGS_AT: Final = 3
CHECKED_FLAGS: Final = 0b1110_0010
"""Of a gzip header: a checksum of its own, and those that are reserved (RFC 1952, 2.3.1)."""


def source(content: bytes, name: str = "input") -> Source:
    """Bytes in memory."""
    return Source(name, lambda: io.BufferedReader(io.BytesIO(content)))


def read_whole(matrix: Matrix) -> scipy.sparse.csr_array:
    """All counts; every block keeps its promises, and together they are as many as the tables say."""
    try:
        counts = whole(matrix)
    except EntriesOutOfOrderError:
        counts = whole(matrix)
    assert counts.shape == (len(matrix.cells), len(matrix.genes))
    assert len(matrix.genes.symbols) == len(matrix.genes)
    assert np.all(np.isfinite(counts.data) & (counts.data > 0))
    assert all(isinstance(sentence, str) for sentence in matrix.reading)
    return counts


def number(data: bytes, _: Path) -> None:
    """Numbers and indices in text, against Python's float and int."""
    text = data[:64]
    padded = np.frombuffer(text + b"\n", np.uint8)
    value, length = read_number(padded, 0, len(text))
    expected, expected_length = oracles.number_at_start(text)
    assert length == expected_length
    with np.errstate(over="ignore"):
        same = np.float32(value) == np.float32(expected)
    assert same or abs(value - expected) <= 1e-15 * abs(expected), (value, expected)
    index, length = read_index(padded, 0, len(text))
    expected_index, expected_length = oracles.index_at_start(text)
    assert length == expected_length
    assert index == expected_index or abs(expected_index) >= 10**17


def market(data: bytes, room: Path) -> None:
    """MatrixMarket text with tables that fit, where it is small, against a plain reading."""
    plain = gzip.decompress(data) if _is_whole_gzip(data) else data
    shape, body = oracles.market_shape(plain)
    sides = [min(side, MOST_LABELS) for side in shape[:2]]
    features, cells = (source(b"".join(b"label-%d\n" % n for n in range(side))) for side in sides)
    try:
        found = read_whole(open_market(source(data), features, cells, "", room))
    except FORESEEN:
        return
    expected = oracles.market_entries(body, *shape)
    assert expected is not None, "read, but a line is wrong"
    assert np.allclose(found.toarray(), expected.T, rtol=TOLERANCE, atol=0)


def _is_whole_gzip(data: bytes) -> bool:
    try:
        return data.startswith(GZIP_MAGIC) and gzip.decompress(data) is not None
    except (OSError, EOFError, zlib.error):
        return False


def table(data: bytes, room: Path) -> None:
    """A text matrix, against a plain reading where nothing is quoted."""
    try:
        matrix = text.open_text(source(data), room)
        found = read_whole(matrix).toarray()
    except FORESEEN:
        return
    if b'"' in data or data.startswith(GZIP_MAGIC) or any("passed over" in told for told in matrix.reading):
        return
    expected = oracles.text_values(data.removeprefix(b"\xef\xbb\xbf"))
    assert expected is not None, "read, but a row is wrong"
    turned = [side for side in (expected, expected.T) if side.shape == found.shape]
    assert any(np.allclose(found, side, rtol=TOLERANCE, atol=0) for side in turned)


def features(data: bytes, _: Path) -> None:
    """A table of genes: as many of everything, all of it text."""
    try:
        found = tables.read_features(source(data))
    except FORESEEN:
        return
    parts = [part for part in (found.ids, found.symbols, found.kinds, found.genomes) if part is not None]
    assert {len(part) for part in parts} == {len(found)}
    assert all(isinstance(item, str) for part in parts for item in part)
    _assert_no_line_lost(data, len(found))


def cells(data: bytes, _: Path) -> None:
    """A table of cells: a label for each, all of it text."""
    try:
        found = tables.read_cells(source(data))
    except FORESEEN:
        return
    labels = found.cells.library_labels
    assert all(isinstance(item, str) for item in found.cells.ids)
    assert labels is None or (len(labels) == len(found.cells) and all(isinstance(item, str) for item in labels))
    _assert_no_line_lost(data, len(found.cells))


def _assert_no_line_lost(data: bytes, n_rows: int) -> None:
    """Every line is a row, but for a header and blank lines."""
    if b'"' in data or b"\r" in data or data[:2] == GZIP_MAGIC:
        return
    lines = sum(bool(line) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    assert n_rows in (lines, max(lines - 1, 0))


def gunzip(data: bytes, _: Path) -> None:
    """A gzip stream, against Python's own gzip, which overlooks a header's checksum and its reserved bits."""
    content = data if data.startswith(GZIP_MAGIC) else GZIP_MAGIC + data
    try:
        expected = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        expected = None
    try:
        with inflated(source(content), MOST_INFLATED_BYTES) as stream:
            found = stream.read()
    except FORESEEN:
        strict = int.from_bytes(content[FLAGS_AT : FLAGS_AT + 1]) & CHECKED_FLAGS or GZIP_MAGIC in content[1:]
        assert expected is None or strict or len(expected) > MOST_INFLATED_BYTES, "refused, but whole"
        return
    assert found == expected


def unzip(data: bytes, room: Path) -> None:
    """A zip archive: what is read of a member is what Python reads of it."""
    path = room / "input.zip"
    path.write_bytes(data)
    try:
        members = archives.zip_members(path)
    except FORESEEN:
        return
    for member in members:
        try:
            found = _content(member.source)
        except FORESEEN:
            continue
        with zipfile.ZipFile(path) as archive:
            assert found in [
                _inflated(archive.read(info)) for info in archive.infolist() if info.filename == member.source.name
            ]


def untar(data: bytes, room: Path) -> None:
    """A tar archive, gzipped or not: what is read of a member is what Python reads of it."""
    path = room / "input.tar"
    path.write_bytes(data)
    scratch = room / "scratch"
    scratch.mkdir()
    try:
        contents = [(member.source.name, _content(member.source)) for member in archives.tar_members(path, scratch)]
    except FORESEEN:
        return
    with tarfile.open(path) as archive:
        plain = [(info.name, file.read()) for info in archive if (file := archive.extractfile(info))]
    for name, content in contents:
        assert any(name == other and content == _inflated(packed) for other, packed in plain)


def _content(member: Source) -> bytes:
    with inflated(member, MOST_INFLATED_BYTES) as stream:
        return stream.read()


def _inflated(content: bytes) -> bytes:
    return gzip.decompress(content) if content.startswith(GZIP_MAGIC) else content


def hdf5(data: bytes, room: Path) -> None:
    """A real .h5, .h5ad or loom file after edits: nodes gone, renamed, of other types and shapes, bytes flipped."""
    path = room / "input"
    path.write_bytes(edited(data))
    _read_all(path, room)


def whole_file(data: bytes, room: Path) -> None:
    """Any file at all."""
    path = room / "input"
    path.write_bytes(data)
    _read_all(path, room)


def _read_all(path: Path, room: Path) -> None:
    scratch = room / "unpacked"
    scratch.mkdir()
    with suppress(*FORESEEN):
        for matrix in open_matrix(path, scratch).matrices:
            read_whole(matrix)


TARGETS: Final[dict[str, Target]] = {
    "number": number,
    "market": market,
    "table": table,
    "features": features,
    "cells": cells,
    "gzip": gunzip,
    "zip": unzip,
    "tar": untar,
    "hdf5": hdf5,
    "file": whole_file,
}
