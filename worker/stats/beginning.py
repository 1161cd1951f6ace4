"""Where the optimisation of a UMAP layout begins (McInnes, Healy & Melville 2018, section 3.2), as in umap-learn."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from shared.pipeline import SEED
from worker.stats.summary import Doubles, Floats, Integers

WIDTH = 10.0
NOISE = 1e-4
"""Extent of the layout that optimisation starts from, and the normal noise that parts cells in one place."""
LANCZOS_VECTORS = 40
LANCZOS_TOLERANCE = 1e-3
"""Space and error with which eigenvectors are found: a start needs no more."""
FEWEST_FOR_SPECTRUM = 5
"""Cells that a part of the graph must have to be laid out by its eigenvectors."""


def begin(graph: Any, scores: Floats) -> Floats:
    """Eigenvectors of the Laplacian of a graph of cells, (cells, 2); parts of a graph apart from each other.

    ``scores`` (cells, components) tell the parts their places.
    """
    random = np.random.default_rng(SEED)
    n_parts, part_of = csgraph.connected_components(graph, directed=False)
    if n_parts == 1:
        layout = _spectral(graph, random)
    else:
        layout = _parts_apart(graph, part_of, _around_a_circle(scores, part_of, n_parts), random)
    layout *= WIDTH / np.abs(layout).max()
    layout += random.normal(scale=NOISE, size=layout.shape)
    lowest, highest = layout.min(axis=0), layout.max(axis=0)
    return np.ascontiguousarray(WIDTH * (layout - lowest) / (highest - lowest), np.float32)


def _spectral(graph: Any, random: np.random.Generator) -> Doubles:
    """The eigenvectors that follow the first of the normalised Laplacian of a connected graph, (cells, 2).

    Random places where there are too few cells, or the solver finds no gap between the eigenvalues.
    """
    n_cells = graph.shape[0]
    if n_cells < FEWEST_FOR_SPECTRUM:
        return random.uniform(-WIDTH, WIDTH, (n_cells, 2))
    scale = sparse.diags_array(1 / np.sqrt(graph.sum(axis=0)))
    try:
        values, vectors = sparse_linalg.eigsh(
            scale @ graph @ scale,
            k=3,
            which="LA",
            v0=np.ones(n_cells),
            ncv=min(n_cells, LANCZOS_VECTORS),
            maxiter=5 * n_cells,
            tol=LANCZOS_TOLERANCE,
            rng=random,
        )
    except sparse_linalg.ArpackError:
        return random.uniform(-WIDTH, WIDTH, (n_cells, 2))
    layout: Doubles = vectors[:, np.argsort(-values, kind="stable")[1:]]
    return layout


def _around_a_circle(scores: Floats, part_of: Integers, n_parts: int) -> Doubles:
    """A place on the unit circle for each part, (parts, 2), in the order of their angles on the first components."""
    plane = np.zeros((len(scores), 2))
    plane[:, : min(2, scores.shape[1])] = scores[:, :2]
    sizes = np.bincount(part_of)
    centres = np.column_stack([np.bincount(part_of, plane[:, axis]) / sizes for axis in range(2)])
    order = np.argsort(np.arctan2(centres[:, 1], centres[:, 0]), kind="stable")
    turns = np.empty(n_parts)
    turns[order] = 2 * np.pi * np.arange(n_parts) / n_parts
    return np.column_stack((np.cos(turns), np.sin(turns)))


def _parts_apart(graph: Any, part_of: Integers, places: Doubles, random: np.random.Generator) -> Doubles:
    """Each part laid out for itself around its place, no wider than half the way to the next."""
    room = np.linalg.norm(places[0] - places[1:], axis=1).min() / 2
    layout = np.empty((graph.shape[0], 2))
    for part, place in enumerate(places):
        cells = np.flatnonzero(part_of == part)
        own = _spectral(graph[cells][:, cells], random)
        layout[cells] = place + own * (room / np.abs(own).max())
    return layout
