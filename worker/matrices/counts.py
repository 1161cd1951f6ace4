"""Whether values are raw counts: judged on every value that is read, never on a name alone.

Raw counts are whole numbers, or the expected counts of aligners that share a read between genes (RSEM, Salmon,
kallisto): fractions, not negative, as far apart as counts are. What is not raw gives itself away: scaled values are
negative; logged ones stay small; TPM, CPM and totals scaled to a target have the same sum in every cell; molecules
divided by a size factor are whole multiples of each cell's smallest value.
"""

from dataclasses import dataclass
from typing import Final

import numba
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError, NoRawCountsError
from worker.matrices.blocks import cell_of_entry
from worker.matrices.matrix import Cells, CountBlock, Genes

WHOLE_TOLERANCE: Final = 1e-6
"""How far from a whole number a value may lie and still be one."""
LARGEST: Final = float(np.finfo(np.float32).max)
"""Blocks carry float32."""
LOG_CEILING: Final = 32
"""No logarithm of a count is larger (log2 of 2³²); the largest of a matrix of expected counts always is."""
SAME_SUM_SPREAD: Final = 0.05
"""Standard deviation over mean of the cells' sums: below it they were made equal. Raw depths vary by 0.1 to 1."""
MULTIPLE_TOLERANCE: Final = 0.01
"""How far a ratio may lie from a whole number and still be one."""
MULTIPLES_UP_TO: Final = 20
"""Ratios above this are left aside: rounding in the file blurs them."""
MULTIPLES_SHARE: Final = 0.9
"""Share of a cell's values that must be multiples of the smallest to call the cell scaled; by chance it is 0.02."""
ENOUGH_VALUES: Final = 10
"""Fewer values of a cell say nothing about multiples."""
TRIED_CELLS: Final = 50
"""Cells of a block that are tried for multiples."""


