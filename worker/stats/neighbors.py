"""Nearest neighbours of cells by Euclidean distance: among all cells up to EXACT_CELLS, beyond it among likely ones.

These are found by putting cells into lists, each around a centre; the neighbours of a list's cells are looked for in
the lists whose centres are nearest to its own (Jégou, Douze & Schmid 2011; Johnson, Douze & Jégou 2021).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np

from shared.pipeline import EXACT_CELLS, SEED
from worker.stats.lanes import n_threads
from worker.stats.summary import Floats, Integers

QUERIES = 1_024
CANDIDATES = 4_096
"""Cells whose products a thread has in memory at once, 16 MB: none is kept but the nearest."""
STRIDE = 64
"""Products whose least is compared before each is: nearly all are too far, and a least is found 8 at a time."""
SPARE = 5
"""Neighbours more than wanted that the search in single precision keeps, to be ranked again in double."""
CELLS_OF_A_LIST = 400
LISTS_LOOKED_IN = 16
"""Of 100,000 cells on 50 components this finds 95 % of the neighbours (measured)."""
SAMPLED_OF_A_LIST = 40
ROUNDS = 6
"""Cells that each centre is placed by, and how often it moves to their mean."""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest other cells of each, nearest first, equals by number, (cells, k), and their distances."""

    indices: Integers
    distances: Floats


@dataclass(frozen=True, slots=True)
class _Task:
    """Cells that look for their neighbours in the same places."""

    queries: Integers
    candidates: Sequence[Integers]


def nearest(scores: Floats, k: int, exact_cells: int = EXACT_CELLS) -> Neighbors:
    """The ``k`` nearest other cells of each by their ``scores``, (cells, components).

    Up to ``exact_cells`` all pairs are looked at: 3 s of CPU for 30,000 cells on 50 components.
    """
    n_cells = len(scores)
    kept = min(k + SPARE, n_cells - 1)
    found = Neighbors(np.empty((n_cells, k), np.int32), np.empty((n_cells, k), np.float32))

    def work(task: _Task) -> None:
        near = _least(scores[task.queries], task.queries, scores, task.candidates, kept)
        _rank(scores, task.queries, near, found.indices, found.distances)

    _side_by_side(work, _every_pair(n_cells) if n_cells <= exact_cells else _likely_pairs(scores, kept))
    return found


def closest(points: Floats, cells: Floats, k: int = 1) -> Integers:
    """The ``k`` nearest of ``cells`` to each of ``points``, (points, k), nearest first, in single precision."""
    found = np.empty((len(points), k), np.int32)
    all_cells = _pieces(np.arange(len(cells), dtype=np.int32), CANDIDATES)

    def work(task: _Task) -> None:
        found[task.queries] = _least(points[task.queries], np.full_like(task.queries, -1), cells, all_cells, k)

    _side_by_side(work, (_Task(some, ()) for some in _pieces(np.arange(len(points), dtype=np.int32), QUERIES)))
    return found


def _side_by_side(work: Callable[[_Task], None], tasks: Iterable[_Task]) -> None:
    with ThreadPoolExecutor(n_threads()) as threads:
        for _ in threads.map(work, tasks):
            pass


def _every_pair(n_cells: int) -> Iterator[_Task]:
    cells = np.arange(n_cells, dtype=np.int32)
    candidates = _pieces(cells, CANDIDATES)
    return (_Task(queries, candidates) for queries in _pieces(cells, QUERIES))


def _likely_pairs(scores: Floats, kept: int) -> Iterator[_Task]:
    """Each list with the lists around it; with all cells where these are too few, as around many equal ones."""
    centres = _centres(scores)
    list_of = closest(scores, centres)[:, 0]
    order = np.argsort(list_of, kind="stable").astype(np.int32)
    lists = np.split(order, np.cumsum(np.bincount(list_of, minlength=len(centres)))[:-1])
    everything = _pieces(np.arange(len(scores), dtype=np.int32), CANDIDATES)
    for own, around in zip(lists, closest(centres, centres, min(LISTS_LOOKED_IN, len(centres))), strict=True):
        near = np.concatenate([lists[number] for number in around])
        candidates = _pieces(near, CANDIDATES) if len(near) > kept else everything
        for queries in _pieces(own, QUERIES):
            yield _Task(queries, candidates)


