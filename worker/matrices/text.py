"""Text matrices, comma or tab separated: a header, then a row of numbers for each gene, or for each cell.

The file is read once, when it is opened: its values are regrouped by cell on disk, its labels kept.
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, NoReturn

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.errors import CorruptMatrixError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, from_triplets
from worker.matrices.counted import CountedMatrix
from worker.matrices.counts import refuse_impossible
from worker.matrices.digits import MANTISSA_DIGITS, Bytes, read_number
from worker.matrices.features import Features, filled, looks_stable
from worker.matrices.lines import MAX_LINE_BYTES, LineReader, Lines
from worker.matrices.matrix import Cells, CountBlock
from worker.matrices.pipeline import overlapped
from worker.matrices.regroup import Regroup
from worker.matrices.store import StoreWriter
from worker.matrices.streams import Source, inflated
from worker.matrices.tables import CellTable, read_cells, read_features
from worker.matrices.text_layout import PASSED_OVER, UTF8_MARK, Layout, is_no_count, orientation, read_layout

TEXT_BYTES: Final = 4_194_304
"""Text parsed at once (4 MiB, at most 2 M values)."""

_FINE, _NO_NUMBER, _TOO_FEW, _TOO_MANY, _IMPOSSIBLE = range(5)
_ZERO, _NINE = b"09"


@dataclass(frozen=True, slots=True)
class Beside:
    """Tables that lie beside a text matrix, where there are any."""

    features: Source | None = None
    cells: Source | None = None


def open_text(
    source: Source, room: Path, name: str = "", beside: Beside | None = None, text_bytes: int = TEXT_BYTES
) -> CountedMatrix:
    """The matrix, after a pass over the file, ``text_bytes`` at once; UnsupportedFormatError if rows are no numbers."""
    with inflated(source) as stream:
        header = stream.readline(MAX_LINE_BYTES).removeprefix(UTF8_MARK)
        reader = LineReader(stream, source.name, text_bytes)
        pieces = iter(reader)
        start = next(pieces, Lines(bytearray(), 0))
        layout = read_layout(header, bytes(start).lstrip(b"\r\n").partition(b"\n")[0], source.name)
        with closing(overlapped(chain([start], pieces), partial(_parsed, layout))) as parsed:
            labelled = _LabelReader(source.name, layout)
            first = next(parsed)
            labels = labelled.labels(first)
            genes_in_rows, why = orientation(layout, labels[0])
            rows = _Rows(layout, room, genes_in_rows=genes_in_rows)
            rows.take(labels, first)
            for piece in parsed:
                rows.take(labelled.labels(piece), piece)
                reader.give_back(piece.text)
    features, cells = _sides(rows.labels, layout, genes_in_rows=genes_in_rows)
    table = CellTable(cells)
    if beside and beside.features:
        features = _with_symbols(features, read_features(beside.features))
    if beside and beside.cells:
        table = _with_annotations(cells, read_cells(beside.cells))
    return CountedMatrix(
        place=source.name,
        name=name,
        features=features,
        cells=table.cells,
        raw_blocks=rows.blocks,
        species=table.species,
        notes=(
            f"{source.name} has {'genes' if genes_in_rows else 'cells'} in rows: {why}.",
            *_passed_over(layout),
            *table.notes,
        ),
    )


def _passed_over(layout: Layout) -> Iterator[str]:
    if layout.passed_over:
        yield f"Columns that hold no counts were passed over: {', '.join(layout.passed_over)}."


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Entries of lines, rows from 0, and where their labels are; a ``problem`` with a ``field`` stands ``at`` there."""

    text: Lines
    spans: npt.NDArray[np.int64]
    rows: Indices
    columns: Indices
    values: Values
    n_lines: int
    problem: int
    field: int
    at: int


def _parsed(layout: Layout, text: Lines) -> _Parsed:
    n_lines = text.memory.count(b"\n", 0, text.n_bytes)
    spans = np.empty((n_lines, layout.n_labels, 2), np.int64)
    room = text.n_bytes // 2 + 1
    rows, columns, values = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.float32)
    entries = (rows, columns, values)
    n_rows, count, problem, field, at = _parse(text.array, ord(layout.delimiter), layout.numbers, spans, entries)
    return _Parsed(text, spans[:n_rows], rows[:count], columns[:count], values[:count], n_lines, problem, field, at)


