"""``marker_dot_plot``: a few marker genes of each cluster, in all clusters."""

from typing import Final

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from worker.figures import markers, style
from worker.stats.summary import MarkerGrid, Summary

HEADING: Final = "Marker genes in all clusters"
ROW_INCHES: Final = 0.155
HEAD_INCHES: Final = 1.85
WIDTH_POINTS: Final = 330
"""Of the room for columns."""
LARGEST_DIAMETER: Final = 8.5
"""Points: rows are 11 apart."""
GENE_CHARACTERS: Final = 18
RIM, RIM_POINTS, OWN_RIM_POINTS = "#888888", 0.4, 1.2
"""Of dots; the clusters that a gene marks stand out."""
EVERY_COLUMN: Final = 30
"""Clusters whose numbers all have room below their columns."""
APART: Final = 0.5
"""Share of cells: a gene found in fewer of any other cluster's cells tells its own apart."""


def height(summary: Summary) -> float:
    """Inches for a row a gene."""
    return HEAD_INCHES + ROW_INCHES * max(len(summary.markers.grid.symbols) if summary.markers else 1, 4)


def draw(figure: Figure, summary: Summary) -> str:
    """A row a gene, a column a cluster; a dot is as large as the share of its cells with the gene."""
    assert summary.markers is not None  # noqa: S101 - the table of figures asks for it
    grid = summary.markers.grid
    n_clusters, n_genes = grid.means.shape
    largest = min(LARGEST_DIAMETER, 0.9 * WIDTH_POINTS / n_clusters) ** 2
    scale = Normalize(0, float(grid.means.max()) or 1.0)
    axes = figure.subplots()
    columns, rows = np.meshgrid(np.arange(n_clusters), np.arange(n_genes))
    own = (columns == grid.marks[:, None]).ravel()
    axes.scatter(
        columns,
        rows,
        s=largest * grid.shares.T,
        c=grid.means.T,
        cmap=style.EXPRESSION,
        norm=scale,
        edgecolors=np.where(own, style.INK, RIM).tolist(),
        linewidths=np.where(own, OWN_RIM_POINTS, RIM_POINTS).tolist(),
    )
    for row in np.flatnonzero(np.diff(grid.marks)):
        axes.axhline(row + 0.5, color="#EEEEEE", linewidth=0.6, zorder=0)
    axes.set_yticks(range(n_genes), [style.literal(symbol, GENE_CHARACTERS) for symbol in grid.symbols])
    step = 1 if n_clusters <= EVERY_COLUMN else 5
    axes.set_xticks(range(0, n_clusters, step), [str(number) for number in range(0, n_clusters, step)])
    axes.set_xlim(-0.7, n_clusters - 0.3)
    axes.set_ylim(max(n_genes, 4) - 0.4, -0.6)
    axes.tick_params(length=0)
    axes.set_xlabel("cluster (bold rim: the one that the gene marks)")
    markers.keys(figure, scale, largest)
    return (
        f"Dot plot of {style.counted(n_genes, 'marker gene')} in {style.counted(n_clusters, 'cluster')}. {_told(grid)}"
    )


def _told(grid: MarkerGrid) -> str:
    """How well they tell clusters apart, and the best of them."""
    own = grid.shares[grid.marks, np.arange(len(grid.marks))]
    others = grid.shares.copy()
    others[grid.marks, np.arange(len(grid.marks))] = 0
    rest = others.max(axis=0)
    apart = int((rest < APART).sum())
    best = int(np.argmax(own - rest))
    return (
        f"{apart:,} of them are found in less than half of the cells of any other cluster; "
        f"{style.literal(grid.symbols[best])} tells best: it is in {own[best]:.0%} of the cells of cluster "
        f"{grid.marks[best]} and in at most {rest[best]:.0%} of any other."
    )
