"""The tables beside a matrix: its genes and its cells, with or without a header, tabs or commas."""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, Literal, NoReturn

import numpy as np

from shared.errors import CorruptMatrixError
from worker.matrices.annotations import agreed_species, cell_types, is_annotation, library_labels
from worker.matrices.features import Features, filled, from_columns, is_feature_column
from worker.matrices.matrix import Cells, Strings
from worker.matrices.streams import Source, inflated

if TYPE_CHECKING:
    from _csv import Reader

CELL_COLUMNS: Final = (
    "cellkey",
    "cellid",
    "cell_id",
    "cell_names",
    "cell_name",
    "cell",
    "barcodes",
    "barcode",
    "index",
)
"""What the column of cell ids is called, case folded."""
MAX_TABLE_BYTES: Final = 2**34
"""16 GiB: ten million cells with 1.6 KB of text each."""
MAX_LINE_CHARACTERS: Final = 1_048_576
"""Of a row of such a table: hundreds of columns of text."""
ROWS_AT_ONCE: Final = 10_000
_HEADERLESS: Final = ("gene_id", "gene_name", "feature_type")
"""Columns of Cell Ranger's features.tsv; its genes.tsv has the first two."""


@dataclass(frozen=True, slots=True)
class Table:
    """Chosen columns of a table by their names, the first one always; ``named`` whether these stood in a header."""

    columns: dict[str, Strings]
    named: bool


@dataclass(frozen=True, slots=True)
class CellTable:
    """Cells, and what their table says of the species: one, or a sentence on several."""

    cells: Cells
    species: str | None = None
    notes: tuple[str, ...] = ()


def read_features(source: Source) -> Features:
    """Genes and other features from a table."""
    table = _read(source, is_feature_column, _HEADERLESS)
    if table.named:
        first = next(iter(table.columns))
        try:
            return from_columns(table.columns, None if is_feature_column(first) else table.columns[first])
        except KeyError as error:
            raise CorruptMatrixError(f"{source.name}, line 1: {error.args[0]}; send it with one") from error
    ids, symbols, kinds = (table.columns.get(name) for name in _HEADERLESS)
    if ids is None:
        return Features(*(np.empty(0, dtype=object),) * 2)
    return Features(ids, ids if symbols is None else filled(symbols, ids), kinds)


def read_cells(source: Source) -> CellTable:
    """Cells from a table."""
    table = _read(source, lambda name: name.casefold() in CELL_COLUMNS or is_annotation(name), ("barcode",))
    folded = {name.casefold(): column for name, column in table.columns.items()}
    first = next(iter(folded.values()), np.empty(0, dtype=object))
    ids = next((folded[name] for name in CELL_COLUMNS if name in folded), first)
    cells = Cells(ids, library_labels(table.columns), cell_types(table.columns))
    return CellTable(cells, *agreed_species(table.columns))


def _read(source: Source, wanted: Callable[[str], bool], headerless: Sequence[str]) -> Table:
    """The wanted columns; of a table without a header the first ones, called ``headerless``."""
    with _opened(source) as lines:
        rows: Iterator[list[str]] = filter(None, lines)
        first = next(rows, [])
        named = any(map(wanted, first))
        width = len(first)
        names = first if named else [*headerless[:width], *[""] * (width - len(headerless))]
        chosen = [place for place, name in enumerate(names) if place == 0 or (name and (not named or wanted(name)))]
        values: list[list[str]] = [[] for _ in chosen]
        # of texts that millions of cells share, one each
        seen: list[dict[str, str] | None] = [{} if is_annotation(names[place]) else None for place in chosen]
        rows = rows if named or not first else chain([first], rows)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            if set(map(len, some)) != {width}:
                _refuse_ragged(source, width)
            for column, place, texts in zip(values, chosen, seen, strict=True):
                own = [fields[place] for fields in some]
                column.extend(own if texts is None else [texts.setdefault(text, text) for text in own])
    columns = {names[place]: _strings(column) for place, column in zip(chosen, values, strict=True)}
    return Table(columns, named)


def _refuse_ragged(source: Source, width: int) -> NoReturn:
    """Name the first line that is not ``width`` fields wide, after another look at the table."""
    with _opened(source) as lines:
        fields = next(fields for fields in lines if len(fields) not in {0, width})
        line = lines.line_num
    raise CorruptMatrixError(
        f"{source.name}, line {line:,}: {len(fields)} fields, but the first line has {width}; send it again"
    )


def _strings(values: list[str]) -> Strings:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@contextmanager
def _opened(source: Source) -> Iterator["Reader"]:
    """The fields of each line; CorruptMatrixError, with the line, where whoever reads them comes on what is no text."""
    lines = None
    with io.TextIOWrapper(inflated(source, MAX_TABLE_BYTES), "utf-8-sig", newline="") as text:
        try:
            rows = _lines(text, source.name)
            first = next(rows, "")
            delimiter, quoting = ("\t", _tab_quoting(first)) if "\t" in first or "," not in first else (",", 0)
            lines = csv.reader(chain([first], rows), delimiter=delimiter, quoting=quoting)
            yield lines
        except UnicodeDecodeError as error:
            place = f"{source.name}, line {_line_of_no_text(source):,}"
            raise CorruptMatrixError(f"{place}: no UTF-8 text ({error.reason}); save it as UTF-8") from error
        except csv.Error as error:
            line = lines.line_num if lines else 0
            raise CorruptMatrixError(f"{source.name}, after line {line:,}: no table ({error})") from error


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """CorruptMatrixError where one is beyond any table's, before it is all in memory."""
    for number, line in enumerate(iter(partial(text.readline, MAX_LINE_CHARACTERS), ""), start=1):
        if len(line) == MAX_LINE_CHARACTERS:
            raise CorruptMatrixError(
                f"{name}, line {number:,}: longer than {MAX_LINE_CHARACTERS:,} characters; this is no table of genes or"
                " cells"
            )
        yield line


def _line_of_no_text(source: Source) -> int:
    """The first line that is no UTF-8: text is decoded far ahead of the line that is looked at."""
    number = 0
    with inflated(source, MAX_TABLE_BYTES) as stream, suppress(UnicodeDecodeError):
        for line in iter(partial(stream.readline, MAX_LINE_CHARACTERS), b""):
            number += 1
            line.decode()
    return number


def _tab_quoting(first: str) -> Literal[0, 3]:
    """Cell Ranger's tables quote nothing, so that a quote is a character; a table with a header may."""
    names = [name.strip('"').casefold() for name in first.strip().split("\t")]
    named = any(name in CELL_COLUMNS or is_feature_column(name) for name in names)
    return csv.QUOTE_MINIMAL if named else csv.QUOTE_NONE
