"""What the statistics need of a matrix: its sums, and its counts one block of cells after another."""

from collections.abc import Iterator
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

    def blocks(self) -> Iterator[CountBlock]:
        """All cells, in order; may be asked for again."""