class _LabelReader:
    """Keeps count of the lines for messages; gives their labels."""

    def __init__(self, name: str, layout: Layout) -> None:
        self._name = name
        self._layout = layout
        self._line = 1

    def labels(self, parsed: _Parsed) -> list[list[str]]:
        """A list for each label column; CorruptMatrixError where something is wrong with the lines."""
        if parsed.problem != _FINE:
            self._complain(parsed.problem, parsed.field, parsed.text.memory, parsed.at)
        self._line += parsed.n_lines
        try:
            return [
                [_label(parsed.text.memory[start:end]) for start, end in parsed.spans[:, column].tolist()]
                for column in range(self._layout.n_labels)
            ]
        except UnicodeDecodeError as error:
            raise CorruptMatrixError(f"{self._name}, before line {self._line:,}: no UTF-8 text") from error

    def _complain(self, problem: int, field: int, text: bytearray, at: int) -> NoReturn:
        line = self._line + text.count(b"\n", 0, at) + 1
        place = f"{self._name}, line {line:,}, field {field + 1:,}"
        found = re.split(rb"[\t,;\n]", text[at : at + 60], maxsplit=1)[0].decode(errors="replace").strip('" \r')
        if problem == _IMPOSSIBLE:
            refuse_impossible(float(found), place)
        expected = self._layout.n_labels + len(self._layout.numbers)
        if problem in (_TOO_FEW, _TOO_MANY):
            less = "fewer" if problem == _TOO_FEW else "more"
            raise CorruptMatrixError(f"{place}: {less} than the {expected:,} fields of line 2; was it cut off?")
        raise CorruptMatrixError(f"{place}: expected a number, found “{found}”")


def _label(field: bytearray) -> str:
    text = field.decode().strip()
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


@njit(cache=True, nogil=True)
def _skip_label(text: Bytes, at: int, delimiter: int) -> int:
    """The place after a label, which may be quoted."""
    if text[at] == ord('"'):
        at += 1
        while text[at] != ord("\n"):
            if text[at] == ord('"'):
                if text[at + 1] != ord('"'):
                    break
                at += 1
            at += 1
    while text[at] != delimiter and text[at] != ord("\n"):
        at += 1
    return at


@njit(cache=True, nogil=True)
def _read_field(text: Bytes, at: int) -> tuple[float, int, int]:
    """The number in a field, quoted or not, the place it starts at, and the place after it and its blanks.

    Where there is no number both places are the same.
    """
    while text[at] == ord(" ") or text[at] == ord('"'):
        at += 1
    value, after = read_number(text, at, len(text))
    if after > at:
        while text[after] == ord(" ") or text[after] == ord('"') or text[after] == ord("\r"):
            after += 1
    return value, at, after


@njit(cache=True, nogil=True)
def _read_value(text: Bytes, at: int, delimiter: int) -> tuple[float, int, int]:
    """As ``_read_field``, with a short way for a field of a few digits."""
    start, number = at, 0
    while _ZERO <= text[at] <= _NINE:
        number = 10 * number + (text[at] - _ZERO)
        at += 1
    if 0 < at - start <= MANTISSA_DIGITS and (text[at] == delimiter or text[at] == ord("\n")):
        return float(number), start, at
    return _read_field(text, start)


@njit(cache=True, nogil=True)
def _parse(
    text: Bytes,
    delimiter: int,
    numbers: Indices,
    spans: npt.NDArray[np.int64],
    entries: tuple[Indices, Indices, Values],
) -> tuple[int, int, int, int, int]:
    """Rows and entries read, what is wrong with the field after them, that field's number and where it starts.

    ``text`` ends with a line's end; ``numbers`` are the layout's, of all columns; ``entries`` are rows, columns and
    values, without zeros.
    """
    at = row = count = 0
    n_labels = spans.shape[1]
    while at < len(text):
        if text[at] == ord("\n") or (text[at] == ord("\r") and text[at + 1] == ord("\n")):
            at += 1 if text[at] == ord("\n") else 2
            continue
        for field in range(n_labels):
            spans[row, field, 0] = at
            at = _skip_label(text, at, delimiter)
            spans[row, field, 1] = at
            if text[at] != delimiter:
                return row, count, _TOO_FEW, field, at
            at += 1
        at, count, problem, column = _read_values(text, at, (delimiter, row), numbers, entries, count)
        if problem != _FINE:
            return row, count, problem, n_labels + column, at
        row += 1
    return row, count, _FINE, 0, at


