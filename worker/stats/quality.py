"""Quality of cells, and the genes that take most of their counts."""

import numba
import numpy as np
import numpy.typing as npt

from shared.pipeline import TARGET_SUM, TOP_GENES
from worker.matrices.matrix import CountBlock, Genes
from worker.stats import lanes
from worker.stats.counts import Counts
from worker.stats.missing import Missing
from worker.stats.moments import Moments
from worker.stats.normalize import gathered, normalized, scales
from worker.stats.summary import Doubles, Floats, Quality, TopGenes

PER_PERCENT = TARGET_SUM / 100
"""Normalised counts that are one percent of a cell's."""
WHISKER = 1.5
"""Interquartile ranges that a box's whisker reaches at most (Tukey 1977; seaborn's and matplotlib's default)."""

NO_COUNTS = "none of the cells has a count"


def measure(counts: Counts, mito: npt.NDArray[np.bool_] | None) -> tuple[Quality, Moments]:
    """Quality of cells, and moments of normalised genes, in one pass; ``mito`` (genes,) marks mitochondrial genes.

    The share of mitochondrial counts of a cell without counts is 0.
    """
    factors = scales(counts.cell_counts)
    marked = np.zeros(counts.n_genes, np.bool_) if mito is None else mito
    percent = np.zeros(counts.n_cells, np.float32)

    def add(sums: Doubles, cells: slice, block: CountBlock) -> None:
        _add(block, factors[cells], marked, sums, percent[cells])

    sums, squares = sum(lanes.summed(counts, lambda: np.zeros((2, counts.n_genes)), add), np.zeros((2, counts.n_genes)))
    share = None if isinstance(mitochondrial_share(counts, mito), Missing) else percent
    return Quality(counts.cell_counts, counts.cell_genes, share), Moments(counts.n_cells, sums, squares)


@numba.njit(cache=True, nogil=True)
def _add(
    block: CountBlock,
    scales: Doubles,
    mito: npt.NDArray[np.bool_],
    sums: Doubles,
    percent: Floats,
) -> None:
    """Sums of normalised counts and of their squares, (2, genes), and the mitochondrial share of each cell."""
    for cell in range(len(scales)):
        mitochondrial = 0.0
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            gene = block.indices[entry]
            value = np.float64(normalized(block.values[entry], scales[cell]))
            sums[0, gene] += value
            sums[1, gene] += value * value
            if mito[gene]:
                mitochondrial += value
        percent[cell] = min(mitochondrial / PER_PERCENT, 100.0)


def mitochondrial_share(counts: Counts, mito: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.bool_] | Missing:
    """``mito`` where a share of mitochondrial counts can be told by it."""
    if counts.n_nonzero == 0:
        return Missing(NO_COUNTS)
    if mito is None or not mito.any():
        return Missing("no gene of the matrix is known to be mitochondrial")
    return mito


def top_genes(counts: Counts, genes: Genes, moments: Moments) -> TopGenes | Missing:
    """The genes with the highest mean share of a cell's counts, as ``scanpy.pl.highest_expr_genes`` ranks them."""
    if counts.n_nonzero == 0:
        return Missing(NO_COUNTS)
    mean_percent = moments.mean / PER_PERCENT
    best = np.argsort(-mean_percent, kind="stable")[:TOP_GENES].astype(np.int32)
    best = best[mean_percent[best] > 0]
    percent = gathered(counts, best) / np.float32(PER_PERCENT)
    boxes = np.array([_box(percent[:, column]) for column in range(len(best))])
    return TopGenes(genes.symbols[best], genes.ids[best], mean_percent[best], boxes)


def _box(values: Floats) -> Doubles:
    """Lower whisker, quartiles and upper whisker; a whisker ends at the last value within its reach."""
    q1, median, q3 = np.percentile(values.astype(np.float64), [25, 50, 75])
    reach = WHISKER * (q3 - q1)
    low = min(q1, values[values >= q1 - reach].min(initial=q1))
    high = max(q3, values[values <= q3 + reach].max(initial=q3))
    return np.array([low, q1, median, q3, high])
