"""Nearest neighbours of cells, and how strongly UMAP connects them (McInnes, Healy & Melville 2018, section 3.1).

umap-learn compiles for 12 to 22 s of CPU in every process that calls it; what is needed of it is written out here.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from scipy import sparse

from shared.pipeline import NEIGHBORS
from worker.stats.lanes import n_threads
from worker.stats.summary import Doubles, Floats, Integers

QUERIES = 1_024
CANDIDATES = 4_096
"""Cells whose products a thread has in memory at once, 16 MB: every pair is looked at, none kept but the nearest."""
STRIDE = 64
"""Products whose least is compared before each is: nearly all are too far, and a least is found 8 at a time."""
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


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """Where cells lie, (cells, components), and how strongly any two are connected, csr_array (cells, cells)."""

    scores: Floats
    graph: Any


def connect(scores: Floats) -> Neighborhood:
    """Connections of cells by their ``scores``, (cells, components); two cells at least.

    Equal to ``scanpy.pp.neighbors`` with exact neighbours.
    """
    return Neighborhood(scores, connectivities(nearest(scores, n_neighbors(len(scores)) - 1)))


def n_neighbors(n_cells: int) -> int:
    """Neighbours of a cell, itself included, as scanpy takes them of few cells."""
    return NEIGHBORS if n_cells >= NEIGHBORS else 1 + n_cells // 2


def nearest(scores: Floats, k: int) -> Neighbors:
    """The ``k`` nearest other cells of each by Euclidean distance, exactly, by looking at every pair.

    Time grows with the square of the cells: 3 s of CPU for 30,000 of 50 components.
    """
    n_cells = len(scores)
    kept = min(k + SPARE, n_cells - 1)
    indices = np.empty((n_cells, k), np.int32)
    distances = np.empty((n_cells, k))
    # the product of these two rows is the squared distance less the query's own norm
    queries = np.column_stack((scores, np.ones(n_cells, np.float32)))
    candidates = np.column_stack((-2 * scores, np.einsum("ij,ij->i", scores, scores)))

    def search(first: int) -> None:
        last = min(first + QUERIES, n_cells)
        near = _near(queries[first:last], candidates, first, kept)
        _rank(scores, first, near, indices[first:last], distances[first:last])

    with ThreadPoolExecutor(n_threads()) as threads:
        list(threads.map(search, range(0, n_cells, QUERIES)))
    return Neighbors(indices, distances)


def _near(queries: Floats, candidates: Floats, first_query: int, kept: int) -> Integers:
    indices = np.zeros((len(queries), kept), np.int32)
    keys = np.full((len(queries), kept), np.inf, np.float32)
    for first in range(0, len(candidates), CANDIDATES):
        products = queries @ candidates[first : first + CANDIDATES].T
        _keep_nearest(products, first_query, first, indices, keys)
    return indices


@numba.njit(cache=True, nogil=True, fastmath=True)
def _keep_nearest(found: Floats, first_query: int, first: int, indices: Integers, keys: Floats) -> None:
    """Merge the keys ``found`` of a block of candidates, (queries, candidates), into the least of each query."""
    kept = keys.shape[1]
    for query in range(found.shape[0]):
        row, best, near = found[query], keys[query], indices[query]
        itself = first_query + query - first
        if 0 <= itself < len(row):
            row[itself] = np.inf
        for start in range(0, len(row), STRIDE):
            stop = min(start + STRIDE, len(row))
            least = row[start]
            for candidate in range(start, stop):
                least = min(least, row[candidate])
            if least >= best[kept - 1]:
                continue
            for candidate in range(start, stop):
                key = row[candidate]
                if key >= best[kept - 1]:
                    continue
                place = kept - 1
                while place > 0 and best[place - 1] > key:
                    best[place], near[place] = best[place - 1], near[place - 1]
                    place -= 1
                best[place], near[place] = key, first + candidate


@numba.njit(cache=True, nogil=True)
def _rank(scores: Floats, first_query: int, near: Integers, indices: Integers, distances: Doubles) -> None:
    """The nearest of those found, by distances taken anew: cells with equal scores are at distance zero."""
    k = indices.shape[1]
    for query in range(len(near)):
        filled = 0
        for cell in near[query]:
            square = 0.0
            for component in range(scores.shape[1]):
                difference = np.float64(scores[cell, component]) - np.float64(scores[first_query + query, component])
                square += difference * difference
            distance = np.sqrt(square)
            place = filled
            while place > 0 and (distance, cell) < (distances[query, place - 1], indices[query, place - 1]):
                if place < k:
                    distances[query, place] = distances[query, place - 1]
                    indices[query, place] = indices[query, place - 1]
                place -= 1
            if place < k:
                indices[query, place], distances[query, place] = cell, distance
            filled = min(filled + 1, k)


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
