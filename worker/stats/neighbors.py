"""Nearest neighbours of cells by Euclidean distance: of all cells up to EXACT_CELLS, beyond it of likely ones.

These are found by putting cells into lists, each around a centre; the neighbours of a list's cells are looked for in
the lists whose centres are nearest to its own (Jégou, Douze & Schmid 2011; Johnson, Douze & Jégou 2021).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched

import numba
import numpy as np

from shared.pipeline import EXACT_CELLS, SEED
from worker.stats.lanes import n_threads
from worker.stats.summary import Floats, Integers

QUERIES = 1_024
CANDIDATES = 4_096
"""Cells whose products a thread has in memory at once, 16 MB: none is kept but the nearest."""
STRIDE = 64
"""Products that are compared with a bound at once, before each is for itself: nearly all are too far."""
TASKS = 256
"""Searches that wait for a thread, 25 kB each: those of a million cells would be 80 MB."""
SPARE = 5
"""Neighbours more than wanted that the search in single precision keeps, to be ranked again in double."""
CELLS_OF_A_LIST = 400
CELLS_OF_A_PART = 4_000
"""Cells of a list that are looked at together: one that is longer, as of many equal cells, is cut into parts."""
LISTS_LOOKED_IN = 16
"""Of 100,000 cells on 50 components this finds 95 % of the neighbours (measured)."""
SAMPLED_OF_A_LIST = 40
ROUNDS = 6
"""Cells that each centre is placed by, and how often it moves to their mean."""


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The nearest cells of each, nearest first, equals by number, (cells, k), and their distances."""

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
    everyone = np.arange(len(scores), dtype=np.int32)
    kept = min(k + SPARE, len(scores) - 1)
    tasks = _every_pair(everyone) if len(scores) <= exact_cells else _likely_pairs(scores, everyone, scores, kept)
    return _found(scores, scores, k, kept, tasks)


def nearest_among(scores: Floats, queries: Integers, cells: Floats, k: int) -> Neighbors:
    """The ``k`` nearest of ``cells``, (cells, components), to those of the ``scores`` that are in ``queries``.

    Of the others, none: all are at zero. More than ``k`` + SPARE cells are needed.
    """
    kept = k + SPARE
    return _found(scores, cells, k, kept, _likely_pairs(scores, queries, cells, kept))


def _found(scores: Floats, cells: Floats, k: int, kept: int, tasks: Iterable[_Task]) -> Neighbors:
    found = Neighbors(np.zeros((len(scores), k), np.int32), np.zeros((len(scores), k), np.float32))

    targets = _targets(cells)

    def work(task: _Task) -> None:
        own = task.queries if cells is scores else np.full_like(task.queries, -1)
        near = _least(scores[task.queries], own, targets, task.candidates, kept)
        _rank(scores, cells, task.queries, near, found.indices, found.distances)

    _side_by_side(work, tasks)
    return found


def closest(points: Floats, cells: Floats, k: int = 1) -> Integers:
    """The ``k`` nearest of ``cells`` to each of ``points``, (points, k), nearest first, in single precision."""
    found = np.empty((len(points), k), np.int32)
    targets = _targets(cells)
    all_cells = _pieces(np.arange(len(cells), dtype=np.int32), CANDIDATES)

    def work(task: _Task) -> None:
        found[task.queries] = _least(points[task.queries], np.full_like(task.queries, -1), targets, all_cells, k)

    _side_by_side(work, (_Task(some, ()) for some in _pieces(np.arange(len(points), dtype=np.int32), QUERIES)))
    return found


def _side_by_side(work: Callable[[_Task], None], tasks: Iterable[_Task]) -> None:
    with ThreadPoolExecutor(n_threads()) as threads:
        for some in batched(tasks, TASKS):
            list(threads.map(work, some))


def _every_pair(cells: Integers) -> Iterator[_Task]:
    candidates = _pieces(cells, CANDIDATES)
    return (_Task(queries, candidates) for queries in _pieces(cells, QUERIES))


