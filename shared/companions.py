"""Which tables belong to a matrix that carries none, told by how files are called.

``matrix.mtx`` with ``genes.tsv`` (or ``features``) and ``barcodes.tsv`` (or ``cells``); ``GSM1_matrix.mtx`` with
``GSM1_features.tsv`` and so on; ``E-X.mtx`` with ``E-X.mtx_rows`` and ``E-X.mtx_cols``, as the EBI's Single Cell
Expression Atlas names them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import Final

FEATURES: Final = ("genes", "features")
CELLS: Final = ("cells", "barcodes")
"""What tables list, as their names end before the extension. The HCA's own come first: they have headers."""
_ROWS: Final = ("rows",)
_COLUMNS: Final = ("cols",)
_TABLE = re.compile(
    r"(?P<prefix>.*?)[^a-z0-9]*"
    r"((?P<role>genes|features|cells|barcodes|(?<![a-z0-9])rows|(?<![a-z0-9])cols)\.(tsv|csv|txt)"
    r"|(?<=\.mtx)_(?P<axis>rows|cols))"
    r"(\.gz)?"
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The tables of a matrix; where ``by_axis``, those of its rows and its columns, whatever these are."""

    features: PurePosixPath | None
    cells: PurePosixPath | None
    by_axis: bool = False

    @property
    def paths(self) -> tuple[PurePosixPath, ...]:
        """Those that there are."""
        return tuple(path for path in (self.features, self.cells) if path)


def is_table_name(path: PurePosixPath) -> bool:
    """Whether a file is called like a table of genes or cells."""
    return _TABLE.fullmatch(path.name.casefold()) is not None


def choose(matrix: PurePosixPath, others: Iterable[PurePosixPath], *, alone: bool) -> Chosen:
    """The tables among ``others`` that lie in the folder of ``matrix`` and whose names begin as its name does.

    Where it is ``alone`` in its folder, names that begin otherwise will do.
    """
    tables = [path for path in others if path.parent == matrix.parent and is_table_name(path)]
    first = partial(_first, matrix, tables, alone=alone)
    by_name, by_axis = Chosen(first(FEATURES), first(CELLS)), Chosen(first(_ROWS), first(_COLUMNS), by_axis=True)
    return by_axis if len(by_axis.paths) > len(by_name.paths) else by_name


def _first(
    matrix: PurePosixPath, tables: Sequence[PurePosixPath], roles: Sequence[str], *, alone: bool
) -> PurePosixPath | None:
    """The table of that role whose name has most in common with the matrix's; then the role that stands first."""
    ranked = []
    for path in tables:
        prefix, role = _parts(path)
        belongs = _begins(matrix.name.casefold(), prefix)
        if role in roles and (belongs or alone):
            ranked.append((not belongs, -len(prefix), roles.index(role), path))
    return min(ranked)[-1] if ranked else None


def _parts(path: PurePosixPath) -> tuple[str, str]:
    """What stands before the role in a table's name, and the role; only of names that are a table's."""
    match = _TABLE.fullmatch(path.name.casefold())
    return (match["prefix"], match["role"] or match["axis"]) if match else ("", "")


def _begins(name: str, prefix: str) -> bool:
    """Whether ``name`` begins with ``prefix`` as a word of its own (``GSM1`` does not begin ``GSM10``)."""
    return name.startswith(prefix) and (not prefix or not name[len(prefix) :][:1].isalnum())
