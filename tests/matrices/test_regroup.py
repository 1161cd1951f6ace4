"""Entries in any order, by cell, through the disk."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import ScratchFullError
from tests.matrices.building import assert_same
from worker.matrices.blocks import cell_of_entry
from worker.matrices.matrix import CountBlock
from worker.matrices.regroup import Regroup

GENES = 6


def _whole(regroup: Regroup, n_cells: int) -> scipy.sparse.csr_array:
    blocks = list(regroup.blocks())
    assert sum(block.n_cells for block in blocks) == n_cells
    parts = [
        scipy.sparse.csr_array((block.values, block.indices, block.indptr), shape=(block.n_cells, GENES))
        for block in blocks
    ]
    return scipy.sparse.vstack(parts, format="csr")


@settings(deadline=None, max_examples=60)
@given(
    pieces=st.lists(
        st.lists(st.tuples(st.integers(0, 299), st.integers(0, GENES - 1), st.integers(0, 9)), max_size=60), max_size=4
    ),
    expected=st.sampled_from([None, 1, 100]),
    limit=st.sampled_from([1, 3, 1_000]),
)
def test_what_goes_in_in_any_order_comes_out_by_cell(
    pieces: list[list[tuple[int, int, int]]], expected: int | None, limit: int
) -> None:
    """However full the buckets get: they are split until they fit, or hold one cell."""
    counts = np.zeros((300, GENES), np.float32)
    with tempfile.TemporaryDirectory() as folder:
        regroup = Regroup(Path(folder), 300, expected, limit)
        for piece in pieces:
            cells, genes, values = np.array(piece, np.int32).reshape(-1, 3).T
            np.add.at(counts, (cells, genes), values)
            regroup.add(cells, genes, values.astype(np.float32))

        assert_same(_whole(regroup, 300), counts)


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    (tmp_path / "entries").symlink_to("/dev/full")
    regroup = Regroup(tmp_path, 1, 1)
    one = np.zeros(1, np.int32)
    regroup.add(one, one, np.ones(1, np.float32))

    with pytest.raises(ScratchFullError, match="No space left on device; give DPSS_SCRATCH_DIR more room"):
        list(regroup.blocks())


def test_entries_of_a_cell_stay_in_the_order_they_came(tmp_path: Path) -> None:
    """Of a file by gene they come by gene, and need no sorting after."""
    genes, cells = (part.ravel().astype(np.int32) for part in np.mgrid[0:50, 0:300])
    regroup = Regroup(tmp_path, 300, len(cells), 2_000)
    for part in range(0, len(cells), 1_000):
        entries = slice(part, part + 1_000)
        regroup.add(cells[entries], genes[entries], np.ones(1_000, np.float32))

    blocks = list(regroup.blocks())

    assert len(blocks) > 5
    assert np.array_equal(np.concatenate([block.indices for block in blocks]), np.tile(np.arange(50), 300))


def test_the_cell_of_each_entry_is_known() -> None:
    block = CountBlock(np.array([0, 2, 2, 3]), np.array([0, 1, 0], np.int32), np.ones(3, np.float32))

    assert cell_of_entry(block).tolist() == [0, 0, 2]