@njit(cache=True, nogil=True)
def _read_values(
    text: Bytes,
    at: int,
    line: tuple[int, int],
    numbers: Indices,
    entries: tuple[Indices, Indices, Values],
    count: int,
) -> tuple[int, int, int, int]:
    """The place after a line, the entries by then, and what is wrong with which value; then the place is that value's.

    ``line`` is the delimiter and the row.
    """
    delimiter, row = line
    n_values = len(numbers)
    rows, columns, values = entries
    for column in range(n_values):
        start = at
        if numbers[column] == PASSED_OVER:
            value, at = 0.0, _skip_label(text, at, delimiter)
        else:
            value, start, at = _read_value(text, at, delimiter)
        ended = text[at] == ord("\n")
        if (at == start and numbers[column] != PASSED_OVER) or not (ended or text[at] == delimiter):
            return start, count, _NO_NUMBER, column
        if ended != (column == n_values - 1):
            return start, count, _TOO_FEW if ended else _TOO_MANY, column
        at += 1
        if value != 0:
            rows[count], columns[count], values[count] = row, numbers[column], value
            if value < 0 or not np.isfinite(values[count]):
                return start, count, _IMPOSSIBLE, column
            count += 1
    return at, count, _FINE, 0


class _Rows:
    """Takes rows as they come; gives blocks of cells."""

    def __init__(self, layout: Layout, room: Path, *, genes_in_rows: bool) -> None:
        with scratch.writing(room):
            folder = Path(tempfile.mkdtemp(dir=room))
        self._n_columns = len(layout.columns)
        self._spool = Regroup(folder, self._n_columns) if genes_in_rows else StoreWriter(folder)
        self.labels: list[list[str]] = [[] for _ in range(layout.n_labels)]

    def take(self, labels: Sequence[Sequence[str]], lines: _Parsed) -> None:
        """Lines and the labels of their rows."""
        if isinstance(self._spool, Regroup):
            self._spool.add(lines.columns, lines.rows + np.int32(len(self.labels[0])), lines.values)
        else:
            self._spool.append(from_triplets(lines.rows, lines.columns, lines.values, len(labels[0])))
        for known, new in zip(self.labels, labels, strict=True):
            known.extend(new)

    def blocks(self) -> Iterator[CountBlock]:
        """All cells, in order."""
        if isinstance(self._spool, Regroup):
            return self._spool.blocks()
        return self._spool.close(self._n_columns).blocks()


def _sides(labels: Sequence[Sequence[str]], layout: Layout, *, genes_in_rows: bool) -> tuple[Features, Cells]:
    """Genes and cells; of two label columns the one with stable ids is the ids, or else the first."""
    rows = [np.array(column, dtype=object) for column in labels]
    if not genes_in_rows:
        return Features(layout.columns, layout.columns), Cells(rows[0])
    named = zip(rows[1:], layout.corner[1:] or [""] * len(rows), strict=False)
    symbols = next((column for column, name in named if not is_no_count(name)), rows[0])
    ids, symbols = (rows[0], symbols) if looks_stable(rows[0]) or not looks_stable(symbols) else (symbols, rows[0])
    return Features(ids, filled(symbols, ids)), Cells(layout.columns)


def _with_symbols(features: Features, table: Features) -> Features:
    """The same features with symbols and kinds from a table that knows their ids."""
    places = {gene_id: place for place, gene_id in enumerate(table.ids)}
    found = [places.get(gene_id, -1) for gene_id in features.ids]
    symbols = np.append(table.symbols, "")[found]
    kinds = None if table.kinds is None else np.append(table.kinds, "")[found]
    return Features(features.ids, filled(symbols, features.ids), kinds)


def _with_annotations(cells: Cells, table: CellTable) -> CellTable:
    """The same cells with labels from a table that knows their ids."""
    places = {cell: place for place, cell in enumerate(table.cells.ids)}
    found = [places.get(cell, -1) for cell in cells.ids]
    told = (table.cells.library_labels, table.cells.types)
    own = [None if labels is None else np.append(labels, "")[found] for labels in told]
    return CellTable(Cells(cells.ids, *own), table.species, table.notes)