def _centres(scores: Floats) -> Floats:
    """Means of cells that are near each other (Lloyd's k-means on a seeded sample), (lists, components)."""
    n_lists = max(1, len(scores) // CELLS_OF_A_LIST)
    random = np.random.default_rng(SEED)
    sample = scores[np.sort(random.choice(len(scores), min(len(scores), SAMPLED_OF_A_LIST * n_lists), replace=False))]
    centres: Floats = sample[np.sort(random.choice(len(sample), n_lists, replace=False))]
    for _ in range(ROUNDS):
        nearest_centre = closest(sample, centres)[:, 0]
        sizes = np.bincount(nearest_centre, minlength=n_lists)
        for component, values in enumerate(sample.T):
            sums = np.bincount(nearest_centre, values, n_lists)
            np.divide(sums, sizes, out=centres[:, component], where=sizes > 0, casting="same_kind")
    return centres


def _pieces(cells: Integers, size: int) -> list[Integers]:
    return [cells[first : first + size] for first in range(0, len(cells), size)]


def _least(points: Floats, own: Integers, cells: Floats, candidates: Sequence[Integers], kept: int) -> Integers:
    """The ``kept`` nearest candidates of each point, itself (``own``) left out, (points, kept)."""
    near = np.zeros((len(points), kept), np.int32)
    keys = np.full((len(points), kept), np.inf, np.float32)
    # the product of these two rows is the squared distance less the point's own norm
    queries = np.column_stack((points, np.ones(len(points), np.float32)))
    for some in candidates:
        block = cells[some]
        products = queries @ np.column_stack((-2 * block, np.einsum("ij,ij->i", block, block))).T
        _keep_nearest(products, own, some, near, keys)
    return near


@numba.njit(cache=True, nogil=True, fastmath=True)
def _keep_nearest(found: Floats, own: Integers, candidates: Integers, near: Integers, keys: Floats) -> None:
    """Merge the keys ``found`` of some candidates, (points, candidates), into the least of each point."""
    kept = keys.shape[1]
    for point in range(found.shape[0]):
        row, best, nearest = found[point], keys[point], near[point]
        for start in range(0, len(row), STRIDE):
            stop = min(start + STRIDE, len(row))
            least = row[start]
            for place in range(start, stop):
                least = min(least, row[place])
            if least >= best[kept - 1]:
                continue
            for place in range(start, stop):
                key = row[place]
                if key >= best[kept - 1] or candidates[place] == own[point]:
                    continue
                rank = kept - 1
                while rank > 0 and best[rank - 1] > key:
                    best[rank], nearest[rank] = best[rank - 1], nearest[rank - 1]
                    rank -= 1
                best[rank], nearest[rank] = key, candidates[place]


@numba.njit(cache=True, nogil=True)
def _rank(scores: Floats, queries: Integers, near: Integers, indices: Integers, distances: Floats) -> None:
    """The nearest of those found, by distances taken anew: cells with equal scores are at distance zero."""
    k = indices.shape[1]
    squares = np.empty(near.shape[1])
    cells = np.empty(near.shape[1], np.int32)
    for query in range(len(near)):
        for found in range(near.shape[1]):
            cell = near[query, found]
            square = 0.0
            for component in range(scores.shape[1]):
                difference = np.float64(scores[cell, component]) - np.float64(scores[queries[query], component])
                square += difference * difference
            place = found
            while place > 0 and (square, cell) < (squares[place - 1], cells[place - 1]):
                squares[place], cells[place] = squares[place - 1], cells[place - 1]
                place -= 1
            squares[place], cells[place] = square, cell
        for rank in range(k):
            indices[queries[query], rank] = cells[rank]
            distances[queries[query], rank] = np.sqrt(squares[rank])
