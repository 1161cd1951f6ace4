"""Communities of the neighbour graph (Leiden; Traag, Waltman & van Eck 2019), with igraph as scanpy calls it."""

import random
from typing import Any

import igraph
import numpy as np

from shared.pipeline import LEIDEN_ITERATIONS, LEIDEN_RESOLUTION, SEED
from worker.stats.summary import Clusters


def find(graph: Any) -> Clusters:
    """Clusters of a symmetric csr_array of connection strengths, numbered by size; of equal size, by first cell."""
    edges = graph.tocoo()
    upper = edges.row < edges.col
    undirected = igraph.Graph(n=graph.shape[0], edges=np.column_stack((edges.row[upper], edges.col[upper])))
    igraph.set_random_number_generator(random.Random(SEED))  # noqa: S311 - a seed is wanted, not a secret
    try:
        found = undirected.community_leiden(
            objective_function="modularity",
            weights=edges.data[upper].astype(np.float64),
            resolution=LEIDEN_RESOLUTION,
            n_iterations=LEIDEN_ITERATIONS,
        )
    finally:
        igraph.set_random_number_generator(random)
    return _by_size(np.array(found.membership))


def _by_size(membership: np.ndarray[Any, np.dtype[np.int64]]) -> Clusters:
    _, first_cells, members, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first_cells, -sizes))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    return Clusters(number[members], sizes[order].astype(np.int32))
