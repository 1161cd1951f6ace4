"""Counts of a scipy matrix, as a store on disk would give them."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from worker.matrices.matrix import Cells, CountBlock, Genes, Strings
from worker.stats.summarize import summarize
from worker.stats.summary import Doubles, Integers, Subject, Summary

SUBJECT = Subject("abe1a013-af7a-45ed-8c26-f3793c24a1f4", "homo_sapiens", "10X")


class InMemory:
    """Counts by cell of any array that scipy takes, in blocks of ``block_cells``."""

    def __init__(self, matrix: Any, block_cells: int = 7) -> None:
        self.matrix = sparse.csr_array(matrix)
        self.matrix.eliminate_zeros()
        self.matrix.sort_indices()
        self.block_cells = block_cells
        self.n_cells, self.n_genes = self.matrix.shape
        self.n_nonzero = int(self.matrix.nnz)
        self.cell_counts: Doubles = self.matrix.sum(axis=1, dtype=np.float64)
        self.gene_counts: Doubles = self.matrix.sum(axis=0, dtype=np.float64)
        self.cell_genes: Integers = np.diff(self.matrix.indptr).astype(np.int32)
        self.gene_cells: npt.NDArray[np.int64] = np.bincount(self.matrix.indices, minlength=self.n_genes)

    @property
    def cells(self) -> list[slice]:
        """The cells of each block."""
        starts = range(0, self.n_cells, self.block_cells)
        return [slice(first, min(first + self.block_cells, self.n_cells)) for first in starts]

    def block(self, number: int) -> CountBlock:
        """Their counts."""
        rows = self.matrix[self.cells[number]]
        return CountBlock(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(np.float32))


def names(prefix: str, n: int) -> Strings:
    """``n`` different names."""
    return np.array([f"{prefix}{number}" for number in range(n)], object)


def genes(n: int) -> Genes:
    """``n`` genes with ids and symbols."""
    return Genes(names("ENSG", n), names("GENE", n))


def summary_of(matrix: Any, symbols: Strings | None = None, mito: npt.NDArray[np.bool_] | None = None) -> Summary:
    """What ``summarize`` makes of a small matrix, (cells, genes)."""
    counts = InMemory(matrix)
    table = genes(counts.n_genes) if symbols is None else Genes(names("ENSG", len(symbols)), symbols)
    *_, whole = summarize(counts, table, mito, Cells(names("cell", counts.n_cells)), SUBJECT, lambda _: None)
    return whole
