"""UMAP layout of the neighbour graph (McInnes, Healy & Melville 2018, sections 3.2 and 4), in one seeded thread.

Of very many cells a sketch is laid out, and every other cell has its place among its neighbours.
"""

from typing import Any

import numba
import numpy as np
from scipy import sparse
from scipy.optimize import curve_fit
from scipy.sparse import csgraph
from scipy.sparse import linalg as sparse_linalg

from shared.pipeline import SEED, UMAP_MIN_DISTANCE, UMAP_SPREAD
from worker.stats.neighborhood import Neighborhood, Sketch
from worker.stats.neighbors import closest
from worker.stats.summary import Doubles, Floats, Integers

FEW_CELLS = 10_000
EPOCHS_OF_FEW, EPOCHS_OF_MANY = 500, 200
"""Times that the strongest edge is pulled, by the number of cells (umap-learn's)."""
REPULSIONS = 5
"""Random cells that a cell is pushed away from each time an edge pulls it (umap-learn's)."""
FARTHEST = np.float32(4)
"""A step moves a cell no farther than this along either axis (umap-learn's)."""
LANES = 8
"""Numbers of single precision that a processor computes with at once."""
WIDTH = 10.0
NOISE = 1e-4
"""Extent of the layout that optimisation starts from, and the normal noise that parts cells in one place."""
LANCZOS_VECTORS = 40
LANCZOS_TOLERANCE = 1e-3
"""Space and error with which eigenvectors are found: a start needs no more."""
LOG_BEND = np.float32(0.43998434), np.float32(-0.2416965), np.float32(0.08231221)
EXP_BEND = np.float32(-0.30466021), np.float32(-0.07925152)
"""log2(1 + x) is x, and 2**x is 1 + x, plus x (1 - x) times these polynomials, for x of 0 to 1 (Chebyshev fits)."""
SPREADS = 4
"""Steps over connections in which places spread from the sketch; a cell has some 25 neighbours."""
FEWEST_FOR_SPECTRUM = 5
"""Cells that a part of the graph must have to be laid out by its eigenvectors."""


def lay_out(neighborhood: Neighborhood) -> Floats:
    """Coordinates of cells, (cells, 2)."""
    sketch = neighborhood.sketch
    return _laid_out(neighborhood) if sketch is None else _spread(neighborhood, sketch, _laid_out(sketch.neighborhood))


def _laid_out(neighborhood: Neighborhood) -> Floats:
    graph = neighborhood.graph
    epochs = EPOCHS_OF_FEW if graph.shape[0] <= FEW_CELLS else EPOCHS_OF_MANY
    pulling = _strongest(graph, epochs)
    positions = _start(pulling, neighborhood.scores, np.random.default_rng(SEED))
    _optimize(positions, pulling.indptr, pulling.indices, _periods(pulling), epochs, curve(), SEED)
    return positions


def _spread(neighborhood: Neighborhood, sketch: Sketch, sketched: Floats) -> Floats:
    """Every cell to the mean of its neighbours, weighted by strength: first those beside the sketch, then all others.

    The sketch stays where it is. What is not connected with it has the place of the nearest of it.
    """
    positions = np.zeros((len(neighborhood.scores), 2), np.float32)
    known = np.zeros(len(positions), np.float32)
    for _ in range(SPREADS):
        positions[sketch.cells], known[sketch.cells] = sketched, 1
        reached = neighborhood.graph @ known
        means = neighborhood.graph @ (positions * known[:, np.newaxis])
        np.divide(means, reached[:, np.newaxis], out=positions, where=reached[:, np.newaxis] > 0)
        known = np.maximum(known, reached > 0)
    positions[sketch.cells] = sketched
    apart = np.flatnonzero(known == 0)
    positions[apart] = sketched[closest(neighborhood.scores[apart], sketch.neighborhood.scores)[:, 0]]
    return positions


def _strongest(graph: Any, epochs: int) -> Any:
    """The edges that are strong enough to pull once in ``epochs``."""
    edges = graph.tocoo()
    strong = edges.data >= edges.data.max() / epochs
    return sparse.csr_array((edges.data[strong], (edges.row[strong], edges.col[strong])), shape=graph.shape)


