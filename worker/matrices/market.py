"""MatrixMarket coordinate files, genes by cells or cells by genes, with the tables of their genes and cells.

https://math.nist.gov/MatrixMarket/formats.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NoReturn

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, from_triplets
from worker.matrices.counted import CountedMatrix
from worker.matrices.counts import refuse_impossible
from worker.matrices.digits import Bytes, read_index, read_number
from worker.matrices.matrix import CountBlock
from worker.matrices.regroup import Regroup, Triplets
from worker.matrices.streams import Source, inflated, line_blocks
from worker.matrices.tables import read_cells, read_features

BANNER: Final = b"%%matrixmarket"
"""How the first line begins, in lower case."""
TEXT_BYTES: Final = 16_777_216
"""Text parsed at once (16 MiB, about 1.3 M entries)."""
LOOK_AHEAD_BYTES: Final = 67_108_864
"""Text read to see whether entries come by cell (64 MiB, about 5 M entries)."""
MAX_SIDE: Final = 2**31 - 1
"""Rows or columns that an int32 index reaches."""
MIN_LINE_BYTES: Final = 6
"""``1 1 1`` and the line's end."""
SHOWN_CHARACTERS: Final = 60
_SIZES: Final = ("rows", "columns", "entries")

_FINE, _MALFORMED, _ROW, _COLUMN, _VALUE = range(5)


class EntriesOutOfOrderError(CorruptMatrixError):
    """The entries came by cell for a long while, and then did not. ``blocks`` called again regroups them."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What the size line says; ``header_lines`` are the lines up to it."""

    n_rows: int
    n_columns: int
    n_entries: int
    header_lines: int


def is_market(start: bytes) -> bool:
    """Whether a file that starts like this is MatrixMarket."""
    return start[: len(BANNER)].lower() == BANNER


def open_market(
    matrix: Source, features: Source, cells: Source, folder: str, room: Path, notes: tuple[str, ...] = ()
) -> CountedMatrix:
    """A matrix and its tables; CorruptMatrixError where they do not fit together."""
    with inflated(matrix) as stream:
        shape = read_shape(stream, matrix.name)
    feature_table = read_features(features)
    cell_table = read_cells(cells)
    by_column = _cells_in_columns(shape, len(feature_table), len(cell_table.cells), matrix.name)
    entries = Entries(matrix, shape, cells_in_columns=by_column)
    axes = "genes by cells" if by_column else "cells by genes"
    return CountedMatrix(
        place=matrix.name,
        name=folder,
        features=feature_table,
        cells=cell_table.cells,
        raw_blocks=ByCell(entries, len(cell_table.cells), room).blocks,
        species=cell_table.species,
        notes=(
            f"{matrix.name} is {axes}; genes from {features.name}, cells from {cells.name}.",
            *cell_table.notes,
            *notes,
        ),
    )


def _cells_in_columns(shape: Shape, n_features: int, n_cells: int, name: str) -> bool:
    """Whether columns are cells; CorruptMatrixError if the tables fit neither way round."""
    if (shape.n_rows, shape.n_columns) == (n_features, n_cells):
        return True
    if (shape.n_rows, shape.n_columns) == (n_cells, n_features):
        return False
    raise CorruptMatrixError(
        f"{name}: {shape.n_rows:,} rows by {shape.n_columns:,} columns, but the tables beside it have"
        f" {n_features:,} genes and {n_cells:,} cells; send matrix and tables of the same run"
    )


def read_shape(stream: BinaryIO, name: str) -> Shape:
    """The sizes, from the first lines; ``stream`` stands at the first entry afterwards."""
    _check_banner(_header_line(stream, name), name)
    line_number = 1
    while (line := _header_line(stream, name)).startswith(b"%") or (line and not line.strip()):
        line_number += 1
    line_number += 1
    fields = line.split()
    if len(fields) != len(_SIZES) or not all(field.isdigit() for field in fields):
        raise CorruptMatrixError(f"{name}, line {line_number}: expected “{' '.join(_SIZES)}”, found {_shown(line)}")
    n_rows, n_columns, n_entries = map(int, fields)
    place = f"{name}, line {line_number}: {n_rows:,} rows by {n_columns:,} columns, {n_entries:,} entries"
    if not n_rows or not n_columns or not n_entries:
        raise EmptyMatrixError(f"{place}: nothing to summarise")
    if max(n_rows, n_columns) > MAX_SIDE:
        raise CorruptMatrixError(f"{place}: no matrix has more than {MAX_SIDE:,} rows or columns")
    return Shape(n_rows, n_columns, n_entries, line_number)


