"""UMAP layout of the neighbour graph (McInnes, Healy & Melville 2018, sections 3.2 and 4), in one seeded thread."""

from typing import Any

import numba
import numpy as np
from scipy import sparse
from scipy.optimize import curve_fit
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from shared.pipeline import SEED, UMAP_MIN_DISTANCE, UMAP_SPREAD
from worker.stats.summary import Doubles, Floats, Integers

FEW_CELLS = 10_000
EPOCHS_OF_FEW, EPOCHS_OF_MANY = 500, 200
"""Times that the strongest edge is pulled, by the number of cells (umap-learn's)."""
REPULSIONS = 5
"""Random cells that a cell is pushed away from each time an edge pulls it (umap-learn's)."""
WIDTH = 10.0
NOISE = 1e-4
"""Extent of the layout that optimisation starts from, and the normal noise that parts cells in one place."""
FEWEST_FOR_SPECTRUM = 5
"""Cells that a part of the graph must have to be laid out by its eigenvectors."""


def lay_out(graph: Any, scores: Floats) -> Floats:
    """Coordinates of cells, (cells, 2), of a symmetric csr_array of connection strengths.

    ``scores`` (cells, components) place the parts of a graph that falls apart.
    """
    epochs = EPOCHS_OF_FEW if graph.shape[0] <= FEW_CELLS else EPOCHS_OF_MANY
    edges = graph.tocoo()
    strong = edges.data >= edges.data.max() / epochs
    ends = np.column_stack((edges.row[strong], edges.col[strong]))
    weights = edges.data[strong].astype(np.float64)
    pulled = sparse.csr_array((weights, ends.T), shape=graph.shape)
    positions = _start(pulled, scores, np.random.default_rng(SEED))
    _optimize(positions, ends, weights.max() / weights, epochs, curve(), SEED)
    return positions


def curve() -> tuple[np.float32, np.float32]:
    """``a`` and ``b`` of 1 / (1 + a d^2b), which stands for full strength up to UMAP_MIN_DISTANCE, then decay."""
    distance = np.linspace(0, 3 * UMAP_SPREAD, 300)
    wanted = np.exp(-np.maximum(distance - UMAP_MIN_DISTANCE, 0) / UMAP_SPREAD)
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), distance, wanted)
    return np.float32(a), np.float32(b)


def _start(graph: Any, scores: Floats, random: np.random.Generator) -> Floats:
    """Where optimisation begins: eigenvectors of the graph's Laplacian, parts of a graph apart from each other."""
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
            ncv=min(n_cells, max(7, int(np.sqrt(n_cells)))),
            maxiter=5 * n_cells,
            tol=1e-4,
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


@numba.njit(cache=True)
def _clipped(step: np.float32) -> np.float32:
    return min(np.float32(4), max(np.float32(-4), step))


@numba.njit(cache=True)
def _optimize(
    positions: Floats, edges: Integers, periods: Doubles, epochs: int, curve: tuple[np.float32, np.float32], seed: int
) -> None:
    """Move cells in place: edges pull, each once in its own period of epochs, and random cells push.

    Stochastic gradient descent on the cross entropy, with a step that falls to zero; xorshift64 draws the cells.
    """
    a, b = curve
    one, two_b, softening = np.float32(1), np.float32(2) * b, np.float32(0.001)
    n_cells = np.uint64(len(positions))
    state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
    due = periods.copy()
    for epoch in range(epochs):
        rate = np.float32(1 - epoch / epochs)
        for edge in range(len(edges)):
            if due[edge] > epoch:
                continue
            due[edge] += periods[edge]
            head, tail = edges[edge, 0], edges[edge, 1]
            x, y = positions[head]
            dx, dy = x - positions[tail, 0], y - positions[tail, 1]
            square = dx * dx + dy * dy
            if square > 0:
                power = a * square**b
                pull = two_b * power / (square * (power + one))
                step_x, step_y = rate * _clipped(pull * dx), rate * _clipped(pull * dy)
                x, y = x - step_x, y - step_y
                positions[tail, 0] += step_x
                positions[tail, 1] += step_y
            for _ in range(REPULSIONS):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                other = ((state >> np.uint64(32)) * n_cells) >> np.uint64(32)
                dx, dy = x - positions[other, 0], y - positions[other, 1]
                square = dx * dx + dy * dy
                if square > 0 and other != head:
                    push = two_b / ((softening + square) * (a * square**b + one))
                    x, y = x + rate * _clipped(push * dx), y + rate * _clipped(push * dy)
            positions[head, 0], positions[head, 1] = x, y
