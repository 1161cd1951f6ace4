"""How all figures look: size, type, colours, titles; in one place."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from worker.stats.summary import Doubles, Summary

WIDTH_INCHES: Final = 6.0
DOTS_PER_INCH: Final = 200
"""1,200 pixels, shown by portals at 600 CSS pixels on dense screens."""
TITLE_CHARACTERS: Final = 78
"""What fits into the width at the title's size."""
LEAST_BINS, MOST_BINS = 40, 200
"""Of a density, across: the more cells, the finer."""
MOST_DOTS: Final = 20_000
"""Cells drawn one by one."""
MOST_CLUSTERS: Final = 60
"""Clusters with a number in a map and a row of markers, the largest; more would be neither read nor drawn in time."""
RASTER: Final = 400
"""Pixels across of more cells than that; each is about 2 of the picture's."""
PALETTE: Final = (
    *("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#5A0F00", "#000096", "#1EF096", "#8700FF"),
    *("#A50F69", "#3C5A00", "#F0C3FF", "#9678FF", "#4B005A", "#D20FC3", "#5A1EB4", "#96B487", "#876987", "#C3D24B"),
    *("#B40000", "#0000E1", "#00D2C3", "#5A785A", "#1E3C87", "#005A69", "#003C3C", "#78004B", "#5A4B96", "#FF87FF"),
)
"""The six bright colours of Okabe & Ito (2008), then 24 chosen to stay apart from each other and from white, also for
readers who do not see red, green or blue apart."""
TYPE_PALETTE: Final = (
    *("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#661100"),
    *("#6699CC", "#E69F00"),
)
"""Of the authors' cell types, so that none is taken for a cluster's: Tol (2021), "muted", and two more."""
OTHERS: Final = "#777777"
ACCENT: Final = "#D55E00"
QUIET: Final = "#BBBBBB"
FEW_DECADES: Final = 3
INK: Final = "#222222"
DENSITY: Final = "viridis"
EXPRESSION: Final = LinearSegmentedColormap.from_list("expression", ["#E4E4E4", "#F0C000", "#B02000", "#400040"])

_RC: Final[Any] = {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.edgecolor": "#666666",
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
    "axes.formatter.use_mathtext": False,
    "svg.hashsalt": "dpss",
    "svg.fonttype": "path",
}