def _likely_pairs(scores: Floats, queries: Integers, cells: Floats, kept: int) -> Iterator[_Task]:
    """The queries of each list with the cells of it and the lists around it; with all where these are too few.

    Of a list in parts every query looks in the first, and cells of the list itself in their own.
    """
    centres = _centres(cells)
    lists = _lists(closest(cells, centres)[:, 0], np.arange(len(cells), dtype=np.int32), len(centres))
    askers = lists if scores is cells else _lists(closest(scores, centres)[queries, 0], queries, len(centres))
    around = closest(centres, centres, min(LISTS_LOOKED_IN, len(centres)))
    everything = _pieces(np.arange(len(cells), dtype=np.int32), CANDIDATES)
    for number, asking in enumerate(askers):
        first_parts = [lists[other][:CELLS_OF_A_PART] for other in (number, *around[number][around[number] != number])]
        for place, part in enumerate(_pieces(asking, CELLS_OF_A_PART)):
            near = np.concatenate([*first_parts, part] if place and scores is cells else first_parts)
            candidates = _pieces(near, CANDIDATES) if len(near) > kept else everything
            for some in _pieces(part, QUERIES):
                yield _Task(some, candidates)


def _lists(list_of: Integers, cells: Integers, n_lists: int) -> list[Integers]:
    ends = np.cumsum(np.bincount(list_of, minlength=n_lists))
    return np.split(cells[np.argsort(list_of, kind="stable")], ends[:-1])


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


def _targets(cells: Floats) -> Floats:
    """Rows whose product with a point's scores and a 1 is the squared distance less the point's own norm."""
    return np.column_stack((-2 * cells, np.einsum("ij,ij->i", cells, cells)))


def _least(points: Floats, own: Integers, targets: Floats, candidates: Sequence[Integers], kept: int) -> Integers:
    """The ``kept`` nearest candidates of each point, itself (``own``) left out, (points, kept)."""
    near = np.zeros((len(points), kept), np.int32)
    keys = np.full((len(points), kept), np.inf, np.float32)
    queries = np.column_stack((points, np.ones(len(points), np.float32)))
    for some in candidates:
        _keep_nearest(queries @ targets[some].T, own, some, near, keys)
    return near


@numba.njit(cache=True, nogil=True, fastmath=True)
def _keep_nearest(found: Floats, own: Integers, candidates: Integers, near: Integers, keys: Floats) -> None:
    """Merge the keys ``found`` of some candidates, (points, candidates), into the least of each point."""
    kept = keys.shape[1]
    for point in range(found.shape[0]):
        row, best, nearest = found[point], keys[point], near[point]
        for start in range(0, len(row), STRIDE):
            if start + STRIDE <= len(row) and not _any_below(row[start : start + STRIDE], best[kept - 1]):
                continue
            for place in range(start, min(start + STRIDE, len(row))):
                key = row[place]
                if key >= best[kept - 1] or candidates[place] == own[point]:
                    continue
                rank = kept - 1
                while rank > 0 and best[rank - 1] > key:
                    best[rank], nearest[rank] = best[rank - 1], nearest[rank - 1]
                    rank -= 1
                best[rank], nearest[rank] = key, candidates[place]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _any_below(keys: Floats, bound: np.float32) -> bool:
    below = np.int32(0)
    for place in range(STRIDE):  # a fixed number, and no way out: the compiler compares many at once
        below += np.int32(keys[place] < bound)
    return bool(below > 0)


@numba.njit(cache=True, nogil=True)
def _rank(
    scores: Floats, cells: Floats, queries: Integers, near: Integers, indices: Integers, distances: Floats
) -> None:
    """The nearest of those found, by distances taken anew: cells with equal scores are at distance zero."""
    k = indices.shape[1]
    squares = np.empty(near.shape[1])
    numbers = np.empty(near.shape[1], np.int32)
    for query in range(len(near)):
        for found in range(near.shape[1]):
            cell = near[query, found]
            square = 0.0
            for component in range(scores.shape[1]):
                difference = np.float64(cells[cell, component]) - np.float64(scores[queries[query], component])
                square += difference * difference
            place = found
            while place > 0 and (square, cell) < (squares[place - 1], numbers[place - 1]):
                squares[place], numbers[place] = squares[place - 1], numbers[place - 1]
                place -= 1
            squares[place], numbers[place] = square, cell
        for rank in range(k):
            indices[queries[query], rank] = numbers[rank]
            distances[queries[query], rank] = np.sqrt(squares[rank])
