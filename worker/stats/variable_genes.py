"""Highly variable genes by normalised dispersion, scanpy's ``seurat`` flavour (Satija et al. 2015)."""

import numpy as np
import numpy.typing as npt

from shared.pipeline import VARIABLE_GENES
from worker.matrices.matrix import Genes
from worker.stats.missing import Missing
from worker.stats.moments import Moments
from worker.stats.summary import Doubles, Integers, VariableGenes

BINS = 20
"""Bins of equal width over the log means; a gene is judged among the genes of its bin (scanpy's default)."""
MOST_EQUALS = 2
"""How many times as many genes as are wanted may be chosen where the last are equals."""
UNEXPRESSED_MEAN = 1e-12
"""What scanpy takes for the mean of a gene without counts."""


def find(moments: Moments, genes: Genes) -> VariableGenes | Missing:
    """The genes that vary most for their mean, and what was measured of all of them.

    A gene that does not vary has NaN for its dispersions; so has, for its normalised one, a gene of a bin whose
    dispersions are all the same.
    """
    if moments.n < 2:  # noqa: PLR2004 - a variance
        return Missing("there is only one cell, and variation needs at least two")
    means = np.where(moments.sums == 0, UNEXPRESSED_MEAN, moments.mean)
    variances = moments.variance
    dispersions = np.log(np.divide(variances, means, out=np.full_like(means, np.nan), where=variances > 0))
    log_means = np.log1p(means)
    normalised = _within_bins(dispersions, _bins(log_means))
    chosen = _highest(normalised, VARIABLE_GENES)
    if not chosen.any():
        return Missing("no gene varies between the cells")
    return VariableGenes(genes.ids, genes.symbols, log_means, dispersions, normalised, chosen)


def _bins(log_means: Doubles) -> Integers:
    """The bin of each gene, (genes,); a bin includes its upper edge, as in ``pandas.cut``."""
    edges = np.linspace(log_means.min(), log_means.max(), BINS + 1)
    return np.searchsorted(edges[1:-1], log_means, side="left").astype(np.int32)


def _within_bins(dispersions: Doubles, bins: Integers) -> Doubles:
    """Distance from the mean of the bin in its standard deviations; 1 for a gene that is alone in its bin."""
    normalised = np.full_like(dispersions, np.nan)
    for number in range(BINS):
        of_bin = np.flatnonzero((bins == number) & ~np.isnan(dispersions))
        values = dispersions[of_bin]
        if len(values) == 1:
            normalised[of_bin] = 1.0
        elif len(values) > 1 and (deviation := values.std(ddof=1)) > 0:
            normalised[of_bin] = (values - values.mean()) / deviation
    return normalised


def _highest(normalised: Doubles, n: int) -> npt.NDArray[np.bool_]:
    """Whether a gene is among the ``n`` highest, equals of the last included as scanpy does, but not without end.

    Components need memory by the square of their number, and genes that are there or not are often equals.
    """
    ranked = np.argsort(-normalised, kind="stable")[: int((~np.isnan(normalised)).sum())]
    highest = np.zeros(len(normalised), np.bool_)
    if len(ranked):
        lowest = normalised[ranked[:n][-1]]
        highest[ranked[: min(int((normalised >= lowest).sum()), MOST_EQUALS * n)]] = True
    return highest
