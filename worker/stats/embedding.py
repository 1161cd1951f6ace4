"""UMAP layout of the neighbour graph (McInnes, Healy & Melville 2018, section 4), seeded.

Of very many cells a sketch is laid out, and every other cell then finds its place among its neighbours in it.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import numba
import numpy as np
from scipy.optimize import curve_fit

from shared.pipeline import SEED, UMAP_MIN_DISTANCE, UMAP_SPREAD
from worker.stats.lanes import n_threads
from worker.stats.neighborhood import Neighborhood, Sketch
from worker.stats.summary import Floats, Integers

FEW_CELLS = 10_000
EPOCHS_OF_FEW, EPOCHS_OF_MANY = 500, 200
"""Times that the strongest edge is pulled, by the number of cells (umap-learn's)."""
STEP = 1.0
"""What a pull or push is multiplied with at first; this falls to zero (umap-learn's)."""
EPOCHS_OF_JOINING, STEP_OF_JOINING = 20, 0.1
CELLS_JOINING = 65_536
"""The same for cells beside a sketch, and how many of these a thread moves at once.

Of 100,000 cells by way of 30,000 the trustworthiness is 0.963; with umap-learn's 30 and 0.25 it is 0.962, and 0.965 of
a layout of all (measured).
"""
REPULSIONS = 5
"""Random cells that a cell is pushed away from each time an edge pulls it (umap-learn's)."""
FARTHEST = np.float32(4)
"""A step moves a cell no farther than this along either axis (umap-learn's)."""
LANES = 8
"""Numbers of single precision that a processor computes with at once; no fewer than REPULSIONS."""
LOG_BEND = np.float32(0.43998434), np.float32(-0.2416965), np.float32(0.08231221)
EXP_BEND = np.float32(-0.30466021), np.float32(-0.07925152)
"""log2(1 + x) is x, and 2**x is 1 + x, plus x (1 - x) times these polynomials, for x of 0 to 1 (Chebyshev fits)."""


class _Edges(NamedTuple):
    """Those of each head to tails: the arrays of a sparse matrix, as compiled code takes them."""

    indptr: Integers
    indices: Integers
    weights: Floats


def lay_out(neighborhood: Neighborhood) -> Floats:
    """Coordinates of all cells, (cells, 2)."""
    graph, places = neighborhood.graph, neighborhood.beginning.copy()
    epochs = EPOCHS_OF_FEW if len(places) <= FEW_CELLS else EPOCHS_OF_MANY
    _optimize(places, places, _Edges(graph.indptr, graph.indices, graph.data), epochs, STEP, curve(), SEED)
    return places if neighborhood.sketch is None else _joined(neighborhood.sketch, places)


def _joined(sketch: Sketch, sketched: Floats) -> Floats:
    """The sketch where it is, and every other cell pulled from amidst its neighbours to where UMAP has it."""
    places = np.empty((len(sketch.nearest.indices), 2), np.float32)

    def join(first: int) -> None:
        some = slice(first, first + CELLS_JOINING)
        cells, strengths = sketch.nearest.indices[some], sketch.nearest.strengths[some]
        means = np.einsum("ij,ijk->ik", strengths, sketched[cells]) / strengths.sum(axis=1, keepdims=True)
        starts = np.arange(0, cells.size + 1, cells.shape[1], dtype=np.int32)
        edges = _Edges(starts, cells.ravel(), strengths.ravel())
        _optimize(means, sketched, edges, EPOCHS_OF_JOINING, STEP_OF_JOINING, curve(), first)
        places[some] = means

    with ThreadPoolExecutor(n_threads()) as threads:
        list(threads.map(join, range(0, len(places), CELLS_JOINING)))
    places[sketch.cells] = sketched
    return places


@cache
def curve() -> tuple[np.float32, np.float32]:
    """``a`` and ``b`` of 1 / (1 + a d^2b), which stands for full strength up to UMAP_MIN_DISTANCE, then decay."""
    distance = np.linspace(0, 3 * UMAP_SPREAD, 300)
    wanted = np.exp(-np.maximum(distance - UMAP_MIN_DISTANCE, 0) / UMAP_SPREAD)
    (a, b), _ = curve_fit(lambda d, a, b: 1 / (1 + a * d ** (2 * b)), distance, wanted)
    return np.float32(a), np.float32(b)


@numba.njit(cache=True, nogil=True)
def _drawn(state: np.uint64) -> np.uint64:
    """The state that follows, by xorshift64 (Marsaglia 2003); its upper half is the draw."""
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    return state ^ (state << np.uint64(17))


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _optimize(
    heads: Floats,
    tails: Floats,
    edges: _Edges,
    epochs: int,
    step: float,
    curve: tuple[np.float32, np.float32],
    seed: int,
) -> None:
    """Move the ``heads`` in place: edges to ``tails`` pull, by chance as often as they are strong, random tails push.

    ``tails`` that are the ``heads`` are pulled as well; others stay. Stochastic gradient descent on the cross entropy,
    with a step that falls to zero. The few cells drawn at each pull push at once, which a processor computes side by
    side, and not one after another as in umap-learn. All of an epoch at once would hurl clusters twice as far apart.
    """
    a, b = curve
    indptr, indices, weights = edges
    among_heads = heads.ctypes.data == tails.ctypes.data
    n_tails = np.uint64(len(tails))
    strongest = np.max(weights) * np.float32(2**-32)
    state = np.uint64(seed + 1) * np.uint64(0x9E3779B97F4A7C15)
    away_x, away_y = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for epoch in range(epochs):
        rate = np.float32(step * (1 - epoch / epochs))
        for head in range(len(heads)):
            for edge in range(indptr[head], indptr[head + 1]):
                state = _drawn(state)
                if np.float32(state >> np.uint64(32)) * strongest >= weights[edge]:
                    continue
                tail = indices[edge]
                x, y = heads[head]
                dx, dy = x - tails[tail, 0], y - tails[tail, 1]
                square = dx * dx + dy * dy
                if square > 0:
                    strength = a * _power(square, b)
                    pull = np.float32(2) * b * strength / (square * (strength + np.float32(1)))
                    step_x, step_y = rate * _clipped(pull * dx), rate * _clipped(pull * dy)
                    x, y = x - step_x, y - step_y
                    if among_heads:
                        tails[tail, 0] += step_x
                        tails[tail, 1] += step_y
                heads[head] = x, y  # which is no distance from itself, where it is drawn
                for draw in range(REPULSIONS):
                    state = _drawn(state)
                    other = ((state >> np.uint64(32)) * n_tails) >> np.uint64(32)
                    away_x[draw], away_y[draw] = x - tails[other, 0], y - tails[other, 1]
                push_x, push_y = _push(away_x, away_y, a, b)
                heads[head] = x + rate * push_x, y + rate * push_y


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _push(away_x: Floats, away_y: Floats, a: np.float32, b: np.float32) -> tuple[np.float32, np.float32]:
    """The sum of the steps away from cells at these distances; there is none from the same place, as the padding is."""
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
