"""Marker genes of clusters: Welch's t-test of each cluster against all other cells, as scanpy ranks them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy import special

from shared.pipeline import TOP_GENES
from worker.matrices.matrix import CountBlock, Genes
from worker.stats import lanes
from worker.stats.counts import Counts
from worker.stats.missing import Missing
from worker.stats.moments import Moments
from worker.stats.normalize import SMALL_COUNTS, log_normalized, scales, small_logs
from worker.stats.summary import Clusters, Doubles, Integers, MarkerGrid, Markers

GRID_CLUSTERS, GRID_GENES, MOST_OF_A_CLUSTER = 60, 36, 3
"""Of the grid of markers: clusters, about how many genes, and genes of one cluster, as many as a page has room for."""
PSEUDO_EXPRESSION = 1e-9
"""Added to both sides of a fold change, so that none is divided by zero (scanpy's)."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Log-normalised values of some cells: their moments, and the share of cells with a count, (genes,)."""

    moments: Moments
    share: Doubles


def rank(counts: Counts, genes: Genes, clusters: Clusters) -> Markers | Missing:
    """The TOP_GENES highest scores of each cluster; fewer where there are fewer genes.

    P-values are adjusted over all genes (Benjamini & Hochberg 1995). What cannot be tested, for want of a second cell
    or of any variance, has score 0 and p 1; of equal scores the one with the higher difference of means goes first.
    """
    if len(clusters.sizes) < 2:  # noqa: PLR2004 - one against another
        return Missing("all cells are in one cluster, so there are no others to compare it with")
    sums = _summed(counts, clusters)
    ranked = [_ranked(inside, outside) for inside, outside in _groups(sums, clusters)]
    best, *values = (np.array(column) for column in zip(*ranked, strict=True))
    grid = _grid(best, sums, clusters, genes)
    return Markers(best.astype(np.int32), genes.symbols[best], genes.ids[best], grid, *values)


def _grid(best: npt.NDArray[np.intp], sums: Doubles, clusters: Clusters, genes: Genes) -> MarkerGrid:
    """Each cluster's best genes that no larger cluster has taken."""
    n_clusters = min(len(clusters.sizes), GRID_CLUSTERS)
    each = int(np.clip(GRID_GENES // n_clusters, 1, MOST_OF_A_CLUSTER))
    taken: dict[int, int] = {}
    for cluster in range(n_clusters):
        free = [gene for gene in best[cluster].tolist() if gene not in taken]
        taken |= dict.fromkeys(free[:each], cluster)
    chosen, sizes = np.array(list(taken)), clusters.sizes[:n_clusters, None]
    means, shares = (sums[kind, :n_clusters][:, chosen] / sizes for kind in (0, 2))
    marks = np.array(list(taken.values()), np.int32)
    return MarkerGrid(genes.ids[chosen], genes.symbols[chosen], marks, means, shares)


def _groups(sums_by_kind: Doubles, clusters: Clusters) -> Iterator[tuple[_Group, _Group]]:
    """Each cluster and all other cells."""
    sums, squares, cells = sums_by_kind
    n_cells = int(clusters.sizes.sum())
    all_sums, all_squares, all_cells = sums.sum(axis=0), squares.sum(axis=0), cells.sum(axis=0)
    for cluster, size in enumerate(clusters.sizes.tolist()):
        others = n_cells - size
        yield (
            _Group(Moments(size, sums[cluster], squares[cluster]), cells[cluster] / size),
            _Group(
                Moments(others, all_sums - sums[cluster], all_squares - squares[cluster]),
                (all_cells - cells[cluster]) / others,
            ),
        )


def _summed(counts: Counts, clusters: Clusters) -> Doubles:
    """Sums of log-normalised values, of their squares, and cells with a count, (3, clusters, genes)."""
    factors = scales(counts.cell_counts)
    shape = (3, len(clusters.sizes), counts.n_genes)

    def add(sums: Doubles, cells: slice, block: CountBlock) -> None:
        _add(block, factors[cells], clusters.labels[cells], sums)

    total, *parts = lanes.summed(counts, lambda: np.zeros(shape), add)
    for part in parts:
        total += part
    return total


@numba.njit(cache=True, nogil=True)
def _add(block: CountBlock, scales: Doubles, labels: Integers, sums: Doubles) -> None:
    logs = np.empty(SMALL_COUNTS, np.float32)
    for cell in range(len(labels)):
        cluster = labels[cell]
        small_logs(logs, scales[cell])
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            gene = block.indices[entry]
            value = np.float64(log_normalized(block.values[entry], scales[cell], logs))
            sums[0, cluster, gene] += value
            sums[1, cluster, gene] += value * value
            sums[2, cluster, gene] += 1


def _ranked(inside: _Group, outside: _Group) -> tuple[Any, ...]:
    """The best genes of a group, and their values in the order of the fields of Markers."""
    mean_in, mean_out = inside.moments.mean, outside.moments.mean
    scores, p_values = _welch(inside.moments, outside.moments)
    best = np.lexsort((mean_out - mean_in, -scores))[:TOP_GENES]
    return (
        best,
        scores[best],
        _log_fold_changes(mean_in[best], mean_out[best]),
        adjusted(p_values)[best],
        mean_in[best],
        mean_out[best],
        inside.share[best],
        outside.share[best],
    )


def _welch(inside: Moments, outside: Moments) -> tuple[Doubles, Doubles]:
    """Welch's t of each gene, and its two-sided p."""
    scores, p_values = np.zeros_like(inside.sums), np.ones_like(inside.sums)
    if min(inside.n, outside.n) < 2:  # noqa: PLR2004 - a variance on each side
        return scores, p_values
    error_in, error_out = inside.variance / inside.n, outside.variance / outside.n
    error = error_in + error_out
    tested = np.flatnonzero(error)
    freedom = error[tested] ** 2 / (error_in[tested] ** 2 / (inside.n - 1) + error_out[tested] ** 2 / (outside.n - 1))
    scores[tested] = (inside.mean - outside.mean)[tested] / np.sqrt(error[tested])
    p_values[tested] = 2 * special.stdtr(freedom, -np.abs(scores[tested]))
    return scores, p_values


def adjusted(p_values: Doubles) -> Doubles:
    """P-values of as many tests (Benjamini & Hochberg 1995); without scipy.stats, which takes 0.4 s to import."""
    order = np.argsort(p_values)[::-1]
    n_tests = len(p_values)
    in_order = np.minimum.accumulate(p_values[order] * n_tests / np.arange(n_tests, 0, -1))
    return in_order[np.argsort(order)]


def _log_fold_changes(mean_in: Doubles, mean_out: Doubles) -> Doubles:
    """Base 2, of means before the logarithm, as scanpy approximates them."""
    changes: Doubles = np.log2((np.expm1(mean_in) + PSEUDO_EXPRESSION) / (np.expm1(mean_out) + PSEUDO_EXPRESSION))
    return changes
