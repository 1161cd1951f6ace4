"""What the statistics need of a matrix: its sums, and its counts block by block of cells."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from worker.matrices.matrix import CountBlock
from worker.stats.summary import Doubles, Integers


class Counts(Protocol):
    """Raw counts of the cells of one library, with the sums that were taken on the way to disk."""

    @property
    def n_cells(self) -> int:
        """Cells."""

    @property
    def n_genes(self) -> int:
        """Genes."""

    @property
    def n_nonzero(self) -> int:
        """Counts above zero."""

    @property
    def cell_counts(self) -> Doubles:
        """Sum of counts of each cell, (cells,)."""

    @property
    def cell_genes(self) -> Integers:
        """Genes with a count in each cell, (cells,)."""

    @property
    def gene_counts(self) -> Doubles:
        """Sum of counts of each gene, (genes,)."""

    @property
    def gene_cells(self) -> npt.NDArray[np.int64]:
        """Cells with a count of each gene, (genes,)."""

    @property
    def cells(self) -> Sequence[slice]:
        """The cells of each block, in order."""

    def block(self, number: int) -> CountBlock:
        """The counts of ``cells[number]``; several threads may ask at once."""
