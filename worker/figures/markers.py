"""``rank_gene_groups``: the genes that tell each cluster from the others."""

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Markers, Summary

HEADING = "Marker genes of each cluster"
MANY_CLUSTERS = 15
SHOWN_OF_FEW, SHOWN_OF_MANY = 8, 5
"""Markers of a cluster, by how many clusters there are."""
ROW_INCHES = 0.43
HEAD_INCHES = 1.35
LEAST_INCHES = 2.8
ROWS_OF_BAR = 12
GENE_CHARACTERS_PER_LINE = 84
SIZE, LONG_SIZE, SHORT = 6.5, 5.5, 9
"""Points of a gene's name, and of one with more than SHORT characters."""
LARGEST = 110
"""Area of the dot of a gene found in all cells of a cluster, in square points."""


def height(summary: Summary) -> float:
    """Inches for a row a cluster."""
    markers = summary.markers
    return max(LEAST_INCHES, HEAD_INCHES + ROW_INCHES * (len(markers.scores) if markers else 1))


def draw(figure: Figure, summary: Summary) -> str:
    """A row a cluster: its best genes, each a dot of how many cells have it and how much, named below it."""
    markers = summary.markers
    assert markers is not None  # noqa: S101 - the table of figures asks for it
    n_clusters = len(markers.scores)
    shown = min(SHOWN_OF_FEW if n_clusters <= MANY_CLUSTERS else SHOWN_OF_MANY, markers.scores.shape[1])
    axes = figure.subplots()
    columns, rows = np.meshgrid(np.arange(shown), np.arange(n_clusters))
    colours = Normalize(0, float(markers.mean_in[:, :shown].max()) or 1.0)
    axes.scatter(
        columns,
        rows - 0.18,
        s=LARGEST * markers.share_in[:, :shown],
        c=markers.mean_in[:, :shown],
        cmap=style.EXPRESSION,
        norm=colours,
        edgecolors="#555555",
        linewidths=0.4,
    )
    longest = GENE_CHARACTERS_PER_LINE // shown
    for row in range(n_clusters):
        for column in range(shown):
            name = style.literal(markers.symbols[row, column], longest)
            size = LONG_SIZE if len(name) > SHORT else SIZE
            axes.text(column, row + 0.32, name, ha="center", va="center", fontsize=size)
    axes.set_xlim(-0.6, shown - 0.4)
    axes.set_ylim(n_clusters - 0.4, -0.6)
    axes.set_yticks(range(n_clusters), [f"{n}  ({size:,})" for n, size in enumerate(_sizes(summary))])
    axes.set_xticks(range(shown), [str(number + 1) for number in range(shown)])
    axes.set_xlabel("rank by score of Welch's t-test against all other cells; dot size: share of the cluster's cells")
    axes.set_ylabel("cluster (cells)")
    axes.tick_params(length=0)
    axes.hlines(np.arange(n_clusters - 1) + 0.5, -0.6, shown - 0.4, color="#EEEEEE", linewidth=0.6)
    shrink = min(1.0, ROWS_OF_BAR / n_clusters)
    bar = figure.colorbar(ScalarMappable(colours, style.EXPRESSION), ax=axes, pad=0.01, aspect=30, shrink=shrink)
    bar.set_label("mean ln(1 + counts per 10,000)")
    bar.outline.set_linewidth(0)
    return f"Dot plot of the {shown} best marker genes of {n_clusters} clusters. {_told(markers)}."


def _sizes(summary: Summary) -> "list[int]":
    return summary.clusters.sizes.tolist() if summary.clusters else []


def _told(markers: Markers) -> str:
    firsts = [f"cluster {number}: {style.literal(genes[0])}" for number, genes in enumerate(markers.symbols[:6])]
    others = len(markers.symbols) - len(firsts)
    return "Best of each: " + ", ".join(firsts) + (f" and {others} more" if others else "")