def _header_line(stream: BinaryIO, name: str) -> bytes:
    line = stream.readline(TEXT_BYTES)
    if not line:
        raise CorruptMatrixError(f"{name}: ends before its sizes; send it again")
    return line


def _check_banner(line: bytes, name: str) -> None:
    words = line.lower().split()
    if not words or words[0] != BANNER:
        raise CorruptMatrixError(f"{name}, line 1: expected “%%MatrixMarket …”, found {_shown(line)}")
    if words[1:] not in ([b"matrix", b"coordinate", kind, b"general"] for kind in (b"real", b"integer")):
        raise UnsupportedFormatError(
            f"{name}, line 1: {_shown(line)} is not read; send “matrix coordinate integer general” (or real)"
        )


class Entries:
    """The entries of a file in its own order, every line checked."""

    def __init__(self, source: Source, shape: Shape, *, cells_in_columns: bool) -> None:
        self._source = source
        self._shape = shape
        self._cells_in_columns = cells_in_columns

    @property
    def n_entries(self) -> int:
        """As many as there are, once all have been read."""
        return self._shape.n_entries

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    def triplets(self) -> Iterator[Triplets]:
        """Cells, genes and values; CorruptMatrixError names the line."""
        done = 0
        line = self._shape.header_lines
        with inflated(self._source) as stream:
            read_shape(stream, self.name)
            for text in line_blocks(stream, self.name, TEXT_BYTES):
                rows, columns, values, n_lines = self._parsed(text, line, self._shape.n_entries - done)
                done += len(values)
                line += n_lines
                yield (columns, rows, values) if self._cells_in_columns else (rows, columns, values)
        if done < self._shape.n_entries:
            raise CorruptMatrixError(
                f"{self.name}: ends after {done:,} entries at line {line:,}, but its header says"
                f" {self._shape.n_entries:,}; it was cut off, send it again"
            )

    def _parsed(self, text: bytes, line: int, expected: int) -> tuple[Indices, Indices, Values, int]:
        buffer = np.frombuffer(text, np.uint8)
        room = min(expected, len(text) // MIN_LINE_BYTES) + 1
        rows, columns = np.empty(room, np.int32), np.empty(room, np.int32)
        values = np.empty(room, np.float32)
        sides = (self._shape.n_rows, self._shape.n_columns)
        count, lines, problem, at = _parse(buffer, *sides, rows, columns, values)
        if problem != _FINE:
            self._complain(problem, text[at : text.index(b"\n", at)], line + lines + 1)
        if count > expected:
            raise CorruptMatrixError(
                f"{self.name}, line {line + lines:,}: more entries than the {self._shape.n_entries:,} of its header"
            )
        return rows[:count], columns[:count], values[:count], lines

    def _complain(self, problem: int, text: bytes, line: int) -> NoReturn:
        place = f"{self.name}, line {line:,}"
        if problem == _VALUE:
            refuse_impossible(float(text.split()[2]), place)
        if problem in (_ROW, _COLUMN):
            field, side, count = (
                (0, "row", self._shape.n_rows) if problem == _ROW else (1, "column", self._shape.n_columns)
            )
            found = text.split()[field].decode(errors="replace")
            raise CorruptMatrixError(f"{place}: {side} {found} is not among 1 to {count:,}")
        raise CorruptMatrixError(f"{place}: expected “row column value”, found {_shown(text)}")


@njit(cache=True)
def _skip_blanks(text: Bytes, at: int) -> int:
    while text[at] == ord(" ") or text[at] == ord("\t") or text[at] == ord("\r"):
        at += 1
    return at


@njit(cache=True)
def _parse(
    text: Bytes, n_rows: int, n_columns: int, rows: Indices, columns: Indices, values: Values
) -> tuple[int, int, int, int]:
    """Entries and lines read, the problem of the line after them, and where that line starts.

    ``text`` ends with a line's end. Stops when the arrays are full.
    """
    end = len(text)
    at = count = lines = 0
    while at < end and count < len(values):
        start = at
        at = _skip_blanks(text, at)
        if text[at] == ord("\n"):
            lines += 1
            at += 1
            continue
        row, after_row = read_index(text, at, end)
        place = _skip_blanks(text, after_row)
        column, after_column = read_index(text, place, end)
        if after_row in (at, place) or after_column == place:
            return count, lines, _MALFORMED, start
        place = _skip_blanks(text, after_column)
        value, after_value = read_number(text, place, end)
        at = _skip_blanks(text, after_value)
        if place in (after_column, after_value) or text[at] != ord("\n"):
            return count, lines, _MALFORMED, start
        if row < 1 or row > n_rows:
            return count, lines, _ROW, start
        if column < 1 or column > n_columns:
            return count, lines, _COLUMN, start
        values[count] = value
        if value < 0 or not np.isfinite(values[count]):
            return count, lines, _VALUE, start
        rows[count] = row - 1
        columns[count] = column - 1
        count += 1
        lines += 1
        at += 1
    return count, lines, _FINE, at


class ByCell:
    """Entries as blocks of cells: as they come if they come by cell, regrouped on disk if not."""

    def __init__(self, entries: Entries, n_cells: int, room: Path, look_ahead_bytes: int = LOOK_AHEAD_BYTES) -> None:
        self._look_ahead_bytes = look_ahead_bytes
        self._entries = entries
        self._n_cells = n_cells
        self._room = room
        self._in_order: bool | None = None

    def blocks(self) -> Iterator[CountBlock]:
        """All cells, in order."""
        if self._in_order is None:
            self._in_order = self._starts_in_order()
        return self._as_they_come() if self._in_order else self._regrouped()

    def _starts_in_order(self) -> bool:
        last = 0
        looked_at = 0
        for cells, _, _ in self._entries.triplets():
            if not _ascending(cells, last):
                return False
            last = int(cells[-1]) if len(cells) else last
            looked_at += TEXT_BYTES
            if looked_at >= self._look_ahead_bytes:
                break
        return True

    def _as_they_come(self) -> Iterator[CountBlock]:
        first = 0
        kept: Triplets = (np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
        for piece in self._entries.triplets():
            if not _ascending(piece[0], first):
                self._in_order = False
                raise EntriesOutOfOrderError(
                    f"{self._entries.name}: entries come by cell up to cell {first + 1:,}, then go back to an earlier"
                    " one; send them sorted by cell"
                )
            cells, genes, values = (np.concatenate(pair) for pair in zip(kept, piece, strict=True))
            if not len(cells):
                continue
            unfinished = int(cells[-1])
            cut = int(np.searchsorted(cells, unfinished))
            yield from_triplets(cells[:cut] - first, genes[:cut], values[:cut], unfinished - first)
            kept = (cells[cut:], genes[cut:], values[cut:])
            first = unfinished
        yield from_triplets(kept[0] - first, kept[1], kept[2], self._n_cells - first)

    def _regrouped(self) -> Iterator[CountBlock]:
        with scratch.subfolder(self._room) as folder:
            regroup = Regroup(folder, self._n_cells, self._entries.n_entries)
            for cells, genes, values in self._entries.triplets():
                regroup.add(cells, genes, values)
            yield from regroup.blocks()


def _ascending(cells: npt.NDArray[np.int32], last: int) -> bool:
    return not len(cells) or bool(cells[0] >= last and np.all(cells[1:] >= cells[:-1]))


def _shown(line: bytes) -> str:
    text = line[:SHOWN_CHARACTERS].decode("utf-8", errors="replace").strip()
    return f"“{text}”"