def is_whole(values: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Which values are whole numbers, within WHOLE_TOLERANCE."""
    return np.abs(values - np.rint(values)) <= WHOLE_TOLERANCE


@dataclass(frozen=True, slots=True)
class Sample:
    """Values taken from the start, the middle and the end of a place where counts may lie."""

    values: npt.NDArray[np.floating]

    @property
    def whole(self) -> bool:
        """Whether all are whole numbers and none is negative."""
        return self.negative is None and bool(is_whole(self.values).all())

    @property
    def negative(self) -> float | None:
        """The smallest, if it is below zero."""
        return float(self.values.min()) if len(self.values) and self.values.min() < 0 else None

    @property
    def maybe_expected(self) -> bool:
        """Whether they may be expected counts, with fractions."""
        return self.negative is None and len(self.values) > 0 and float(self.values.max()) > LOG_CEILING

    @property
    def described(self) -> str:
        """What was seen, in a few words."""
        if not len(self.values):
            return "no values"
        seen = f"{len(self.values):,} values looked at"
        if self.negative is not None:
            return f"negative values (smallest {self.negative:.6g}; {seen})"
        if self.whole:
            return f"whole numbers ({seen})"
        return f"fractions up to {float(self.values.max()):.6g} ({seen})"


@numba.njit(cache=True, nogil=True)
def _survey(values: npt.NDArray[np.float32]) -> tuple[int, int]:
    """How many are negative, infinite or no number; how many are not exactly whole. Loops that become vector code."""
    impossible = broken = 0
    for entry in range(len(values)):
        value = values[entry]
        impossible += not 0 <= value < np.float32(np.inf)
    for entry in range(len(values)):
        value = values[entry]
        broken += value != np.rint(value)
    return impossible, broken


class CountCheck:
    """Looks at every block of a matrix as it passes; ``conclude`` at the end."""

    def __init__(self, place: str, genes: Genes, cells: Cells) -> None:
        self._place = place
        self._genes = genes
        self._cells = cells
        self._seen_cells = 0
        self.n_entries = 0
        self.n_fractions = 0
        self._largest = 0.0
        self._sums: list[npt.NDArray[np.float64]] = []
        self._multiples: list[float] = []

    def see(self, block: CountBlock) -> None:
        """Take note of the next cells; values that no count can have end it here."""
        impossible, broken = _survey(block.values)
        if impossible:
            self._refuse_impossible(block)
        if broken and (fractions := ~is_whole(block.values)).any():
            self._note_fractions(block, fractions)
        self.n_entries += len(block.values)
        self._seen_cells += block.n_cells

    def conclude(self) -> str:
        """A sentence on what the values are; NoRawCountsError where they are no counts."""
        if not self.n_fractions:
            return f"Raw counts: all {self.n_entries:,} values that are not zero were checked and are whole numbers."
        sums = np.concatenate(self._sums)
        spread = float(sums.std() / sums.mean())
        multiples = float(np.median(self._multiples)) if self._multiples else 0.0
        seen = f"{self.n_fractions:,} of {self.n_entries:,} values have fractions, in {len(sums):,} cells"
        if self._largest <= LOG_CEILING:
            raise self._no_counts(f"{seen}, and none exceeds {self._largest:.4g}: logarithms")
        if len(sums) > 1 and spread < SAME_SUM_SPREAD:
            raise self._no_counts(
                f"{seen}, whose sums are all about {np.median(sums):,.0f} (spread {spread:.1%}): TPM, CPM or the like"
            )
        if multiples >= MULTIPLES_SHARE:
            raise self._no_counts(f"{seen}, all multiples of a cell's smallest value: divided by a size factor")
        return (
            f"Taken as expected counts: {seen}; none is negative, they reach {self._largest:,.0f} (no logarithms), the"
            f" cells' sums differ by {spread:.0%} (no TPM or CPM) and are no multiples of a smallest value (not"
            " divided by size factors). All values were checked."
        )

    def _refuse_impossible(self, block: CountBlock) -> None:
        entry = int(np.argmin(np.isfinite(block.values) & (block.values >= 0)))
        value = float(block.values[entry])
        cell = self._seen_cells + int(np.searchsorted(block.indptr, entry, side="right")) - 1
        place = f"cell {self._cells.ids[cell]} (number {cell + 1:,}), gene {self._genes.ids[block.indices[entry]]}"
        refuse_impossible(value, f"{self._place}: {place}")

    def _note_fractions(self, block: CountBlock, fractions: npt.NDArray[np.bool_]) -> None:
        owners = cell_of_entry(block)
        cells = np.unique(owners[fractions])
        self._sums.append(np.bincount(owners, block.values, block.n_cells)[cells])
        self._largest = max(self._largest, float(block.values.max()))
        self.n_fractions += int(fractions.sum())
        for cell in cells[:: max(1, len(cells) // TRIED_CELLS)]:
            share = multiples_share(block.values[block.indptr[cell] : block.indptr[cell + 1]])
            if share is not None:
                self._multiples.append(share)

    def _no_counts(self, seen: str) -> NoRawCountsError:
        return NoRawCountsError(f"{self._place}: {seen}; send the raw counts")


def refuse_impossible(value: float, place: str) -> None:
    """Raise what a value is that no count can be: negative, infinite or not a number."""
    if not abs(value) <= LARGEST:
        raise CorruptMatrixError(f"{place}: {value:.6g} is no count")
    if value == round(value):
        raise CorruptMatrixError(f"{place}: the count {value:.0f} is negative")
    raise NoRawCountsError(f"{place}: {value:.6g} is negative and has a fraction: a scaled value; send the raw counts")


def multiples_share(values: npt.NDArray[np.floating]) -> float | None:
    """Share of a cell's values that are whole multiples of the smallest, which itself is none of one; None if few."""
    ratios = values / values.min()
    ratios = ratios[(ratios > 1 + MULTIPLE_TOLERANCE) & (ratios < MULTIPLES_UP_TO)]
    if len(ratios) < ENOUGH_VALUES:
        return None
    return float(np.mean(np.abs(ratios - np.rint(ratios)) < MULTIPLE_TOLERANCE))
