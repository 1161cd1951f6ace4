"""The tables of genes and cells that lie beside a matrix that carries none."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shared.companions import choose
from worker.matrices.archives import Member
from worker.matrices.features import looks_stable
from worker.matrices.streams import Source


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables beside a matrix, as far as there are any; ``cells_in_rows`` where their names say so."""

    features: Source | None = None
    cells: Source | None = None
    cells_in_rows: bool = False


def tables_of(matrix: Member, members: Sequence[Member], *, alone: bool) -> Tables:
    """The tables of ``matrix`` among ``members``; of rows and columns, those that name genes are the genes."""
    chosen = choose(matrix.path, [member.path for member in members], alone=alone)
    by_path = {member.path: member for member in members}
    features, cells = (by_path[path] if path else None for path in (chosen.features, chosen.cells))
    turned = bool(chosen.by_axis and features and cells and _lists_genes(cells) and not _lists_genes(features))
    if turned:
        features, cells = cells, features
    return Tables(features.source if features else None, cells.source if cells else None, cells_in_rows=turned)


def _lists_genes(table: Member) -> bool:
    lines = table.start.decode("utf-8", "replace").splitlines()
    return looks_stable(np.array([re.split("[\t,]", line)[0].strip('"') for line in lines], dtype=object))
