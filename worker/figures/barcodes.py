"""``barcode_rank``: how many counts the richest cell has, the next one, and so on."""

import numpy as np
from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Summary

HEADING = "Counts of each cell, by rank"
HEIGHT = 3.7
POINTS = 1_000
"""Of the line, evenly spaced on its log scale."""
GUIDES = (0.1, 0.5, 0.9)
"""Shares of the cells whose counts are told."""


def draw(figure: Figure, summary: Summary) -> str:
    """A line over ranks on log scales; a cliff in it parts cells from empty droplets."""
    counts = np.sort(summary.quality.n_counts)[::-1]
    counts = counts[counts > 0]
    ranks = np.unique(np.geomspace(1, len(counts), POINTS).astype(np.int64))
    axes = figure.subplots()
    axes.plot(ranks, counts[ranks - 1], color=style.colour(0), linewidth=1.8, solid_capstyle="round")
    if len(counts) == 1:
        axes.plot(ranks, counts, "o", markersize=4.5, color=style.colour(0))
    axes.set_xscale("log")
    axes.set_yscale("log" if style.spreads(counts) else "linear")
    if not style.spreads(counts):
        axes.set_ylim(0, 1.05 * counts[0])
    axes.margins(x=0.03)
    told = [_guided(figure, counts, share) for share in GUIDES] if len(counts) > 1 / GUIDES[0] else []
    axes.set_xlabel("rank of the cell by its counts (log scale)")
    axes.set_ylabel("counts per cell" + (" (log scale)" if style.spreads(counts) else ""))
    axes.grid(color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    style.number_axis(axes.xaxis, log=True)
    style.number_axis(axes.yaxis, log=style.spreads(counts))
    without = summary.n_cells - len(counts)
    empty = f" {style.cells(without)} without any count are not shown." if without else ""
    among = f"; {', '.join(told)}" if told else ""
    return f"Curve of counts per cell by rank: from {counts[0]:,.0f} down to {counts[-1]:,.0f}{among}.{empty}"


def _guided(figure: Figure, counts: "np.ndarray[tuple[int], np.dtype[np.float64]]", share: float) -> str:
    """Mark how many counts a share of the cells has at least; gives the words for it."""
    rank = max(1, round(share * len(counts)))
    value = counts[rank - 1]
    axes = figure.axes[0]
    axes.plot([rank], [value], "o", markersize=4.5, markerfacecolor="white", markeredgecolor=style.INK)
    words = f"{share:.0%} of the cells have at least {value:,.0f}"
    axes.annotate(
        f"{share:.0%}: {value:,.0f} or more",
        (rank, value),
        xytext=(-6, -3),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=7,
    )
    return words
