"""``cluster_sizes`` and ``cell_types``: how many cells each cluster has, and what the authors took them for."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from worker.figures import maps, style
from worker.stats.summary import CellTypes, Integers, Summary

SIZES_HEADING: Final = "Cells of each cluster"
TYPES_HEADING: Final = "UMAP by the authors' cell types"
TYPES_HEIGHT: Final = 4.6
MOST_TYPES: Final = 12
"""Types with a colour; the others, the rarest, are taken together."""
NAME_CHARACTERS: Final = 40
ROW_INCHES: Final = 0.19
HEAD_INCHES: Final = 0.95
KEY_ROW_INCHES: Final = 0.17
KEY_COLUMNS: Final = 2
OTHERS, UNTOLD = "other types", "not told"
NAMED: Final = 4


def sizes_height(summary: Summary) -> float:
    """Inches for a row a cluster and the key below."""
    rows = min(len(summary.clusters.sizes), style.MOST_CLUSTERS) if summary.clusters else 1
    key = -(-len(_shown(summary.cell_types)) // KEY_COLUMNS) * KEY_ROW_INCHES if summary.cell_types else 0
    return HEAD_INCHES + ROW_INCHES * max(rows, 3) + key


def draw_sizes(figure: Figure, summary: Summary) -> str:
    """A bar for each cluster; parted by the authors' types where the file has them."""
    clusters = summary.clusters
    assert clusters is not None  # noqa: S101 - the table of figures asks for it
    axes = figure.subplots()
    sizes = clusters.sizes[: style.MOST_CLUSTERS]
    if summary.cell_types:
        _parted(axes, clusters.labels, len(sizes), summary.cell_types)
        _key(figure, summary.cell_types)
    else:
        axes.barh(range(len(sizes)), sizes, 0.75, color=[style.colour(number) for number in range(len(sizes))])
    for row, size in enumerate(sizes.tolist()):
        axes.annotate(
            f"{size:,}", (size, row), xytext=(3, 0), textcoords="offset points", va="center_baseline", fontsize=7
        )
    axes.set_yticks(range(len(sizes)), [str(number) for number in range(len(sizes))])
    axes.set_ylim(max(len(sizes), 3) - 0.4, -0.6)
    axes.set_xlim(0, 1.1 * sizes.max())
    axes.tick_params(axis="y", length=0)
    largest = "" if len(sizes) == len(clusters.sizes) else f" (the largest of {len(clusters.sizes):,})"
    axes.set_ylabel(f"cluster{largest}")
    axes.set_xlabel("cells")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.number_axis(axes.xaxis, log=False)
    parts = f" {_of_types(clusters.labels, summary.cell_types)}" if summary.cell_types else ""
    return (
        f"Bar chart of the cells of {style.counted(len(sizes), 'cluster')}{largest}: "
        f"from {sizes.max():,} down to {sizes.min():,}.{parts}"
    )


def _parted(axes: Axes, clusters: Integers, n_clusters: int, types: CellTypes) -> None:
    shown = _shown(types)
    counts = np.zeros((n_clusters, len(shown)), np.int64)
    inside = clusters < n_clusters
    np.add.at(counts, (clusters[inside], _places(types)[inside]), 1)
    starts = np.zeros(n_clusters)
    for place, colour in enumerate(_colours(types)):
        axes.barh(range(n_clusters), counts[:, place], 0.75, left=starts, color=colour)
        starts += counts[:, place]


def _key(figure: Figure, types: CellTypes) -> None:
    handles: list[Any] = [
        Line2D([], [], linestyle="", marker="s", markersize=6, color=colour, label=name)
        for name, colour in zip(_shown(types), _colours(types), strict=True)
    ]
    figure.legend(
        handles=handles, loc="outside lower left", ncols=KEY_COLUMNS, frameon=False, fontsize=7, handletextpad=0.2
    )


def _shown(types: CellTypes) -> Sequence[str]:
    """The names in a key."""
    names = [style.literal(name, NAME_CHARACTERS) for name in types.names[:MOST_TYPES]]
    others = [f"{OTHERS} ({len(types.names) - MOST_TYPES:,})"] if len(types.names) > MOST_TYPES else []
    return [*names, *others, *([UNTOLD] if (types.labels < 0).any() else [])]


def _places(types: CellTypes) -> Integers:
    """The place in the key of each cell's type, (cells,)."""
    last = len(_shown(types)) - 1
    return np.where(types.labels < 0, last, np.minimum(types.labels, MOST_TYPES)).astype(np.int32)


def _colours(types: CellTypes) -> Sequence[str]:
    """A colour for each place in the key; not those of clusters, which mean something else."""
    named = min(len(types.names), MOST_TYPES)
    spare = [style.OTHERS, style.QUIET][: len(_shown(types)) - named]
    spare = [style.QUIET] if len(types.names) <= MOST_TYPES and spare else spare
    return [*style.TYPE_PALETTE[:named], *spare]


def draw_types(figure: Figure, summary: Summary) -> str:
    """The cells where the UMAP has them, in the colours of the authors' types."""
    embedding, types = summary.embedding, summary.cell_types
    assert embedding is not None  # noqa: S101 - the table of figures asks for it
    assert types is not None  # noqa: S101 - the same
    axes = figure.subplots()
    colours = _colours(types)
    scale = Normalize(-0.5, len(colours) - 0.5)
    style.points(axes, embedding.coordinates, _places(types), ListedColormap(colours), scale)
    maps.name_axes(axes)
    _key(figure, types)
    named = ", ".join(
        f"{style.literal(name, NAME_CHARACTERS)} {size:,}"
        for name, size in zip(types.names[:NAMED], types.sizes[:NAMED], strict=True)
    )
    more = f" and {len(types.names) - NAMED:,} more" if len(types.names) > NAMED else ""
    untold = int((types.labels < 0).sum())
    silent = f" Of {style.cells(untold)} no type is told." if untold else ""
    return (
        f"UMAP of {style.cells(summary.n_cells)} by the authors' {style.counted(len(types.names), 'cell type')}: "
        f"{named} cells{more}.{silent}"
    )


def _of_types(clusters: Integers, types: CellTypes) -> str:
    """The commonest type of the first clusters, in words."""
    told = []
    for cluster in range(min(NAMED, int(clusters.max()) + 1)):
        own = types.labels[(clusters == cluster) & (types.labels >= 0)]
        if len(own):
            best = int(np.bincount(own).argmax())
            share = (own == best).sum() / (clusters == cluster).sum()
            told.append(f"cluster {cluster} is {share:.0%} {style.literal(types.names[best], NAME_CHARACTERS)}")
    return f"By the authors' types, {', '.join(told)}." if told else "The authors' types are told of none of these."
