"""What the name of a portal's file says of it: its format, whether its values are raw counts, whether it is a matrix.

Names are all that there is of contributors' files; what they hold, the worker decides by their content.
"""

import re
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Final

from shared import keys
from shared.companions import is_table_name

TEXTS: Final = frozenset({"csv", "csv.gz", "csv.zip", "tsv", "tsv.gz", "tsv.zip", "txt.gz"})
BARE: Final = frozenset({"mtx", "mtx.gz"})
"""Matrices whose genes and cells are listed in other files."""
_COUNTS: Final = frozenset({"mtx.zip", "mtx.tar", "mtx.tar.gz", "mtx.tgz", "h5"})
_LAYERED: Final = frozenset({"h5ad", "loom"})
_ARCHIVES: Final = frozenset({"zip", "tar", "tar.gz", "tgz"})


class Surety(IntEnum):
    """How surely a file holds raw counts; lower is surer."""

    COUNTS = 0
    """MatrixMarket archives, and Cell Ranger's HDF5: always."""
    BARE = 1
    """MatrixMarket with its tables: always, but in pieces."""
    LAYERED_RAW = 2
    TEXT_RAW = 3
    """Their names say so."""
    LAYERED = 4
    """h5ad, loom: perhaps in one of their places."""
    ARCHIVE = 5
    """Nobody knows what of."""
    TEXT = 6


_COUNTED: Final = re.compile(r"(?<![a-z])(raw|counts?|umis?|non-?normali[sz]ed)(?![a-z])", re.IGNORECASE)
_RAW: Final = re.compile(r"(?<![a-z])(raw|umis?)(?![a-z])|(?<![a-z])(non|not|un)[ ._-]?normali[sz]ed", re.IGNORECASE)
_NOT_RAW: Final = re.compile(
    r"(?<![a-z])(log2?|ln|norm|lognorm|scaled?|sct(ransform)?|z-?scores?|imputed|corrected|(log|norm)counts?"
    r"|(log2?|ln)?(normali[sz](ed|ation)|tpms?|cpms?|[fr]pkms?))(?![a-z])",
    re.IGNORECASE,
)
_ABOUT_CELLS: Final = re.compile(
    r"cell[ ._-]?(types?|info)|annot|meta[ ._-]?data|clusters?|labels?|umap|tsne|read[ ._-]?me|sample[ ._-]?info"
    r"|phenotypes?|coordinates|embeddings?|patients?|md5"
    r"|(?<![a-z])(obs|pca|degs?|markers?|coldata|design|qc|dea|signatures?)(?![a-z])",
    re.IGNORECASE,
)
_NO_GENES: Final = re.compile(r"(?<![a-z])(molecule_info|peaks?|atac|adt|hto|vdj|fragments?)(?![a-z])", re.IGNORECASE)
_GENES: Final = re.compile(r"(?<![a-z])(rna|gex|genes?)(?![a-z])", re.IGNORECASE)
_LIST_ALONE: Final = re.compile(r"(.*[^a-z])?barcodes\.|(genes|features|cells|rows|cols)\.", re.IGNORECASE)
_UNFILTERED: Final = re.compile(r"(?<![a-z])raw_", re.IGNORECASE)


def surety(format_: str, name: str) -> Surety | None:
    """By format and name; None of what is no format of count matrices."""
    raw = _COUNTED.search(name) is not None
    if format_ in TEXTS:
        return Surety.TEXT_RAW if raw else Surety.TEXT
    if format_ in _LAYERED:
        return Surety.LAYERED_RAW if raw else Surety.LAYERED
    known = {_COUNTS: Surety.COUNTS, BARE: Surety.BARE, _ARCHIVES: Surety.ARCHIVE}
    return next((sure for formats, sure in known.items() if format_ in formats), None)


def problem(name: str, format_: str) -> str:
    """Why a file so called is not read; empty where nothing speaks against it."""
    if format_ in TEXTS and _ABOUT_CELLS.search(name) and not _COUNTED.search(name):
        return "its name says that it tells something about cells"
    if _NOT_RAW.search(name) and not _RAW.search(name):
        return "its name says that its values are no raw counts"
    if _NO_GENES.search(name) and not _GENES.search(name):
        return "its name says that it measures something else than genes"
    return ""


def is_table(name: str, *, beside: bool) -> bool:
    """Whether it is called as a table of genes or cells, and no matrix is: ``beside`` a bare one, or by nothing else.

    ``GSE1_T_cells.csv.gz`` alone may well be a matrix.
    """
    path = PurePosixPath(name)
    return is_table_name(path) and (beside or _LIST_ALONE.match(name) is not None)


def filtered_name(name: str) -> str | None:
    """What the matrix without empty droplets would be called, by the name of one with them; None of other names."""
    return _UNFILTERED.sub("filtered_", name) if _UNFILTERED.search(name) else None


def stem(name: str) -> str:
    """The name without its format."""
    extension = keys.matrix_extension(name)
    return name[: -len(extension) - 1] if extension else name
