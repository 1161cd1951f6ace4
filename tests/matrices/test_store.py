"""The store: what is appended is read back, with its sums."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InternalError, ScratchFullError
from tests.matrices.building import assert_promises_kept
from worker.matrices.matrix import BLOCK_ENTRIES, CountBlock
from worker.matrices.store import Store, StoreWriter


def _block(counts: object) -> CountBlock:
    rows = scipy.sparse.csr_array(counts)
    return CountBlock(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(np.float32))


def _stored(folder: Path, matrices: list[np.ndarray[tuple[int, int], np.dtype[np.float32]]], n_genes: int) -> Store:
    writer = StoreWriter(folder)
    for counts in matrices:
        writer.append(_block(counts))
    return writer.close(n_genes)


@settings(deadline=None, max_examples=40)
@given(
    shapes=st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8)), max_size=4),
    seed=st.integers(0, 1_000),
)
def test_blocks_of_growing_genes_come_back_with_their_sums(shapes: list[tuple[int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrices = [rng.poisson(0.5, shape).astype(np.float32) for shape in shapes]
    padded = [np.pad(counts, ((0, 0), (0, 9 - counts.shape[1]))) for counts in matrices]
    expected = np.concatenate([np.zeros((0, 9), np.float32), *padded])

    with tempfile.TemporaryDirectory() as folder:
        store = _stored(Path(folder), matrices, 9)
        blocks = list(store.blocks())

    found = [
        scipy.sparse.csr_array((block.values, block.indices, block.indptr), shape=(block.n_cells, 9)).toarray()
        for block in blocks
    ]
    assert np.array_equal(np.concatenate([np.zeros((0, 9)), *found]), expected)
    assert (store.n_cells, store.n_genes, store.n_nonzero) == (*expected.shape, np.count_nonzero(expected))
    assert np.array_equal(store.cell_counts, expected.sum(1))
    assert np.array_equal(store.cell_genes, (expected > 0).sum(1))
    assert np.array_equal(store.gene_counts, expected.sum(0))
    assert np.array_equal(store.gene_cells, (expected > 0).sum(0))
    assert [store.cell_counts.dtype, store.cell_genes.dtype] == [np.float64, np.int32]
    assert [store.gene_counts.dtype, store.gene_cells.dtype] == [np.float64, np.int64]


def test_blocks_aim_at_the_same_number_of_entries_whatever_was_appended(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    n_cells, per_cell = 1_500, 5_000
    for _ in range(n_cells // 300):
        writer.append(
            CountBlock(
                np.arange(301, dtype=np.int64) * per_cell,
                np.tile(np.arange(per_cell, dtype=np.int32), 300),
                np.ones(300 * per_cell, np.float32),
            )
        )
    store = writer.close(per_cell)

    sizes = [len(block.values) for block in store.blocks()]

    assert sum(sizes) == n_cells * per_cell
    assert max(sizes) <= BLOCK_ENTRIES
    assert min(sizes[:-1]) > BLOCK_ENTRIES - per_cell


def test_a_single_cell_larger_than_a_block_is_one_block(tmp_path: Path) -> None:
    n_genes = BLOCK_ENTRIES + 10
    writer = StoreWriter(tmp_path)
    writer.append(
        CountBlock(np.array([0, n_genes], np.int64), np.arange(n_genes, dtype=np.int32), np.ones(n_genes, np.float32))
    )

    (block,) = writer.close(n_genes).blocks()

    assert_promises_kept(block)
    assert len(block.values) == n_genes


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "values.f32").symlink_to("/dev/full")
    writer = StoreWriter(tmp_path)

    with pytest.raises(ScratchFullError, match="No space left on device"):
        writer.append(_block(np.ones((2, 3))))


def test_a_store_that_lost_its_end_is_our_defect(tmp_path: Path) -> None:
    store = _stored(tmp_path, [np.ones((4, 5), np.float32)], 5)
    with (tmp_path / "values.f32").open("r+b") as file:
        file.truncate(8)

    with pytest.raises(InternalError, match="the store ends before cell 4 of 4"):
        list(store.blocks())
