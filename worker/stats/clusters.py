"""Communities of the neighbour graph (Leiden; Traag, Waltman & van Eck 2019), by igraph as ``scanpy.tl.leiden``."""

import random
from typing import Any

import igraph
import numpy as np
import numpy.typing as npt
from scipy import sparse

from shared.pipeline import LEIDEN_ITERATIONS, LEIDEN_RESOLUTION, SEED
from worker.stats.neighbors import Neighborhood
from worker.stats.summary import Clusters


def find(neighborhood: Neighborhood) -> Clusters:
    """Clusters of connected cells, numbered by size; of equal size, by first cell."""
    return _by_size(_leiden(neighborhood.graph))


def _leiden(graph: Any) -> npt.NDArray[np.int64]:
    """Each cell's community, by modularity: scanpy's flavour ``igraph``, given arrays where that makes lists."""
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
    return np.array(found.membership)


def _by_size(membership: npt.NDArray[np.integer]) -> Clusters:
    _, first_cells, members, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first_cells, -sizes))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    return Clusters(number[members], sizes[order].astype(np.int32))
