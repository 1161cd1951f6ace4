"""Means and variances from sums that were taken block by block."""

from dataclasses import dataclass

import numpy as np

from worker.stats.summary import Doubles

ROUNDING = 1e-12
"""A variance below this share of the mean square is rounding: the value is the same in every cell."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums of values over ``n`` cells, and of their squares, (genes,) each."""

    n: int
    sums: Doubles
    squares: Doubles

    @property
    def mean(self) -> Doubles:
        """Mean of each gene, (genes,)."""
        return self.sums / self.n

    @property
    def variance(self) -> Doubles:
        """Unbiased variance of each gene, (genes,); 0 of a single cell."""
        mean_square = self.squares / self.n
        spread = mean_square - self.mean**2
        return np.where(spread > ROUNDING * mean_square, spread, 0.0) * (self.n / max(self.n - 1, 1))
