"""Communities of the neighbour graph (Leiden; Traag, Waltman & van Eck 2019), by scanpy on igraph."""

from typing import Any

import numpy as np
import numpy.typing as npt
import scanpy
from anndata import AnnData
from scipy import sparse

from shared.pipeline import LEIDEN_ITERATIONS, LEIDEN_RESOLUTION, SEED
from worker.stats.summary import Clusters


def find(graph: Any) -> Clusters:
    """Clusters of a symmetric csr_array of connection strengths, numbered by size; of equal size, by first cell."""
    cells = AnnData(shape=(graph.shape[0], 0))
    scanpy.tl.leiden(
        cells,
        adjacency=sparse.triu(graph, format="csr"),  # each connection once: half the memory, the same modularity
        flavor="igraph",
        directed=False,
        resolution=LEIDEN_RESOLUTION,
        n_iterations=LEIDEN_ITERATIONS,
        random_state=SEED,
    )
    return _by_size(cells.obs["leiden"].cat.codes.to_numpy())


def _by_size(membership: npt.NDArray[np.integer]) -> Clusters:
    _, first_cells, members, sizes = np.unique(membership, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first_cells, -sizes))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order))
    return Clusters(number[members], sizes[order].astype(np.int32))
