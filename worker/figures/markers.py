"""``rank_gene_groups``: the genes that tell each cluster from the others."""

from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Markers, Summary

HEADING: Final = "Marker genes of each cluster"
MANY_CLUSTERS: Final = 30
SHOWN_OF_FEW, SHOWN_OF_MANY = 5, 4
"""Markers of a cluster, by how many clusters there are: as many as have room for their names."""
ROW_INCHES: Final = 0.2
HEAD_INCHES: Final = 1.75
"""Room for the title, the axis and the two keys."""
GENE_CHARACTERS: Final = 13
LARGEST: Final = 70
"""Area of the dot of a gene found in all cells of a cluster, in square points."""
KEY_SHARES: Final = (0.25, 0.5, 1)
RIM: Final[Any] = {"edgecolors": "#555555", "linewidths": 0.4}
"""A dot of a gene that is hardly expressed is nearly white."""
NAMED: Final = 6


def height(summary: Summary) -> float:
    """Inches for a row a cluster."""
    return HEAD_INCHES + ROW_INCHES * (min(len(summary.markers.scores), style.MOST_CLUSTERS) if summary.markers else 1)


def draw(figure: Figure, summary: Summary) -> str:
    """A row a cluster: its best genes, each a dot of how many cells have it and how much, named beside it."""
    markers = summary.markers
    assert markers is not None  # noqa: S101 - the table of figures asks for it
    axes = figure.subplots()
    n_clusters, kept = markers.scores.shape
    n_rows = min(n_clusters, style.MOST_CLUSTERS)
    shown = min(SHOWN_OF_FEW if n_rows <= MANY_CLUSTERS else SHOWN_OF_MANY, kept)
    scale = Normalize(0, float(markers.mean_in[:n_rows, :shown].max()) or 1.0)
    _dots(axes, markers, (n_rows, shown), scale)
    _rows(axes, summary, shown)
    keys(figure, scale, LARGEST)
    of = style.counted(n_rows, "cluster") + (f", the largest of {n_clusters:,}" if n_rows < n_clusters else "")
    return f"Dot plot of the {shown} best marker genes of {of}. {_told(markers)}."


def keys(figure: Figure, scale: Normalize, largest: float) -> None:
    """What size and colour of a dot mean, below the axes; ``largest`` is the area of one for all cells."""
    dots: Any = [
        figure.axes[0].scatter([], [], s=largest * share, color="white", label=f"{share:.0%}", **RIM)
        for share in KEY_SHARES
    ]
    title = "dot size: cells of the cluster with the gene"
    figure.legend(handles=dots, loc="outside lower left", ncols=3, frameon=False, title=title, alignment="left")
    place = figure.add_axes(_bar_place(figure))
    place.set_in_layout(False)
    bar = figure.colorbar(ScalarMappable(scale, style.EXPRESSION), cax=place, orientation="horizontal")
    place.set_title("colour: mean ln(1 + counts per 10,000)", fontsize=8, loc="left", pad=4)
    bar.outline.set_linewidth(0)


def _bar_place(figure: Figure) -> tuple[float, float, float, float]:
    """Beside the key of the dots' sizes, in fractions of the figure."""
    inches = figure.get_figheight()
    return (0.5, 0.22 / inches, 0.45, 0.06 / inches)


def _dots(axes: Axes, markers: Markers, shape: tuple[int, int], scale: Normalize) -> None:
    n_rows, shown = shape
    columns, rows = np.meshgrid(np.arange(shown), np.arange(n_rows))
    axes.scatter(
        columns,
        rows,
        s=LARGEST * markers.share_in[:n_rows, :shown],
        c=markers.mean_in[:n_rows, :shown],
        cmap=style.EXPRESSION,
        norm=scale,
        **RIM,
    )
    for row, column in np.ndindex(rows.shape):
        name = style.literal(markers.symbols[row, column], GENE_CHARACTERS)
        axes.text(column + 0.1, row, name, ha="left", va="center_baseline", fontsize=7)


def _rows(axes: Axes, summary: Summary, shown: int) -> None:
    all_sizes = summary.clusters.sizes.tolist() if summary.clusters else []
    sizes = all_sizes[: style.MOST_CLUSTERS]
    axes.set_xlim(-0.2, shown)
    axes.set_ylim(len(sizes) - 0.4, -0.6)
    axes.set_yticks(range(len(sizes)), [f"{number}  ({size:,})" for number, size in enumerate(sizes)])
    axes.set_xticks(range(shown), [str(number + 1) for number in range(shown)])
    largest = f" (the largest of {len(all_sizes):,})" if len(sizes) < len(all_sizes) else ""
    axes.set_xlabel(
        f"row: cluster and its cells{largest}; column: rank by score of Welch's t-test against all other cells"
    )
    axes.tick_params(length=0)
    axes.hlines(np.arange(len(sizes) - 1) + 0.5, -0.2, shown, color="#EEEEEE", linewidth=0.6)


def _told(markers: Markers) -> str:
    firsts = [f"cluster {number}: {style.literal(genes[0])}" for number, genes in enumerate(markers.symbols[:NAMED])]
    others = len(markers.symbols) - len(firsts)
    return "Best of each: " + ", ".join(firsts) + (f" and {others} more" if others else "")
