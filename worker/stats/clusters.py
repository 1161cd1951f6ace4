"""Communities of the neighbour graph by modularity (Leiden; Traag, Waltman & van Eck 2019), by igraph as scanpy does.

Of very many cells igraph is given a sketch. Every other cell joins the community of most of its neighbours; then each
may move, as in the method's own first step, to the one among its neighbours' that gains modularity most.
"""

import random
from typing import Any, NamedTuple

import igraph
import numba
import numpy as np
import numpy.typing as npt
from scipy import sparse

from shared.pipeline import LEIDEN_ITERATIONS, LEIDEN_RESOLUTION, SEED
from worker.stats.neighborhood import Neighborhood, Sketch
from worker.stats.neighbors import closest
from worker.stats.summary import Clusters, Doubles, Floats, Integers

SPREADS = 8
"""Steps over connections in which communities spread from the sketch at most."""
SWEEPS = 5
"""Times that every cell may then move."""
NONE = np.int32(-1)


class _Links(NamedTuple):
    """Who is connected with whom, and how strongly: a tuple of the graph's arrays, so that compiled code takes it."""

    indptr: Integers
    cells: Integers
    weights: Floats


def find(neighborhood: Neighborhood) -> Clusters:
    """Clusters of connected cells, numbered by size; of equal size, by first cell."""
    sketch = neighborhood.sketch
    if sketch is None:
        return _by_size(_leiden(neighborhood.graph))
    labels = _spread(neighborhood, sketch, _leiden(sketch.neighborhood.graph))
    _move(neighborhood.graph, labels)
    return _by_size(labels)


def _leiden(graph: Any) -> Integers:
    """Each cell's community: scanpy's flavour ``igraph``, given arrays where that makes lists."""
    edges = sparse.triu(graph, k=1, format="coo")  # each connection once: half the memory, the same modularity
    network = igraph.Graph(graph.shape[0], np.column_stack((edges.row, edges.col)))
    igraph.set_random_number_generator(random.Random(SEED))  # noqa: S311 - a seed is wanted
    try:
        found = network.community_leiden(
            objective_function="modularity",
            weights=edges.data.astype(np.float64).tolist(),
            resolution=LEIDEN_RESOLUTION,
            n_iterations=LEIDEN_ITERATIONS,
        )
    finally:
        igraph.set_random_number_generator(random)
    return np.array(found.membership, np.int32)


def _spread(neighborhood: Neighborhood, sketch: Sketch, sketched: Integers) -> Integers:
    """The sketch's communities, and for every other cell that which most of its neighbours' strength is in.

    What is not connected with the sketch joins the community of the nearest of it.
    """
    graph = neighborhood.graph
    labels = np.full(graph.shape[0], NONE)
    labels[sketch.cells] = sketched
    for _ in range(SPREADS):
        reached = labels.copy()
        _adopt(_Links(graph.indptr, graph.indices, graph.data), labels, np.zeros(sketched.max() + 1), reached)
        if np.array_equal(reached, labels):
            break
        labels = reached
    apart = np.flatnonzero(labels == NONE)
    labels[apart] = sketched[closest(neighborhood.scores[apart], sketch.neighborhood.scores)[:, 0]]
    return labels


@numba.njit(cache=True, nogil=True)
def _adopt(links: _Links, labels: Integers, votes: Doubles, reached: Integers) -> None:
    """Give those without a label the one that most of their neighbours' strength is in; ``votes`` are zeros."""
    for cell in range(len(labels)):
        if labels[cell] != NONE:
            continue
        for entry in range(links.indptr[cell], links.indptr[cell + 1]):
            label = labels[links.cells[entry]]
            if label != NONE:
                votes[label] += links.weights[entry]
        for entry in range(links.indptr[cell], links.indptr[cell + 1]):
            label = labels[links.cells[entry]]
            if label != NONE and (reached[cell] == NONE or votes[label] > votes[reached[cell]]):
                reached[cell] = label
        for entry in range(links.indptr[cell], links.indptr[cell + 1]):
            label = labels[links.cells[entry]]
            if label != NONE:
                votes[label] = 0


def _move(graph: Any, labels: Integers) -> None:
    """Let every cell, in a seeded order, join the community among its neighbours' that gains most; in place."""
    strengths = np.asarray(graph.sum(axis=1), np.float64)
    order = np.random.default_rng(SEED).permutation(len(labels)).astype(np.int32)
    totals = np.bincount(labels, strengths, len(labels))
    for _ in range(SWEEPS):
        _sweep(_Links(graph.indptr, graph.indices, graph.data), strengths, totals, order, labels)


@numba.njit(cache=True, nogil=True)
def _sweep(links: _Links, strengths: Doubles, totals: Doubles, order: Integers, labels: Integers) -> None:
    """Modularity gained is the strength to a community less what chance would give (Newman 2004)."""
    everything = strengths.sum()
    to = np.zeros(len(totals))
    met = np.empty(len(totals), np.int32)
    for cell in order:
        own, strength = labels[cell], strengths[cell]
        count = 0
        for entry in range(links.indptr[cell], links.indptr[cell + 1]):
            community = labels[links.cells[entry]]
            if to[community] == 0:
                met[count] = community
                count += 1
            to[community] += links.weights[entry]
        best, gain = own, to[own] - LEIDEN_RESOLUTION * strength * (totals[own] - strength) / everything
        for community in met[:count]:
            other = to[community] - LEIDEN_RESOLUTION * strength * totals[community] / everything
            if community != own and other > gain:
                best, gain = community, other
        for community in met[:count]:
            to[community] = 0
        totals[own] -= strength
        totals[best] += strength
        labels[cell] = best


def _by_size(membership: npt.NDArray[np.integer]) -> Clusters:
    _, first_cells, members, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first_cells, -sizes))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    return Clusters(number[members], sizes[order].astype(np.int32))
