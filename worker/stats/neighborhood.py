"""How strongly UMAP connects cells to their neighbours (McInnes, Healy & Melville 2018, section 3.1).

umap-learn compiles for 12 to 22 s of CPU in every process that calls it; what is needed of it is written out here.
"""

from dataclasses import dataclass, replace
from typing import Any

import numba
import numpy as np
from scipy import sparse

from shared.pipeline import NEIGHBORS, SEED, SKETCH_CELLS
from worker.stats.beginning import begin
from worker.stats.neighbors import Neighbors, nearest, nearest_among
from worker.stats.summary import Doubles, Floats, Integers, Pointers

BISECTIONS = 64
TOLERANCE = 1e-5
"""Steps of the search for a cell's bandwidth, and the error of its sum that is good enough (umap-learn's)."""
LEAST_BANDWIDTH = 1e-3
"""A bandwidth is at least this share of the mean distance to the neighbours (umap-learn's)."""


@dataclass(frozen=True, slots=True)
class Neighborhood:
    """How strongly any two cells are connected, symmetric csr_array (cells, cells), and where their layout begins.

    Of very many cells these are the ``sketch``; None where they are all.
    """

    graph: Any
    beginning: Floats
    sketch: "Sketch | None" = None


@dataclass(frozen=True, slots=True)
class Sketch:
    """Some of the cells, by number, and the nearest of these to each other cell."""

    cells: Integers
    nearest: "Strengths"


@dataclass(frozen=True, slots=True)
class Strengths:
    """Neighbours of each cell, (cells, k), and how strongly it is connected to them, 0 to 1."""

    indices: Integers
    strengths: Floats


def connect(scores: Floats, sketch_cells: int = SKETCH_CELLS) -> Neighborhood:
    """Connections of cells by their ``scores``, (cells, components); two cells at least.

    Of few cells equal to ``scanpy.pp.neighbors`` with exact neighbours. Of more than ``sketch_cells``, so many are a
    sketch, each as likely as any other: clusters depend on how common a type is.
    """
    n_cells = len(scores)
    if n_cells <= sketch_cells:
        graph = connectivities(nearest(scores, n_neighbors(n_cells) - 1))
        return Neighborhood(graph, begin(graph, scores))
    chosen = np.zeros(n_cells, np.bool_)
    chosen[np.random.default_rng(SEED).choice(n_cells, sketch_cells, replace=False)] = True
    cells, others = (np.flatnonzero(some).astype(np.int32) for some in (chosen, ~chosen))
    sketched = scores[cells]
    found = nearest_among(scores, others, sketched, NEIGHBORS - 1)
    _become_strengths(found.distances, float(found.distances[others].mean(dtype=np.float64)))
    return replace(connect(sketched, sketch_cells), sketch=Sketch(cells, Strengths(found.indices, found.distances)))


def n_neighbors(n_cells: int) -> int:
    """Neighbours of a cell, itself included, as scanpy takes them of few cells."""
    return NEIGHBORS if n_cells >= NEIGHBORS else 1 + n_cells // 2


def connectivities(neighbors: Neighbors) -> Any:
    """Membership strengths of the neighbours, joined with those in the other direction by the probabilistic union.

    ``neighbors`` are used up: their arrays are worked on in place.
    """
    n_cells = len(neighbors.indices)
    strengths = neighbors.distances
    _become_strengths(strengths, float(strengths.mean(dtype=np.float64)))
    _by_number(neighbors.indices, strengths)
    starts, sources = _incoming(neighbors.indices)
    indptr = np.zeros(n_cells + 1, np.int32)
    nothing = np.empty(0, np.int32), np.empty(0, np.float32)
    _join(neighbors.indices, strengths, starts, sources, indptr, *nothing)
    joined = np.empty(indptr[-1], np.int32), np.empty(indptr[-1], np.float32)
    _join(neighbors.indices, strengths, starts, sources, indptr, *joined)
    return sparse.csr_array((joined[1], joined[0], indptr), shape=(n_cells, n_cells))


