"""What the first lines of a text table say of it: its delimiter, its labels, which columns are counts, and of what."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from worker.matrices.blocks import Indices
from worker.matrices.features import is_feature_column, looks_stable
from worker.matrices.matrix import Strings
from worker.matrices.symbols import known_symbols
from worker.matrices.tables import CELL_COLUMNS

LEAST_START_BYTES: Final = 16_384
"""What is at hand of a longer file to tell what it is, at least."""
UTF8_MARK: Final = b"\xef\xbb\xbf"
PASSED_OVER: Final = -1
"""The number of a column that holds no counts."""
_DELIMITERS: Final = "\t,;"
_LOOKED_AT: Final = 50_000
"""Labels or fields; a list of genes ends before."""
_NARROW_ROWS: Final = 20
"""Rows that the start of a table without many columns has, at least."""
_SHOWN: Final = 5
_VAGUE: Final = frozenset({"", "id", "name", "index"})
"""What stands over row labels of either kind."""
_BARCODE = re.compile(r"(.*[_.:-])?[ACGT]{8,}([_.:-].*)?$")
_KNOWN_GENES: Final = frozenset(
    {"actb", "b2m", "eef1a1", "gapdh", "malat1", "rpl3", "rplp0", "rps18", "tmsb4x", "tpt1"}
)
"""Symbols, case folded, that nearly every list of genes has, whatever the vertebrate."""
_FEW_KNOWN: Final = 2
_NO_COUNTS = re.compile(
    # of genes
    r"(gene_?)?(bio)?type|description|entrez_?(gene)?(_?id)?|ncbi_?(gene)?_?id|(gene_?|effective_?)?length|chr(om(osome)?)?|start|end|strand|n_?cells"
    # of cells
    r"|n_?(counts?|umis?|reads|genes?|features?)(_rna|_by_counts)?|(total_counts|library_size|size_?factors?)(_mt)?"
    r"|(orig\.ident|batch|donor|plate|age|day)(_?id)?|doublet_?scores?"
    r"|(percent|pct|fraction)[._].+|(seurat_?|graph_?)?clusters?([._-]?id)?|(leiden|louvain)([._].+)?"
    r"|(x_)?(umap|t-?sne)[._-]?\d|(x_)?pca?[._-]\d+",
    re.IGNORECASE,
)
"""What tables call columns that hold no counts of a gene in a cell."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the first two lines say.

    ``n_labels`` columns before the numbers, the ``corner`` that stands over them, the names of the ``columns`` of
    counts, (counted,), and of the columns of other numbers; ``numbers``, (all columns,): of each its place among the
    counted, or PASSED_OVER.
    """

    delimiter: str
    n_labels: int
    corner: tuple[str, ...]
    columns: Strings
    passed_over: tuple[str, ...]
    numbers: Indices


def is_table(start: bytes) -> bool:
    """Whether text that starts like this is a header and rows of numbers, as far as can be seen."""
    header, _, rest = start.removeprefix(UTF8_MARK).partition(b"\n")
    rest = rest.lstrip(b"\r\n")
    row, ended, _ = rest.partition(b"\n")
    try:
        delimiter = _delimiter(header)
        names, fields = (_fields(line.decode("utf-8", "ignore"), delimiter) for line in (header, row))
    except (UnsupportedFormatError, csv.Error):
        return False
    fields = fields if ended else fields[:-1]
    n_labels = _n_labels(fields)
    if len(fields) <= n_labels:  # what is at hand may end before the first row, or the first number
        return not rest or (not ended and len(start) >= LEAST_START_BYTES)
    short = ended and len(names) == len(fields) - n_labels
    return _are_numbers(names if short else names[n_labels:], fields[n_labels:])


def names_no_genes(start: bytes) -> bool:
    """Whether a table that starts like this is narrow, and neither its rows nor its columns are called as genes are.

    Such tables hold what is known of cells (clusters, coordinates), where tables of counts lie beside them.
    """
    header, *rows = start.removeprefix(UTF8_MARK).decode("utf-8", "ignore").splitlines()
    if len(start) >= LEAST_START_BYTES and len(rows) < _NARROW_ROWS:
        return False
    delimiter = _delimiter(header.encode())
    sides = [row.partition(delimiter)[0] for row in rows], header.split(delimiter)
    return not any(_are_genes([label.strip('" ') for label in side]) for side in sides)


def read_layout(header: bytes, row: bytes, name: str) -> Layout:
    """The layout by the first line and the first row of numbers; errors say what is wrong with them."""
    delimiter = _delimiter(header)
    if not row.strip():
        raise EmptyMatrixError(f"{name}: a header and no rows")
    try:
        names, fields = (_fields(line.decode(), delimiter) for line in (header, row))
    except UnicodeDecodeError as error:
        raise CorruptMatrixError(f"{name}, line 1 or 2: no UTF-8 text ({error.reason})") from error
    except csv.Error as error:
        raise CorruptMatrixError(f"{name}, line 1 or 2: no table ({error})") from error
    n_labels = _n_labels(fields)
    n_values = len(fields) - n_labels
    if not n_values or not _are_numbers(names[-n_values:], fields[n_labels:]):
        raise UnsupportedFormatError(f"{name}: a table whose rows are not numbers after their labels; no count matrix")
    if len(names) not in {n_values, len(fields)}:
        raise CorruptMatrixError(f"{name}, line 2: {len(fields)} fields, but the header has {len(names)}")
    corner = names[: len(names) - n_values]
    _refuse_headless(corner, names[len(corner) :], name)
    return _layout(delimiter, n_labels, corner, names[len(corner) :])


def _layout(delimiter: str, n_labels: int, corner: Sequence[str], names: Sequence[str]) -> Layout:
    columns = np.array(names, dtype=object)
    counted = np.array([not is_no_count(name) for name in names], np.bool_)
    numbers = np.where(counted, np.cumsum(counted) - 1, PASSED_OVER).astype(np.int32)
    return Layout(delimiter, n_labels, tuple(corner), columns[counted], tuple(columns[~counted].tolist()), numbers)


def _refuse_headless(corner: Sequence[str], names: Sequence[str], name: str) -> None:
    """UnsupportedFormatError where the first line is a row of counts: these repeat, and names, be they numbers, do not.

    Read as names, they would take a gene and its counts away.
    """
    line = [*corner, *names][:_LOOKED_AT]
    if _repeat(line) or _repeat(line[len(corner) :]) or looks_stable(np.array(corner[:1], dtype=object)):
        shown = ", ".join(line[:_SHOWN])
        raise UnsupportedFormatError(
            f"{name}, line 1: a row of counts ({shown} …) where the names of the columns are expected; send it with a"
            " header"
        )


def _repeat(fields: Sequence[str]) -> bool:
    return len(set(fields)) < len(fields) and all(map(_is_number, fields))


def _delimiter(header: bytes) -> str:
    text = header.decode("utf-8", "ignore")
    best = max(_DELIMITERS, key=text.count)
    if best not in text:
        raise UnsupportedFormatError("text without commas or tabs")
    return best


def _n_labels(fields: Sequence[str]) -> int:
    """Fields before the first number, the first one always among them."""
    return next((place for place, field in enumerate(fields) if place and _is_number(field)), len(fields))


def _fields(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.strip("\r\n")], delimiter=delimiter), [])


def is_no_count(name: str) -> bool:
    """Whether a column that is called so holds something else than a gene's or a cell's counts."""
    return _NO_COUNTS.fullmatch(name) is not None


def _are_numbers(names: Sequence[str], fields: Sequence[str]) -> bool:
    """Whether the columns that may hold counts do, as far as is looked."""
    pairs = list(zip(names, fields, strict=False))[:_LOOKED_AT]
    counted = [field for name, field in pairs if not is_no_count(name)]
    return bool(counted) and all(map(_is_number, counted))


def _is_number(field: str) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def orientation(layout: Layout, labels: Sequence[str]) -> tuple[bool, str]:
    """Whether genes are in rows, and why; ``labels`` are those of the first rows."""
    corner = {name.casefold() for name in layout.corner} - _VAGUE
    if any(map(is_feature_column, corner)):
        return True, "so its first columns are named"
    if corner & set(CELL_COLUMNS):
        return False, "so its first column is named"
    labels, columns = labels[:_LOOKED_AT], layout.columns[:_LOOKED_AT].tolist()
    genes_in_rows = _are_genes(labels) or _are_barcodes(columns)
    genes_in_columns = _are_genes(columns) or _are_barcodes(labels)
    if genes_in_rows != genes_in_columns:
        return genes_in_rows, "its labels look so"
    if layout.n_labels > 1:
        return True, "several columns come before its values"
    return True, "its labels tell nothing, and most text matrices are so"


def _are_genes(labels: Sequence[str]) -> bool:
    if looks_stable(np.array(labels, dtype=object)):
        return True
    folded = [label.casefold() for label in labels]
    if sum(label in _KNOWN_GENES for label in folded) >= _FEW_KNOWN:
        return True
    symbols = known_symbols()
    return sum(label in symbols for label in folded) > len(folded) / 2


def _are_barcodes(labels: Sequence[str]) -> bool:
    return sum(bool(_BARCODE.match(label)) for label in labels) > len(labels) / 2
