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
from worker.matrices.matrix import CountBlock
from worker.matrices.store import NARROW_GENES, STORED_ENTRIES, Store, StoreWriter


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


def _cells_of(per_cell: int, n_cells: int) -> CountBlock:
    """Cells with a count of 1 of each of the first genes."""
    return CountBlock(
        np.arange(n_cells + 1, dtype=np.int64) * per_cell,
        np.tile(np.arange(per_cell, dtype=np.int32), n_cells),
        np.ones(n_cells * per_cell, np.float32),
    )


@pytest.mark.parametrize("cells_at_once", [7, 1_000], ids=["small pieces", "large pieces"])
def test_blocks_aim_at_the_same_number_of_entries_whatever_was_appended(tmp_path: Path, cells_at_once: int) -> None:
    writer = StoreWriter(tmp_path)
    per_cell = 2_000
    for _ in range(1_050 // cells_at_once + 1):
        writer.append(_cells_of(per_cell, cells_at_once))
    store = writer.close(per_cell)

    sizes = [len(block.values) for block in store.blocks()]

    assert sum(sizes) == store.n_cells * per_cell
    assert max(sizes) < 2 * STORED_ENTRIES
    assert min(sizes[:-1]) > STORED_ENTRIES - per_cell
    assert [part for cells in store.cells for part in (cells.start, cells.stop)][1:-1:2] == [
        cells.start for cells in store.cells[1:]
    ]


@pytest.mark.parametrize(
    "values",
    [[1, 255, 256, 65_536, 3e7, 1, 2, 3, 4, 5] * 9, [0.5, 1.5, 2.25] * 9, [1.0000001, 254.5] + [1] * 90],
    ids=["some large", "all fractions", "few fractions"],
)
def test_values_of_any_size_come_back_to_the_last_bit(tmp_path: Path, values: list[float]) -> None:
    counts = np.array(values, np.float32).reshape(1, -1)
    store = _stored(tmp_path, [counts, counts], counts.shape[1])

    (block,) = store.blocks()

    assert_promises_kept(block)
    assert np.array_equal(block.values, np.tile(counts[0], 2))


def test_small_counts_take_three_bytes(tmp_path: Path) -> None:
    store = _stored(tmp_path, [np.full((50, 100), 7, np.float32)], 100)

    assert store.path.stat().st_size == 3 * store.n_nonzero


def test_more_genes_than_two_bytes_tell_apart_come_back(tmp_path: Path) -> None:
    n_genes = NARROW_GENES + 2
    block = CountBlock(np.array([0, 2], np.int64), np.array([5, n_genes - 1], np.int32), np.array([1, 900], np.float32))
    writer = StoreWriter(tmp_path)
    writer.append(block)

    (found,) = writer.close(n_genes).blocks()

    assert found.indices.tolist() == block.indices.tolist()
    assert found.values.tolist() == block.values.tolist()


def test_a_single_cell_larger_than_a_block_is_one_block(tmp_path: Path) -> None:
    n_genes = STORED_ENTRIES + 10
    writer = StoreWriter(tmp_path)
    writer.append(_cells_of(n_genes, 1))

    (block,) = writer.close(n_genes).blocks()

    assert_promises_kept(block)
    assert len(block.values) == n_genes


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    writer = StoreWriter(tmp_path)
    (tmp_path / "counts").unlink()
    (tmp_path / "counts").symlink_to("/dev/full")
    writer.append(_block(np.ones((2, 3))))

    with pytest.raises(ScratchFullError, match="No space left on device"):
        writer.close(3)


def test_a_store_that_lost_its_end_is_our_defect(tmp_path: Path) -> None:
    store = _stored(tmp_path, [np.ones((4, 5), np.float32)], 5)
    with store.path.open("r+b") as file:
        file.truncate(8)

    with pytest.raises(InternalError, match="block 0 of the store is not what was written"):
        list(store.blocks())


def test_a_store_in_which_a_bit_turned_is_not_read(tmp_path: Path) -> None:
    store = _stored(tmp_path, [np.ones((4, 5), np.float32)], 5)
    packed = bytearray(store.path.read_bytes())
    packed[-1] ^= 2
    store.path.write_bytes(packed)

    with pytest.raises(InternalError, match="is not what was written"):
        store.block(0)