@numba.njit(cache=True, nogil=True)
def _become_strengths(distances: Floats, mean_of_all: float) -> None:
    """exp(-(d - nearest) / bandwidth), the bandwidth such that a cell's strengths add up to log2 of its neighbours."""
    k = distances.shape[1]
    target = np.log2(k + 1)  # a cell is its own neighbour
    excess = np.empty(k)
    for cell in range(len(distances)):
        closest = np.inf
        mean = 0.0
        for rank in range(k):
            distance = np.float64(distances[cell, rank])
            mean += distance / (k + 1)
            if 0 < distance < closest:
                closest = distance
        for rank in range(k):
            excess[rank] = max(distances[cell, rank] - closest, 0.0) if closest < np.inf else 0.0
        least = LEAST_BANDWIDTH * (mean if closest < np.inf else mean_of_all * k / (k + 1))
        bandwidth = max(_bandwidth(excess, target), least)
        for rank in range(k):
            distances[cell, rank] = np.exp(-excess[rank] / bandwidth)


@numba.njit(cache=True, nogil=True)
def _bandwidth(excess: Doubles, target: float) -> float:
    """The bandwidth at which the strengths add up to ``target``, by bisection."""
    low, high, bandwidth = 0.0, np.inf, 1.0
    for _ in range(BISECTIONS):
        total = 0.0
        for rank in range(len(excess)):
            total += np.exp(-excess[rank] / bandwidth)
        if abs(total - target) < TOLERANCE:
            break
        if total > target:
            high = bandwidth
        else:
            low = bandwidth
        bandwidth = (low + high) / 2 if high < np.inf else 2 * bandwidth
    return bandwidth


@numba.njit(cache=True, nogil=True)
def _by_number(indices: Integers, strengths: Floats) -> None:
    """Sort the neighbours of each cell by their number, in place."""
    for cell in range(len(indices)):
        order = np.argsort(indices[cell])
        indices[cell] = indices[cell][order]
        strengths[cell] = strengths[cell][order]


@numba.njit(cache=True, nogil=True)
def _incoming(indices: Integers) -> tuple[Pointers, Integers]:
    """The cells that have each cell for a neighbour, ascending, and where those of each start, (cells + 1,)."""
    starts = np.zeros(len(indices) + 1, np.int64)
    for neighbor in indices.ravel():
        starts[neighbor + 1] += 1
    for cell in range(len(indices)):
        starts[cell + 1] += starts[cell]
    sources = np.empty(indices.size, np.int32)
    places = starts.copy()
    for cell in range(len(indices)):
        for neighbor in indices[cell]:
            sources[places[neighbor]] = cell
            places[neighbor] += 1
    return starts, sources


@numba.njit(cache=True, nogil=True)
def _join(
    indices: Integers,
    strengths: Floats,
    starts: Pointers,
    sources: Integers,
    indptr: Integers,
    joined: Integers,
    weights: Floats,
) -> None:
    """Each cell's neighbours in either direction, ascending, to ``joined`` and ``weights``; empty: count them only."""
    k = indices.shape[1]
    count = 0
    for cell in range(len(indices)):
        rank, place, end = 0, starts[cell], starts[cell + 1]
        while rank < k or place < end:
            outward = rank < k and (place == end or indices[cell, rank] <= sources[place])
            inward = place < end and (rank == k or sources[place] <= indices[cell, rank])
            neighbor = indices[cell, rank] if outward else sources[place]
            there = strengths[cell, rank] if outward else np.float32(0)
            back = np.float32(0)
            if inward:
                back = strengths[neighbor, np.searchsorted(indices[neighbor], cell)]
            rank += outward
            place += inward
            weight = there + back - there * back
            if weight == 0:
                continue
            if len(joined):
                joined[count], weights[count] = neighbor, weight
            count += 1
        indptr[cell + 1] = count
