"""Text matrices, comma or tab separated: a header, then a row of numbers for each gene, or for each cell.

The file is read once, when it is opened: its values are regrouped by cell on disk, its labels kept.
"""

import csv
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

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, from_triplets
from worker.matrices.counted import CountedMatrix
from worker.matrices.counts import refuse_impossible
from worker.matrices.digits import MANTISSA_DIGITS, Bytes, read_number
from worker.matrices.features import Features, filled, is_feature_column, looks_stable
from worker.matrices.lines import MAX_LINE_BYTES, LineReader, Lines
from worker.matrices.matrix import Cells, CountBlock, Strings
from worker.matrices.pipeline import overlapped
from worker.matrices.regroup import Regroup
from worker.matrices.store import StoreWriter
from worker.matrices.streams import Source, inflated
from worker.matrices.tables import CELL_COLUMNS, CellTable, read_cells, read_features

TEXT_BYTES: Final = 4_194_304
"""Text parsed at once (4 MiB, at most 2 M values)."""
LEAST_START_BYTES: Final = 16_384
"""What is at hand of a longer file to tell what it is, at least."""
_DELIMITERS: Final = "\t,;"
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_LOOKED_AT: Final = 50_000
"""Labels or fields; a list of genes ends before."""
_VAGUE: Final = frozenset({"", "id", "name", "index"})
"""What stands over row labels of either kind."""
_BARCODE = re.compile(r"(.*[_.:-])?[ACGT]{8,}([_.:-].*)?$")
_KNOWN_GENES: Final = frozenset(
    {"ACTB", "B2M", "EEF1A1", "GAPDH", "MALAT1", "RPL3", "RPLP0", "RPS18", "TMSB4X", "TPT1"}
)
"""Symbols, in capitals, that nearly every list of human or mouse genes has."""
_FEW_KNOWN: Final = 2

