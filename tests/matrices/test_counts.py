"""Raw counts told from everything that is made of them."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse

from shared.errors import CorruptMatrixError, NoRawCountsError
from worker.matrices.counted import CountedMatrix
from worker.matrices.counts import CountCheck
from worker.matrices.features import Features
from worker.matrices.matrix import Cells, CountBlock, Genes

Counts = npt.NDArray[np.float64]

RNG = np.random.default_rng(5)
DEPTHS = RNG.lognormal(8, 0.5, 200)
PROFILE = RNG.gamma(0.2, 1, 400)
MOLECULES: Counts = RNG.poisson(DEPTHS[:, None] * PROFILE / PROFILE.sum()).astype(float)
SHARED_READS: Counts = np.where(MOLECULES > 0, MOLECULES * 20 + RNG.normal(0, 0.3, MOLECULES.shape).round(2), 0)


def _concluded(values: Counts, size: int = 50) -> str:
    genes = Genes(*(np.array([f"g{n}" for n in range(values.shape[1])], dtype=object),) * 2)
    check = CountCheck("a.h5ad, X", genes, Cells(np.array([f"c{n}" for n in range(len(values))], dtype=object)))
    for start in range(0, len(values), size):
        rows = scipy.sparse.csr_array(values[start : start + size].astype(np.float32))
        check.see(CountBlock(rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data))
    return check.conclude()


def test_molecules_are_counts() -> None:
    n_values = np.count_nonzero(MOLECULES)

    assert _concluded(MOLECULES) == (
        f"Raw counts: all {n_values:,} values that are not zero were checked and are whole numbers."
    )


def test_what_lies_within_a_millionth_of_a_whole_number_is_one() -> None:
    assert "whole numbers" in _concluded(np.array([[0.9999999, 2.0], [3.0, 0.0]]))


def test_reads_shared_between_genes_are_expected_counts() -> None:
    assert _concluded(SHARED_READS).startswith("Taken as expected counts: ")


def test_a_matrix_may_hold_both() -> None:
    assert f"in {100} cells" in _concluded(np.concatenate([MOLECULES[:100], SHARED_READS[100:]]))


def _shares(values: Counts) -> Counts:
    return values / values.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: np.log1p(_shares(MOLECULES) * 1e4), "logarithms"),
        (lambda: np.log2(SHARED_READS + 1), "logarithms"),
        (lambda: _shares(MOLECULES) * 1e6, "TPM, CPM or the like"),
        (lambda: _shares(SHARED_READS) * 1e6, "TPM, CPM or the like"),
        (lambda: (_shares(MOLECULES) * 1e6)[:, :40], "divided by a size factor"),
        (lambda: MOLECULES / (DEPTHS / DEPTHS.mean())[:, None] ** 0.5, "divided by a size factor"),
        (lambda: MOLECULES - MOLECULES.mean(0) - 0.001, "a scaled value"),
    ],
    ids=["log1p", "log2", "cpm", "tpm", "cpm of some genes", "size factors", "centred"],
)
def test_what_is_made_of_counts_is_refused_with_its_sign(made: Callable[[], Counts], why: str) -> None:
    with pytest.raises(NoRawCountsError, match=f"{why}.*; send the raw counts|{why}; send the raw counts"):
        _concluded(made())


def test_fractions_in_late_cells_only_are_seen() -> None:
    values = MOLECULES.copy()
    values[150:] = np.log1p(values[150:])

    with pytest.raises(NoRawCountsError, match="in 50 cells"):
        _concluded(values)


def test_a_negative_count_is_not_hidden_by_another_of_the_same_cell_and_gene() -> None:
    names = np.array(["cell-1", "cell-2"], dtype=object)
    raw = CountBlock(np.array([0, 1, 3]), np.array([0, 1, 1], np.int32), np.array([2, -3, 5], np.float32))
    matrix = CountedMatrix(
        place="a.h5ad, X", features=Features(names, names), cells=Cells(names), raw_blocks=lambda: iter([raw])
    )
    with pytest.raises(CorruptMatrixError, match=r"a\.h5ad, X: cell cell-2: the count -3 is negative"):
        list(matrix.blocks())
