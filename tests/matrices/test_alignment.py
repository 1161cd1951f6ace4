"""Genes of several matrices in one list."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.matrices.building import assert_promises_kept
from worker.matrices.alignment import LEFT_OUT, GeneUnion, remap
from worker.matrices.matrix import CountBlock, Genes


def _genes(*ids: str) -> Genes:
    return Genes(np.array(ids, dtype=object), np.array([gene_id.upper() for gene_id in ids], dtype=object))


def test_shared_genes_share_a_place_and_new_ones_are_appended() -> None:
    union = GeneUnion()

    assert union.add(_genes("a", "b", "c")).tolist() == [0, 1, 2]
    assert union.add(_genes("c", "d", "a")).tolist() == [2, 3, 0]
    assert union.genes.ids.tolist() == ["a", "b", "c", "d"]
    assert union.genes.symbols.tolist() == ["A", "B", "C", "D"]


def test_duplicated_ids_stay_apart_and_meet_their_like() -> None:
    union = GeneUnion()

    assert union.add(_genes("a", "a", "b")).tolist() == [0, 1, 2]
    assert union.add(_genes("b", "a", "a", "a")).tolist() == [2, 0, 1, 3]
    assert union.genes.ids.tolist() == ["a", "a", "b", "a"]


@settings(deadline=None)  # the first call compiles
@given(st.permutations(range(6)), st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), max_size=5))
def test_remapped_counts_are_the_same_counts(mapping: list[int], rows: list[list[int]]) -> None:
    counts = np.array(rows, np.float32).reshape(-1, 6)
    cells, genes = np.nonzero(counts)
    indptr = np.searchsorted(cells, np.arange(len(counts) + 1)).astype(np.int64)
    block = CountBlock(indptr, genes.astype(np.int32), counts[cells, genes])

    found = remap(block, np.array(mapping, np.int32))

    assert_promises_kept(found)
    moved = np.zeros_like(counts)
    moved[:, mapping] = counts
    dense = np.zeros_like(counts)
    dense[np.repeat(np.arange(len(counts)), np.diff(found.indptr)), found.indices] = found.values
    assert np.array_equal(dense, moved)


def test_features_left_out_take_their_entries_along() -> None:
    block = CountBlock(np.array([0, 2, 3]), np.array([0, 1, 0], np.int32), np.array([5, 6, 7], np.float32))

    found = remap(block, np.array([LEFT_OUT, 0], np.int32))

    assert (found.indptr.tolist(), found.indices.tolist(), found.values.tolist()) == ([0, 1, 1], [0], [6])
