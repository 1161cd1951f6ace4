"""The text of MatrixMarket coordinate files: banner, sizes, and a line for each entry.

https://math.nist.gov/MatrixMarket/formats.html
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from numba import njit

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from worker.matrices.blocks import Indices, Values
from worker.matrices.counts import refuse_impossible
from worker.matrices.digits import MANTISSA_DIGITS, Bytes, read_index, read_number
from worker.matrices.lines import LineReader, Lines
from worker.matrices.pipeline import overlapped
from worker.matrices.regroup import Triplets
from worker.matrices.streams import Source, inflated

BANNER: Final = b"%%matrixmarket"
"""How the first line begins, in lower case."""
TEXT_BYTES: Final = 2_097_152
"""Text parsed at once (2 MiB, about 160,000 entries): what a core's cache holds."""
MAX_SIDE: Final = 2**31 - 1
"""Rows or columns that an int32 index reaches."""
MIN_LINE_BYTES: Final = 6
"""``1 1 1`` and the line's end."""
SIZE_DIGITS: Final = 4_000
"""Python reads no longer number (``sys.get_int_max_str_digits``)."""
SHOWN_CHARACTERS: Final = 60
_SIZES: Final = ("rows", "columns", "entries")

_FINE, _MALFORMED, _ROW, _COLUMN, _VALUE = range(5)
_END, _BLANK, _POINT, _ZERO = np.frombuffer(b"\n .0", np.uint8)
_NINE: Final = np.uint8(9)
_NONE, _ONE, _TEN, _SAFE_DIGITS = (np.uint64(number) for number in (0, 1, 10, MANTISSA_DIGITS))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the size line says; ``header_lines`` are the lines up to it."""

    n_rows: int
    n_columns: int
    n_entries: int
    header_lines: int


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Entries of ``lines`` lines of ``text``; the line after them, which starts at ``at``, may have a ``problem``."""

    text: Lines
    rows: Indices
    columns: Indices
    values: Values
    lines: int
    problem: int
    at: int


def read_shape(stream: io.BufferedReader, name: str) -> Shape:
    """The sizes, from the first lines; ``stream`` stands at the first entry afterwards."""
    _check_banner(_header_line(stream, name), name)
    line_number = 1
    while (line := _header_line(stream, name)).startswith(b"%") or (line and not line.strip()):
        line_number += 1
    line_number += 1
    fields = line.split()
    if len(fields) != len(_SIZES) or not all(field.isdigit() and len(field) < SIZE_DIGITS for field in fields):
        raise CorruptMatrixError(f"{name}, line {line_number}: expected “{' '.join(_SIZES)}”, found {_shown(line)}")
    n_rows, n_columns, n_entries = map(int, fields)
    place = f"{name}, line {line_number}: {n_rows:,} rows by {n_columns:,} columns, {n_entries:,} entries"
    if not n_rows or not n_columns or not n_entries:
        raise EmptyMatrixError(f"{place}: nothing to summarise")
    if max(n_rows, n_columns) > MAX_SIDE:
        raise CorruptMatrixError(f"{place}: no matrix has more than {MAX_SIDE:,} rows or columns")
    return Shape(n_rows, n_columns, n_entries, line_number)


def _header_line(stream: io.BufferedReader, name: str) -> bytes:
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
    """The entries of a file in its own order, every line checked; ``text_bytes`` are parsed at once."""

    def __init__(self, source: Source, shape: Shape, *, cells_in_columns: bool, text_bytes: int = TEXT_BYTES) -> None:
        self._source = source
        self._shape = shape
        self._cells_in_columns = cells_in_columns
        self._text_bytes = text_bytes

    @property
    def n_entries(self) -> int:
        """As many as there are, once all have been read."""
        return self._shape.n_entries

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return self._source.name

    def triplets(self) -> Iterator[Triplets]:
        """Cells, genes and values, inflated and parsed ahead; CorruptMatrixError names the line."""
        done = 0
        line = self._shape.header_lines
        with inflated(self._source) as stream:
            read_shape(stream, self.name)
            reader = LineReader(stream, self.name, self._text_bytes)
            for parsed in overlapped(iter(reader), self._parsed):
                done += len(parsed.values)
                line += parsed.lines
                self._check(parsed, done, line)
                reader.give_back(parsed.text)
                rows, columns = parsed.rows, parsed.columns
                yield (columns, rows, parsed.values) if self._cells_in_columns else (rows, columns, parsed.values)
        if done < self._shape.n_entries:
            raise CorruptMatrixError(
                f"{self.name}: ends after {done:,} entries at line {line:,}, but its header says"
                f" {self._shape.n_entries:,}; it was cut off, send it again"
            )

    def _parsed(self, text: Lines, room: int | None = None) -> _Parsed:
        """At most ``room`` entries, all if it is None."""
        room = text.n_bytes // MIN_LINE_BYTES + 1 if room is None else room
        rows, columns = np.empty(room, np.int32), np.empty(room, np.int32)
        values = np.empty(room, np.float32)
        sides = (self._shape.n_rows, self._shape.n_columns)
        count, lines, problem, at = _parse(text.array, sides, rows, columns, values)
        return _Parsed(text, rows[:count], columns[:count], values[:count], lines, problem, at)

    def _check(self, parsed: _Parsed, done: int, line: int) -> None:
        if done > self._shape.n_entries:
            wanted = len(parsed.values) - (done - self._shape.n_entries)
            lines = self._parsed(parsed.text, wanted + 1).lines
            raise CorruptMatrixError(
                f"{self.name}, line {line - parsed.lines + lines:,}: more entries than the {self._shape.n_entries:,}"
                " of its header"
            )
        if parsed.problem != _FINE:
            self._complain(parsed.problem, parsed.text.line_at(parsed.at), line + 1)

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


