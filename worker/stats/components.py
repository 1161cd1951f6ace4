"""Principal components without the matrix in memory: eigenvectors of the genes' products, summed over cells."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import linalg

from shared.pipeline import COMPONENTS
from worker.stats.counts import Counts
from worker.stats.missing import Missing
from worker.stats.normalize import log_normalized
from worker.stats.summary import Components, Doubles, Floats, Integers

SPARSE = 0.1
"""Share of non-zeros below which products of those alone are faster than BLAS on a dense block (measured)."""


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
    variances, loadings = linalg.eigh(
        covariance, lower=False, subset_by_index=(len(genes) - k, len(genes) - 1), overwrite_a=True, check_finite=False
    )
    loadings = _signed(loadings[:, ::-1])
    return Components(_scores(counts, genes, means, loadings), np.maximum(variances[::-1], 0) / total)


def _covariance(counts: Counts, genes: Integers) -> tuple[Doubles, Doubles]:
    """Mean of each gene, and covariance of each pair in the upper triangle, (genes, genes)."""
    sums = np.zeros(len(genes))
    products = np.zeros((len(genes), len(genes)))
    for _, block in log_normalized(counts, genes):
        sums += np.bincount(block.indices, block.data, len(genes))
        if block.nnz < SPARSE * block.shape[0] * block.shape[1]:
            _add_products(products, block.indptr, block.indices, block.data)
        else:
            dense = block.toarray().astype(np.float64)
            products += dense.T @ dense
    means = sums / counts.n_cells
    products -= counts.n_cells * np.outer(means, means)
    products /= counts.n_cells - 1
    return means, products


@numba.njit(cache=True)
def _add_products(products: Doubles, indptr: Integers, indices: Integers, values: Floats) -> None:
    """Add a block's products of genes to the upper triangle."""
    for cell in range(len(indptr) - 1):
        end = indptr[cell + 1]
        for first in range(indptr[cell], end):
            row = products[indices[first]]
            value = np.float64(values[first])
            for second in range(first, end):
                row[indices[second]] += value * values[second]


def _signed(loadings: Doubles) -> Doubles:
    largest = np.abs(loadings).argmax(axis=0)
    signs: Doubles = np.where(loadings[largest, np.arange(loadings.shape[1])] < 0, -1.0, 1.0)
    return loadings * signs


def _scores(counts: Counts, genes: Integers, means: Doubles, loadings: Doubles) -> Floats:
    scores = np.empty((counts.n_cells, loadings.shape[1]), np.float32)
    origin: Any = means @ loadings
    for cells, block in log_normalized(counts, genes):
        scores[cells] = block @ loadings - origin
    return scores
