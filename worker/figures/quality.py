"""``violin`` and the two scatters: how many counts, genes and mitochondrial counts a cell has."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Doubles, Summary

VIOLIN_HEADING = "Genes, counts and mitochondrial share of cells"
COUNTS_HEADING = "Genes found against counts"
MITO_HEADING = "Mitochondrial share against counts"
VIOLIN_HEIGHT = 3.3
SCATTER_HEIGHT = 4.2
PERCENT = "% of counts"
CELLS_OF_A_VIOLIN = 30
CELLS_AS_DOTS = 500
"""Fewer overlap little, and in a density nearly every bin would hold one."""
FEW = 100
"""Below it a median is told with a decimal."""
HIGH_MITO = 10
"""Percent above which a cell is often taken for damaged."""
LEAST_RANGE = 20.0
"""That an axis is taken to have where all values are the same."""
BINS, REACH = 80, 9
"""Of a violin, over the range of its values; how many of them a value is smoothed over, to each side."""


def draw_violin(figure: Figure, summary: Summary) -> str:
    """A violin for each measure, its quartiles and median marked."""
    quality = summary.quality
    panels: list[tuple[str, str, Doubles]] = [
        ("genes per cell", "genes with a count", quality.n_genes.astype(np.float64)),
        ("counts per cell", "counts", quality.n_counts),
    ]
    if quality.percent_mito is not None:
        of_counted = quality.percent_mito[quality.n_counts > 0].astype(np.float64)
        panels.append(("mitochondrial share", PERCENT, of_counted))
    told = []
    for axes, (title, unit, values) in zip(figure.subplots(1, len(panels)), panels, strict=True):
        share = unit == PERCENT
        log = not share and style.spreads(values)
        _violin(axes, values, log=log)
        median = _rounded(float(np.median(values))) + (" %" if share else "")
        axes.set_title(f"{title}\nmedian {median}")
        axes.set_ylabel(unit + (" (log scale)" if log else ""))
        empty = int((values == 0).sum()) if log else 0
        if empty:
            axes.set_xlabel(f"{style.cells(empty)} with 0 not shown")
        told.append(f"{title} {median}" + (f" ({style.cells(empty)} with 0 not shown)" if empty else ""))
    reason = summary.missing.get("percent_mito", "")
    without = f" No mitochondrial share: {reason}." if reason else ""
    return f"Violin plots over {style.cells(summary.n_cells)}; medians: {', '.join(told)}.{without}"


def _violin(axes: Axes, values: Doubles, *, log: bool) -> None:
    """The values and the quartiles of all; few or equal ones are dots: a density would claim more than is known."""
    shown = values[values > 0] if log else values
    low, high = float(shown.min()), float(shown.max())
    if len(shown) < CELLS_OF_A_VIOLIN or low == high:
        shown = np.unique(shown)
        axes.plot(np.zeros(len(shown)), shown, "o", markersize=4.5, color=style.colour(4), clip_on=False)
    else:
        _body(axes, shown, log=log)
    q1, median, q3 = np.maximum(np.percentile(values, [25, 50, 75]), low)
    axes.plot([0, 0], [q1, q3], color=style.INK, linewidth=3, solid_capstyle="butt")
    axes.plot([0], [median], "o", markersize=4.5, markerfacecolor="white", markeredgecolor=style.INK, clip_on=False)
    if log:
        axes.set_yscale("log")
    else:
        margin = 0.05 * (high - low or max(high, LEAST_RANGE))
        axes.set_ylim(max(0.0, low - margin), high + margin)
    style.number_axis(axes.yaxis, log=log)
    axes.set_xticks([])
    axes.set_xlim(-0.55, 0.55)
    axes.grid(axis="y", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)


def _body(axes: Axes, values: Doubles, *, log: bool) -> None:
    """Density to both sides, from a histogram of what was measured: it ends where the values end."""
    scaled = np.log10(values) if log else values
    counts, edges = np.histogram(scaled, BINS)
    kernel = np.exp(-0.5 * (np.arange(-REACH, REACH + 1) / 2.5) ** 2)
    smooth = np.convolve(np.pad(counts, REACH, mode="symmetric"), kernel, mode="valid")  # no mass is lost at the ends
    centres = np.linspace(edges[0], edges[-1], BINS)
    places = 10**centres if log else centres
    width = 0.42 * smooth / smooth.max()
    axes.fill_betweenx(places, -width, width, facecolor=style.colour(4), edgecolor=style.INK, linewidth=0.5)


def draw_genes_against_counts(figure: Figure, summary: Summary) -> str:
    """Density of cells over counts and genes."""
    counts, genes = summary.quality.n_counts, summary.quality.n_genes.astype(np.float64)
    seen = counts > 0
    _density(figure, counts[seen], genes[seen], "genes with a count")
    without = "" if seen.all() else f" {style.cells(int((~seen).sum()))} without any count are not shown."
    return (
        f"{_shape(counts[seen])} of {style.cells(int(seen.sum()))} over counts, {_range(counts[seen])} with median "
        f"{_median(counts[seen]):,.0f}, and genes found, {_range(genes[seen])} with median "
        f"{_median(genes[seen]):,.0f}.{without}"
    )


def draw_mito_against_counts(figure: Figure, summary: Summary) -> str:
    """Density of cells over counts and mitochondrial share."""
    quality = summary.quality
    assert quality.percent_mito is not None  # noqa: S101 - the table of figures asks for it
    seen = quality.n_counts > 0
    counts, share = quality.n_counts[seen], quality.percent_mito[seen].astype(np.float64)
    _density(figure, counts, share, "mitochondrial counts (%)", log_y=False)
    high = 100 * float((share > HIGH_MITO).mean()) if len(share) else 0.0
    return (
        f"{_shape(counts)} of {style.cells(len(counts))} over counts and share of mitochondrial counts: median "
        f"{_median(share):.1f} %, highest {share.max(initial=0):.1f} %; {high:.1f} % of cells have more than "
        f"{HIGH_MITO} %."
    )


def _density(figure: Figure, x: Doubles, y: Doubles, y_label: str, *, log_y: bool = True) -> None:
    axes = figure.subplots()
    log = (style.spreads(x), log_y and style.spreads(y))
    if len(x) <= CELLS_AS_DOTS:
        style.dots(axes, x, y, log_x=log[0], log_y=log[1])
    else:
        bar = figure.colorbar(style.density(axes, x, y, log_x=log[0], log_y=log[1]), ax=axes, pad=0.02, aspect=30)
        style.number_axis(bar.ax.yaxis, log=True)
        bar.set_label("cells in a bin (log scale)")
        bar.outline.set_linewidth(0)
    axes.set_xlabel("counts per cell" + (" (log scale)" if log[0] else ""))
    axes.set_ylabel(y_label + (" (log scale)" if log[1] else ""))


def _shape(cells: Doubles) -> str:
    return "Scatter" if len(cells) <= CELLS_AS_DOTS else "Density"


def _rounded(value: float) -> str:
    return f"{value:,.1f}" if value < FEW else f"{value:,.0f}"


def _range(values: Doubles) -> str:
    return f"{values.min(initial=np.inf):,.0f} to {values.max(initial=0):,.0f}" if len(values) else "none"


def _median(values: Doubles) -> float:
    return float(np.median(values)) if len(values) else 0.0
