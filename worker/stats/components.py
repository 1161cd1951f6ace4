"""Principal components without the matrix in memory: eigenvectors of the genes' products, summed over cells."""

import contextlib
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import linalg, sparse
from scipy.sparse import linalg as sparse_linalg

from shared.pipeline import COMPONENTS, SEED
from worker.matrices.matrix import CountBlock
from worker.stats import lanes
from worker.stats.counts import Counts
from worker.stats.missing import Missing
from worker.stats.normalize import ABSENT, SMALL_COUNTS, columns_of, log_normalized, scales, small_logs
from worker.stats.summary import Components, Doubles, Floats, Integers, Pointers

DENSE = 0.15
"""Share of non-zeros above which BLAS on a dense block is faster than products of the non-zeros alone (measured)."""


@dataclass(frozen=True, slots=True)
class _Products:
    """Sum of each gene, (genes,), and of the products of each pair, (genes, genes), the upper triangle."""

    sums: Doubles
    pairs: Doubles


def compute(counts: Counts, chosen: npt.NDArray[np.bool_]) -> Components | Missing:
    """Centred components of the log-normalised ``chosen`` genes, (genes,); equal to ``scanpy.pp.pca`` but for signs.

    As many as scanpy takes: COMPONENTS, or one less than there are cells or genes. The largest loading of each
    is positive.
    """
    genes = np.flatnonzero(chosen).astype(np.int32)
    k = min(COMPONENTS, counts.n_cells - 1, len(genes) - 1)
    if k < 1:
        return Missing("only one gene varies between the cells, and principal components need at least two")
    means, covariance = _covariance(counts, genes)
    total = float(np.trace(covariance))
    variances, loadings = _leading(covariance, k)
    loadings = _signed(loadings)
    return Components(_scores(counts, genes, means, loadings), np.maximum(variances, 0) / total)


def _covariance(counts: Counts, genes: Integers) -> tuple[Doubles, Doubles]:
    """Mean of each gene, and covariance of each pair, (genes, genes)."""
    factors, columns = scales(counts.cell_counts), columns_of(genes, counts.n_genes)

    def add(products: _Products, cells: slice, block: CountBlock) -> None:
        _add_products(products, _restricted(block, factors[cells], columns, len(genes)))

    n = len(genes)
    parts = lanes.summed(counts, lambda: _Products(np.zeros(n), np.zeros((n, n))), add)
    means = np.sum([part.sums for part in parts], axis=0) / counts.n_cells
    pairs = parts[0].pairs
    for part in parts[1:]:
        pairs += part.pairs
    pairs -= counts.n_cells * np.outer(means, means)
    pairs /= counts.n_cells - 1
    return means, np.triu(pairs) + np.triu(pairs, 1).T


def _restricted(block: CountBlock, factors: Doubles, columns: Integers, n_columns: int) -> Any:
    """Log-normalised values of some genes, csr_array (cells, columns) of float32."""
    indptr = np.zeros(block.n_cells + 1, np.int64)
    indices, values = np.empty_like(block.indices), np.empty_like(block.values)
    kept = _restrict(block, factors, columns, CountBlock(indptr, indices, values))
    return sparse.csr_array((values[:kept], indices[:kept], indptr), shape=(block.n_cells, n_columns))


@numba.njit(cache=True, nogil=True)
def _restrict(block: CountBlock, scales: Doubles, columns: Integers, to: CountBlock) -> int:
    kept = 0
    logs = np.empty(SMALL_COUNTS, np.float32)
    for cell in range(len(scales)):
        small_logs(logs, scales[cell])
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            column = columns[block.indices[entry]]
            if column != ABSENT:
                to.indices[kept] = column
                to.values[kept] = log_normalized(block.values[entry], scales[cell], logs)
                kept += 1
        to.indptr[cell + 1] = kept
    return kept


def _add_products(products: _Products, block: Any) -> None:
    """Products of a block in single precision, added up in double.

    Of a dense block about its means: far from zero, the digits of small differences between cells would be lost.
    """
    products.sums[:] += np.bincount(block.indices, block.data, block.shape[1])
    if block.nnz > DENSE * block.shape[0] * block.shape[1]:
        dense = block.toarray()
        means = dense.mean(axis=0, dtype=np.float64).astype(np.float32)
        dense -= means
        beside = np.outer(dense.sum(axis=0, dtype=np.float64) + len(dense) / 2 * means.astype(np.float64), means)
        products.pairs[:] += dense.T @ dense
        products.pairs[:] += beside + beside.T
    else:
        by_gene = sparse.csr_array((np.arange(block.nnz), block.indices, block.indptr), shape=block.shape).tocsc()
        cells = CountBlock(block.indptr, block.indices, block.data)
        _add_pairs(cells, by_gene.indptr, by_gene.indices, by_gene.data, products.pairs)


@numba.njit(cache=True, nogil=True)
def _add_pairs(block: CountBlock, starts: Pointers, cells: Pointers, entries: Pointers, pairs: Doubles) -> None:
    """Gene by gene, so that what is added to stays in the nearest cache; ``cells`` and ``entries`` of each by gene."""
    row = np.empty(len(pairs), np.float32)
    for gene in range(len(pairs)):
        row[:] = 0
        for place in range(starts[gene], starts[gene + 1]):
            first = entries[place]
            value = block.values[first]
            for entry in range(first, block.indptr[cells[place] + 1]):
                row[block.indices[entry]] += value * block.values[entry]
        for other in range(gene, len(pairs)):
            pairs[gene, other] += row[other]


def _leading(covariance: Doubles, k: int) -> tuple[Doubles, Doubles]:
    """The ``k`` largest eigenvalues, falling, and their eigenvectors, (genes, k), to the last digits."""
    n = len(covariance)
    if k < n // 4:  # Lanczos: half the time of a full decomposition
        with contextlib.suppress(sparse_linalg.ArpackError):
            variances, loadings = sparse_linalg.eigsh(covariance, k, which="LA", v0=np.ones(n), rng=SEED)
            return variances[::-1], loadings[:, ::-1]
    variances, loadings = linalg.eigh(covariance, subset_by_index=(n - k, n - 1), check_finite=False)
    return variances[::-1], loadings[:, ::-1]


def _signed(loadings: Doubles) -> Doubles:
    largest = np.abs(loadings).argmax(axis=0)
    signs: Doubles = np.where(loadings[largest, np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    return loadings * signs


def _scores(counts: Counts, genes: Integers, means: Doubles, loadings: Doubles) -> Floats:
    factors, columns = scales(counts.cell_counts), columns_of(genes, counts.n_genes)
    scores = np.empty((counts.n_cells, loadings.shape[1]), np.float32)
    origin: Any = means @ loadings

    def look(cells: slice, block: CountBlock) -> None:
        scores[cells] = _restricted(block, factors[cells], columns, len(genes)) @ loadings - origin

    lanes.visited(counts, look)
    return scores
