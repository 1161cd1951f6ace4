"""Sums over blocks taken side by side."""

import threading

import numpy as np
import pytest

from tests.stats.in_memory import InMemory
from worker.matrices.matrix import CountBlock
from worker.stats import lanes

MATRIX = np.random.default_rng(3).poisson(1.0, (101, 12)).astype(np.float32) * np.float32(1.1)


def _sums(counts: InMemory) -> bytes:
    def add(sums: np.ndarray[tuple[int], np.dtype[np.float64]], cells: slice, block: CountBlock) -> None:
        assert cells.stop - cells.start == block.n_cells
        sums += np.bincount(block.indices, block.values, counts.n_genes)

    parts = lanes.summed(counts, lambda: np.zeros(counts.n_genes), add)
    return np.sum(parts, axis=0).tobytes()


def test_every_block_is_seen_once() -> None:
    seen: list[int] = []

    lanes.visited(InMemory(MATRIX, block_cells=4), lambda cells, _: seen.extend(range(cells.start, cells.stop)))

    assert sorted(seen) == list(range(len(MATRIX)))


def test_sums_are_the_same_bytes_whatever_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = InMemory(MATRIX, block_cells=4)
    together = _sums(counts)
    monkeypatch.setattr(lanes, "n_threads", lambda: 1)

    assert _sums(counts) == together
    assert np.allclose(np.frombuffer(together), MATRIX.sum(axis=0))


def test_no_thread_is_left_behind() -> None:
    before = threading.enumerate()

    _sums(InMemory(MATRIX))

    assert threading.enumerate() == before


def test_a_failure_in_one_block_is_raised() -> None:
    def fail(cells: slice, _: CountBlock) -> None:
        if cells.start > 50:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        lanes.visited(InMemory(MATRIX), fail)