@contextmanager
def canvas(summary: Summary, heading: str, height: float) -> Iterator[Figure]:
    """A white figure of the common width and ``height`` inches, titled with ``heading`` and whose cells these are."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(WIDTH_INCHES, height), dpi=DOTS_PER_INCH, layout="constrained")
        figure.suptitle(f"{heading}\n{whose(summary)}", fontsize=9, x=0.01, ha="left", linespacing=1.35)
        yield figure
        figure.clear()


def whose(summary: Summary) -> str:
    """Project, species, library and number of cells, wrapped to the width."""
    text = f"{literal(summary.subject.project_id)} · {context(summary, ' · ')}"
    return "\n".join(textwrap.wrap(text, TITLE_CHARACTERS, break_long_words=True, break_on_hyphens=False))


def context(summary: Summary, between: str = ", ") -> str:
    """Species, library and number of cells."""
    subject = summary.subject
    return between.join(filter(None, (species(subject.species), literal(subject.library), cells(summary.n_cells))))


def species(name: str | None) -> str:
    """``homo_sapiens`` as people write it."""
    return literal(name.replace("_", " ").capitalize()) if name else ""


def cells(count: int) -> str:
    """``1 cell``, ``2,700 cells``."""
    return counted(count, "cell")


def counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def literal(text: object, most: int = 200) -> str:
    """Text that is drawn as it stands: control characters are shown, and what is too long is cut in its middle."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= most else f"{shown[: most // 2]}…{shown[-(most - most // 2 - 1) :]}"


def colour(cluster: int) -> str:
    """The colour of a cluster, the same in all figures."""
    return PALETTE[cluster % len(PALETTE)]


def number_axis(axis: Any, *, log: bool) -> None:
    """Ticks with thousands separated; on a log axis at 1, 2 and 5 where there is room."""
    if log:
        low, high = axis.get_view_interval()
        decades = np.log10(high / low)
        subs = (1.0, 2.0, 5.0) if decades < FEW_DECADES else (1.0,)
        axis.set_major_locator(LogLocator(subs=subs, numticks=12))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10f}".rstrip("0").rstrip(".")))


def density(axes: Axes, x: Doubles, y: Doubles, *, log_x: bool, log_y: bool) -> Any:
    """Points, none below 0, as a raster of how many there are. Gives the image, for a colour bar."""
    edges_x, edges_y = _edges(x, log=log_x), _edges(y, log=log_y)
    counts, _, _ = np.histogram2d(x, y, bins=(edges_x, edges_y))
    image = axes.pcolormesh(
        edges_x,
        edges_y,
        np.ma.masked_equal(counts.T, 0),
        cmap=DENSITY,
        norm=LogNorm(vmin=1, vmax=max(counts.max(), 2)),
        rasterized=True,
    )
    _scale(axes, log_x=log_x, log_y=log_y)
    return image


def dots(axes: Axes, x: Doubles, y: Doubles, *, log_x: bool, log_y: bool) -> None:
    """Points, each to be seen where a few lie on each other."""
    axes.scatter(x, y, 10, colour(0), alpha=0.6, linewidths=0, rasterized=True)
    _scale(axes, log_x=log_x, log_y=log_y)


def _scale(axes: Axes, *, log_x: bool, log_y: bool) -> None:
    for scale, log, axis in ((axes.set_xscale, log_x, axes.xaxis), (axes.set_yscale, log_y, axes.yaxis)):
        if log:
            scale("log")
        number_axis(axis, log=log)


def _edges(values: Doubles, *, log: bool) -> Doubles:
    low, high = float(values.min()), float(values.max())
    if log:
        low, high = np.log10(max(low, 1e-12)), np.log10(max(high, 1e-12))
    margin = 0.03 * (high - low) or max(0.05 * abs(high), 0.5)
    least = -np.inf if log else 0
    bins = int(np.clip(14 * len(values) ** 0.25, LEAST_BINS, MOST_BINS))
    edges = np.linspace(max(low - margin, least), high + margin, bins + 1)
    return 10**edges if log else edges


def points(axes: Axes, coordinates: Any, values: Any, cmap: Colormap, norm: Normalize) -> None:
    """Cells in colour, none in front of another for its place in the matrix: dots, or a raster where they are many."""
    order = np.random.default_rng(0).permutation(len(coordinates))
    if len(order) <= MOST_DOTS:
        size = float(np.clip(12_000 / max(len(order), 1), 0.5, 16))
        x, y = coordinates[order].T
        axes.scatter(x, y, size, values[order], cmap=cmap, norm=norm, linewidths=0, rasterized=True)
    else:
        _raster(axes, coordinates[order], values[order], cmap, norm)


def _raster(axes: Axes, coordinates: Any, values: Any, cmap: Colormap, norm: Normalize) -> None:
    """Each pixel in the colour of one of its cells: dots one by one would take seconds a figure."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    size = np.where(high > low, high - low, 1)
    column, row = np.minimum((coordinates - low) / size * RASTER, RASTER - 1).astype(np.intp).T
    picked = np.full((RASTER, RASTER), np.nan)
    picked[row, column] = values
    extent = (float(low[0]), float(low[0] + size[0]), float(low[1]), float(low[1] + size[1]))
    axes.imshow(picked, cmap, norm, extent=extent, origin="lower", aspect="auto", interpolation="none")
    axes.margins(0.04)
    axes.use_sticky_edges = False
    axes.autoscale_view()


def spreads(values: Doubles) -> bool:
    """Whether positive values spread so far that a log scale reads better."""
    positive = values[values > 0]
    return bool(len(positive) and positive.max() >= 10 * positive.min())
