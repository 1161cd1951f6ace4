"""Nearest neighbours of cells, and how strongly UMAP connects them (McInnes, Healy & Melville 2018, section 3.1).

umap-learn compiles for 12 to 22 s of CPU in every process that calls it; what is needed of it is written out here.
"""

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from scipy import sparse

from shared.pipeline import NEIGHBORS
from worker.stats.summary import Doubles, Floats, Integers

QUERIES = 1_024
CANDIDATES = 4_096
"""Cells whose products are in memory at once, 16 MB: every pair is looked at, and none is kept but the nearest."""
SPARE = 5
"""Neighbours more than wanted that the search in single precision keeps, to be ranked again in double."""
BISECTIONS = 64
TOLERANCE = 1e-5
"""Steps of the search for a cell's bandwidth, and the error of its sum that is good enough (umap-learn's)."""
LEAST_BANDWIDTH = 1e-3
"""A bandwidth is at least this share of the mean distance to the neighbours (umap-learn's)."""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest other cells of each, nearest first, equals by number, (cells, k), and their distances."""

    indices: Integers
    distances: Doubles


def connect(scores: Floats) -> Any:
    """Strength of the connection of any two cells, symmetric csr_array (cells, cells), of the ``scores``.

    Equal to ``scanpy.pp.neighbors`` with exact neighbours. Two cells at least.
    """
    return connectivities(nearest(scores, n_neighbors(len(scores)) - 1))


def n_neighbors(n_cells: int) -> int:
    """Neighbours of a cell, itself included, as scanpy takes them of few cells."""
    return NEIGHBORS if n_cells >= NEIGHBORS else 1 + n_cells // 2


def nearest(scores: Floats, k: int) -> Neighbors:
    """The ``k`` nearest other cells of each by Euclidean distance, exactly, by looking at every pair.

    Time grows with the square of the cells: 9 s of CPU for 50,000 of 50 components, where pynndescent takes 37 s in
    a fresh process (4 s in one that has compiled it) and finds 86 % of them.
    """
    n_cells = len(scores)
    kept = min(k + SPARE, n_cells - 1)
    norms = np.einsum("ij,ij->i", scores, scores)
    indices = np.empty((n_cells, k), np.int32)
    distances = np.empty((n_cells, k))
    for first in range(0, n_cells, QUERIES):
        queries = slice(first, min(first + QUERIES, n_cells))
        near = _near(scores, norms, queries, kept)
        indices[queries], distances[queries] = _ranked(scores, queries, near, k)
    return Neighbors(indices, distances)


def _near(scores: Floats, norms: Floats, queries: slice, kept: int) -> Integers:
    n_queries = queries.stop - queries.start
    indices = np.full((n_queries, kept), -1, np.int32)
    keys = np.full((n_queries, kept), np.inf, np.float32)
    for first in range(0, len(scores), CANDIDATES):
        candidates = slice(first, min(first + CANDIDATES, len(scores)))
        products = scores[queries] @ scores[candidates].T
        _keep_nearest(products, norms[candidates], queries.start, first, indices, keys)
    return indices


@numba.njit(cache=True)
def _keep_nearest(
    products: Floats, norms: Floats, first_query: int, first_candidate: int, indices: Integers, keys: Floats
) -> None:
    """Merge a block of candidates into each query's nearest, by squared distance less the query's own norm."""
    last = keys.shape[1] - 1
    for query in range(products.shape[0]):
        for candidate in range(products.shape[1]):
            key = norms[candidate] - np.float32(2) * products[query, candidate]
            if key >= keys[query, last] or first_candidate + candidate == first_query + query:
                continue
            place = last
            while place > 0 and keys[query, place - 1] > key:
                keys[query, place] = keys[query, place - 1]
                indices[query, place] = indices[query, place - 1]
                place -= 1
            keys[query, place] = key
            indices[query, place] = first_candidate + candidate


def _ranked(scores: Floats, queries: slice, near: Integers, k: int) -> tuple[Integers, Doubles]:
    """The ``k`` nearest of those found, by distances taken anew: cells with equal scores are at distance zero."""
    near = np.sort(near, axis=1)
    differences = scores[near].astype(np.float64) - scores[queries, np.newaxis]
    distances = np.sqrt(np.einsum("ijk,ijk->ij", differences, differences))
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(near, order, 1), np.take_along_axis(distances, order, 1)


def connectivities(neighbors: Neighbors) -> Any:
    """Membership strengths of the neighbours, joined with those in the other direction by the probabilistic union."""
    n_cells, k = neighbors.indices.shape
    excess, bandwidths = _smoothed(neighbors.distances)
    strengths = np.exp(-excess / bandwidths[:, np.newaxis])
    rows = np.repeat(np.arange(n_cells, dtype=np.int32), k)
    directed = sparse.csr_array(
        (strengths.ravel().astype(np.float32), (rows, neighbors.indices.ravel())), shape=(n_cells, n_cells)
    )
    other = directed.T.tocsr()
    union = (directed + other - directed * other).tocsr()
    union.eliminate_zeros()
    union.sort_indices()
    return union


def _smoothed(distances: Doubles) -> tuple[Doubles, Doubles]:
    """How much farther than its nearest each neighbour is, (cells, k), and each cell's bandwidth, (cells,)."""
    nearest_distance = np.where(distances > 0, distances, np.inf).min(axis=1)
    nearest_distance[np.isinf(nearest_distance)] = 0
    excess = np.maximum(distances - nearest_distance[:, np.newaxis], 0)
    including_itself = distances.shape[1] + 1
    bandwidths = _bandwidths(excess, np.log2(including_itself))
    means = distances.sum(axis=1) / including_itself
    least = LEAST_BANDWIDTH * np.where(nearest_distance > 0, means, means.mean())
    # all cells in one place: any bandwidth will do, as all strengths are 1
    return excess, np.maximum(bandwidths, np.where(least > 0, least, 1.0))


def _bandwidths(excess: Doubles, target: float) -> Doubles:
    """The bandwidth of each cell at which its strengths add up to ``target``, by bisection."""
    bandwidths = np.ones(len(excess))
    low, high = np.zeros(len(excess)), np.full(len(excess), np.inf)
    open_cells = np.arange(len(excess))
    for _ in range(BISECTIONS):
        sums = np.exp(-excess[open_cells] / bandwidths[open_cells, np.newaxis]).sum(axis=1)
        missed = np.abs(sums - target) >= TOLERANCE
        open_cells, too_wide = open_cells[missed], (sums > target)[missed]
        if not len(open_cells):
            break
        middle = bandwidths[open_cells]
        high[open_cells] = np.where(too_wide, middle, high[open_cells])
        low[open_cells] = np.where(too_wide, low[open_cells], middle)
        bounded = np.isfinite(high[open_cells])
        halfway = (low[open_cells] + np.where(bounded, high[open_cells], 0)) / 2
        bandwidths[open_cells] = np.where(bounded, halfway, 2 * middle)
    return bandwidths