@njit(cache=True, nogil=True)
def _parse(
    text: Bytes, sides: tuple[int, int], rows: Indices, columns: Indices, values: Values
) -> tuple[int, int, int, int]:
    """Entries and lines read, the problem of the line after them, and where that line starts.

    ``text`` ends with a line's end. Stops when the arrays are full.
    """
    at = count = lines = 0
    while at < len(text) and count < len(values):
        at, plain = _plain_lines(text, at, sides, rows, columns, values, count)
        lines += plain
        count += plain
        if at == len(text) or count == len(values):
            break
        row, column, value, following, problem = _any_line(text, at, sides)
        if problem != _FINE:
            return count, lines, problem, at
        at = following
        lines += 1
        if row:
            rows[count], columns[count], values[count] = row - 1, column - 1, value
            count += 1
    return count, lines, _FINE, at


@njit(cache=True, nogil=True)
def _plain_lines(
    text: Bytes, start: int, sides: tuple[int, int], rows: Indices, columns: Indices, values: Values, done: int
) -> tuple[int, int]:
    """Reads lines of digits and single blanks (``1 1 5`` or ``1 1 5.0``) up to the first that has anything else.

    The place of that line and how many were read; ``done`` entries stand in the arrays already. One loop, as handing an
    array to a function for every number takes longer than reading it; and unsigned numbers, as signed places are tried
    for counting from the end, which takes as long as the rest.
    """
    n_rows, n_columns = np.uint64(sides[0]), np.uint64(sides[1])
    end, room = np.uint64(len(text)), np.uint64(len(values))
    at, count = np.uint64(start), np.uint64(done)
    while at < end and count < room:
        place, row, column, value = at, _NONE, _NONE, _NONE
        while np.uint8(text[place] - _ZERO) <= _NINE:
            row = row * _TEN + np.uint64(text[place] - _ZERO)
            place += _ONE
        if text[place] != _BLANK or place - at > _SAFE_DIGITS:
            break
        column_at = place = place + _ONE
        while np.uint8(text[place] - _ZERO) <= _NINE:
            column = column * _TEN + np.uint64(text[place] - _ZERO)
            place += _ONE
        if text[place] != _BLANK or place - column_at > _SAFE_DIGITS:
            break
        value_at = place = place + _ONE
        while np.uint8(text[place] - _ZERO) <= _NINE:
            value = value * _TEN + np.uint64(text[place] - _ZERO)
            place += _ONE
        digits = place - value_at
        if text[place] == _POINT and text[place + _ONE] == _ZERO:
            place += _ONE + _ONE
        if text[place] != _END or digits - _ONE >= _SAFE_DIGITS:
            break
        if row - _ONE >= n_rows or column - _ONE >= n_columns:
            break
        rows[count], columns[count], values[count] = row - _ONE, column - _ONE, np.float64(value)
        count += _ONE
        at = place + _ONE
    return int(np.int64(at)), int(np.int64(count)) - done


@njit(cache=True, nogil=True)
def _any_line(text: Bytes, at: int, sides: tuple[int, int]) -> tuple[int, int, float, int, int]:
    """Row (0 for a blank line), column, value, the next line's start and what is wrong."""
    end = len(text)
    place = _skip_blanks(text, at)
    if text[place] == _END:
        return 0, 0, 0.0, place + 1, _FINE
    row, after_row = read_index(text, place, end)
    column_at = _skip_blanks(text, after_row)
    column, after_column = read_index(text, column_at, end)
    value_at = _skip_blanks(text, after_column)
    value, after_value = read_number(text, value_at, end)
    line_end = _skip_blanks(text, after_value)
    problem = _FINE
    separate = after_row not in (place, column_at) and after_column not in (column_at, value_at)
    if not separate or after_value == value_at or text[line_end] != _END:
        problem = _MALFORMED
    elif row < 1 or row > sides[0]:
        problem = _ROW
    elif column < 1 or column > sides[1]:
        problem = _COLUMN
    elif value < 0 or not np.isfinite(np.float32(value)):
        problem = _VALUE
    return row, column, value, line_end + 1, problem


@njit(cache=True, nogil=True)
def _skip_blanks(text: Bytes, at: int) -> int:
    while text[at] == ord(" ") or text[at] == ord("\t") or text[at] == ord("\r"):
        at += 1
    return at


def _shown(line: bytes) -> str:
    text = line[:SHOWN_CHARACTERS].decode("utf-8", errors="replace").strip()
    return f"“{text}”"