_FINE, _NO_NUMBER, _TOO_FEW, _TOO_MANY, _IMPOSSIBLE = range(5)
_ZERO, _NINE = b"09"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the first two lines say: ``n_labels`` columns before the numbers, what stands over them, and the rest."""

    delimiter: str
    n_labels: int
    corner: tuple[str, ...]
    columns: Strings


@dataclass(frozen=True, slots=True)
class Beside:
    """Tables that lie beside a text matrix, where there are any."""

    features: Source | None = None
    cells: Source | None = None


def is_table(start: bytes) -> bool:
    """Whether text that starts like this is a header and rows of numbers, as far as can be seen."""
    header, _, rest = start.removeprefix(_UTF8_MARK).partition(b"\n")
    rest = rest.lstrip(b"\r\n")
    try:
        delimiter = _delimiter(header)
        row = next(csv.reader([rest.partition(b"\n")[0].decode("utf-8", "ignore")], delimiter=delimiter), [])
    except (UnsupportedFormatError, csv.Error):
        return False
    values = row[1:] if b"\n" in rest else row[1:-1]
    numbers = values[_n_labels(["", *values]) - 1 :]
    if not numbers and b"\n" not in rest and len(start) >= LEAST_START_BYTES:
        return True  # what is at hand ends before the first number
    return not rest or (bool(numbers) and all(map(_is_number, numbers)))


def open_text(
    source: Source, room: Path, name: str = "", beside: Beside | None = None, text_bytes: int = TEXT_BYTES
) -> CountedMatrix:
    """The matrix, after a pass over the file, ``text_bytes`` at once; UnsupportedFormatError if rows are no numbers."""
    with inflated(source) as stream:
        header = stream.readline(MAX_LINE_BYTES).removeprefix(_UTF8_MARK)
        reader = LineReader(stream, source.name, text_bytes)
        pieces = iter(reader)
        start = next(pieces, Lines(bytearray(), 0))
        layout = _layout(header, bytes(start).lstrip(b"\r\n").partition(b"\n")[0], source.name)
        with closing(overlapped(chain([start], pieces), partial(_parsed, layout))) as parsed:
            labelled = _LabelReader(source.name, layout)
            first = next(parsed)
            labels = labelled.labels(first)
            genes_in_rows, why = _orientation(layout, labels)
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
        notes=(f"{source.name} has {'genes' if genes_in_rows else 'cells'} in rows: {why}.", *table.notes),
    )


def _delimiter(header: bytes) -> str:
    text = header.decode("utf-8", "ignore")
    best = max(_DELIMITERS, key=text.count)
    if best not in text:
        raise UnsupportedFormatError("text without commas or tabs")
    return best


def _layout(header: bytes, row: bytes, name: str) -> Layout:
    delimiter = _delimiter(header)
    if not row.strip():
        raise EmptyMatrixError(f"{name}: a header and no rows")
    try:
        names, fields = csv.reader([header.decode().strip("\r\n"), row.decode()], delimiter=delimiter)
    except UnicodeDecodeError as error:
        raise CorruptMatrixError(f"{name}, line 1 or 2: no UTF-8 text ({error.reason})") from error
    except (csv.Error, ValueError) as error:
        raise CorruptMatrixError(f"{name}, line 1 or 2: no table ({error})") from error
    n_labels = _n_labels(fields)
    n_values = len(fields) - n_labels
    if not n_values or not all(map(_is_number, fields[n_labels:_LOOKED_AT])):
        raise UnsupportedFormatError(f"{name}: a table whose rows are not numbers after their labels; no count matrix")
    if len(names) not in {n_values, len(fields)}:
        raise CorruptMatrixError(f"{name}, line 2: {len(fields)} fields, but the header has {len(names)}")
    corner = names[: len(names) - n_values]
    return Layout(delimiter, n_labels, tuple(corner), np.array(names[len(corner) :], dtype=object))


def _n_labels(fields: Sequence[str]) -> int:
    """Fields before the first number, the first one always among them."""
    return next((place for place, field in enumerate(fields) if place and _is_number(field)), len(fields))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _orientation(layout: Layout, rows: Sequence[Sequence[str]]) -> tuple[bool, str]:
    """Whether genes are in rows, and why."""
    corner = {name.casefold() for name in layout.corner} - _VAGUE
    if any(map(is_feature_column, corner)):
        return True, "so its first columns are named"
    if corner & set(CELL_COLUMNS):
        return False, "so its first column is named"
    labels, columns = rows[0][:_LOOKED_AT], layout.columns[:_LOOKED_AT].tolist()
    genes_in_rows = _are_genes(labels) or _are_barcodes(columns)
    genes_in_columns = _are_genes(columns) or _are_barcodes(labels)
    if genes_in_rows != genes_in_columns:
        return genes_in_rows, "its labels look so"
    if layout.n_labels > 1:
        return True, "several columns come before its values"
    return True, "its labels tell nothing, and most text matrices are so"


def _are_genes(labels: Sequence[str]) -> bool:
    known = sum(label.upper() in _KNOWN_GENES for label in labels)
    return known >= _FEW_KNOWN or looks_stable(np.array(labels, dtype=object))


def _are_barcodes(labels: Sequence[str]) -> bool:
    return sum(bool(_BARCODE.match(label)) for label in labels) > len(labels) / 2


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
    sizes = (ord(layout.delimiter), len(layout.columns))
    entries = (rows, columns, values)
    n_rows, count, problem, field, at = _parse(text.array, *sizes, spans, entries)
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
        expected = self._layout.n_labels + len(self._layout.columns)
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
def _parse(
    text: Bytes, delimiter: int, n_values: int, spans: npt.NDArray[np.int64], entries: tuple[Indices, Indices, Values]
) -> tuple[int, int, int, int, int]:
    """Rows and entries read, what is wrong with the field after them, that field's number and where it starts.

    ``text`` ends with a line's end; ``entries`` are rows, columns and values, zeros are passed over.
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
        at, count, problem, column = _read_values(text, at, (delimiter, n_values, row), entries, count)
        if problem != _FINE:
            return row, count, problem, n_labels + column, at
        row += 1
    return row, count, _FINE, 0, at


@njit(cache=True, nogil=True)
def _read_values(
    text: Bytes, at: int, line: tuple[int, int, int], entries: tuple[Indices, Indices, Values], count: int
) -> tuple[int, int, int, int]:
    """The place after a line, the entries by then, and what is wrong with which value; then the place is that value's.

    ``line`` is the delimiter, the number of values and the row.
    """
    delimiter, n_values, row = line
    rows, columns, values = entries
    for column in range(n_values):
        start, number = at, 0
        while _ZERO <= text[at] <= _NINE:
            number = 10 * number + (text[at] - _ZERO)
            at += 1
        value = float(number)
        if not 0 < at - start <= MANTISSA_DIGITS or not (text[at] == delimiter or text[at] == ord("\n")):
            value, start, at = _read_field(text, start)
        ended = text[at] == ord("\n")
        if at == start or not (ended or text[at] == delimiter):
            return start, count, _NO_NUMBER, column
        if ended != (column == n_values - 1):
            return start, count, _TOO_FEW if ended else _TOO_MANY, column
        at += 1
        if value != 0:
            rows[count], columns[count], values[count] = row, column, value
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
    if len(rows) == 1:
        return Features(rows[0], rows[0]), Cells(layout.columns)
    ids, symbols = rows[:2] if looks_stable(rows[0]) or not looks_stable(rows[1]) else rows[1::-1]
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
    labels = table.cells.library_labels
    if labels is None:
        return CellTable(cells, table.species, table.notes)
    known = dict(zip(table.cells.ids, labels, strict=True))
    own = np.array([known.get(cell, "") for cell in cells.ids], dtype=object)
    return CellTable(Cells(cells.ids, own), table.species, table.notes)