def _periods(graph: Any) -> Floats:
    """Epochs from one pull of each edge to its next: the strongest pulls in every one."""
    periods: Floats = graph.data.max() / graph.data
    return periods


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


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _optimize(
    positions: Floats,
    indptr: Integers,
    indices: Integers,
    periods: Floats,
    epochs: int,
    curve: tuple[np.float32, np.float32],
    seed: int,
) -> None:
    """Move cells in place: edges pull, each once in its own period of epochs, and random cells push.

    Stochastic gradient descent on the cross entropy, with a step that falls to zero; xorshift64 draws the cells.
    What a cell draws in one epoch pushes it at once, not one after another as in umap-learn: a processor computes
    pushes that do not wait for each other side by side.
    """
    a, b = curve
    two_b = np.float32(2) * b
    n_cells = np.uint64(len(positions))
    state = np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15)
    due = periods.copy()
    most = REPULSIONS * np.max(indptr[1:] - indptr[:-1]) + LANES
    away_x, away_y = np.empty(most, np.float32), np.empty(most, np.float32)
    for epoch in range(epochs):
        rate = np.float32(1 - epoch / epochs)
        for head in range(len(positions)):
            x, y = positions[head]
            drawn = 0
            for edge in range(indptr[head], indptr[head + 1]):
                if due[edge] > epoch:
                    continue
                due[edge] += periods[edge]
                drawn += REPULSIONS
                tail = indices[edge]
                dx, dy = x - positions[tail, 0], y - positions[tail, 1]
                square = dx * dx + dy * dy
                if square > 0:
                    strength = a * _power(square, b)
                    pull = rate * two_b * strength / (square * (strength + np.float32(1)))
                    step_x, step_y = _clipped(pull * dx), _clipped(pull * dy)
                    x, y = x - step_x, y - step_y
                    positions[tail, 0] += step_x
                    positions[tail, 1] += step_y
            for draw in range(drawn):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                other = ((state >> np.uint64(32)) * n_cells) >> np.uint64(32)
                away_x[draw], away_y[draw] = x - positions[other, 0], y - positions[other, 1]
            padded = (drawn + LANES - 1) // LANES * LANES
            away_x[drawn:padded], away_y[drawn:padded] = 0, 0
            push_x, push_y = _push(away_x[:padded], away_y[:padded], a, b)
            positions[head, 0], positions[head, 1] = x + rate * _clipped(push_x), y + rate * _clipped(push_y)


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _push(away_x: Floats, away_y: Floats, a: np.float32, b: np.float32) -> tuple[np.float32, np.float32]:
    """The sum of the steps away from cells at these distances; one in the same place, as the padding is, does not."""
    push_x, push_y = np.float32(0), np.float32(0)
    for other in range(len(away_x)):
        dx, dy = away_x[other], away_y[other]
        square = dx * dx + dy * dy
        push = np.float32(2) * b / ((np.float32(0.001) + square) * (a * _power(square, b) + np.float32(1)))
        push_x += _clipped(push * dx)
        push_y += _clipped(push * dy)
    return push_x, push_y


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _clipped(step: np.float32) -> np.float32:
    return min(FARTHEST, max(-FARTHEST, step))


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _power(base: np.float32, exponent: np.float32) -> np.float32:
    """``base`` ** ``exponent`` within 4e-4 of itself, for a base of 0 or more; no less than 2**-64.

    The bits of a float, read as a whole number, are its logarithm but for a bend between powers of two
    (Schraudolph 1999), which a polynomial that is zero at both takes out.
    """
    bits = np.float32(np.float32(base).view(np.int32)) * np.float32(2**-23)
    bend = bits - np.floor(bits)
    bend *= (np.float32(1) - bend) * (LOG_BEND[0] + bend * (LOG_BEND[1] + bend * LOG_BEND[2]))
    power = max(exponent * (bits - np.float32(127) + bend), np.float32(-64))
    bend = power - np.floor(power)
    bend *= (np.float32(1) - bend) * (EXP_BEND[0] + bend * EXP_BEND[1])
    return np.int32((power + np.float32(127) + bend) * np.float32(2**23)).view(np.float32)
