"""``pca`` and ``umap``: cells in the plane, coloured by cluster."""

from typing import Any, Final

import matplotlib.patheffects as effects
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Clusters, Summary

PCA_HEADING = "Principal components"
UMAP_HEADING = "UMAP"
PCA_HEIGHT = 5.0
UMAP_HEIGHT = 3.7
GENE_CHARACTERS = 24
LEADER: Final = {"arrowstyle": "-", "color": style.INK, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 0}
"""From a label that had to move to the middle of its cluster."""


def draw_pca(figure: Figure, summary: Summary) -> str:
    """The first two components, or the first alone over the cells' order."""
    components = summary.components
    assert components is not None  # noqa: S101 - the table of figures asks for it
    axes = figure.subplots()
    shares = 100 * components.variance_ratio
    if components.scores.shape[1] > 1:
        plane = components.scores[:, :2]
        axes.set_ylabel(f"PC2 ({shares[1]:.1f} % of variance)")
    else:
        plane = np.column_stack((components.scores[:, 0], np.arange(summary.n_cells)))
        axes.set_ylabel("number of the cell")
    _clustered(axes, plane, summary.clusters)
    axes.set_xlabel(f"PC1 ({shares[0]:.1f} % of variance)")
    style.number_axis(axes.xaxis, log=False)
    style.number_axis(axes.yaxis, log=False)
    explained = " and ".join(f"PC{number} {share:.1f} %" for number, share in enumerate(shares[:2], start=1))
    return (
        f"Scatter of {style.cells(summary.n_cells)} on the first principal components of the variable genes; variance "
        f"explained: {explained}, all {len(shares)} together {shares.sum():.0f} %.{_clusters_told(summary.clusters)}"
    )


def draw_umap(figure: Figure, summary: Summary) -> str:
    """Clusters on the left, expression of an example gene on the right."""
    embedding = summary.embedding
    assert embedding is not None  # noqa: S101 - the table of figures asks for it
    panels = figure.subplots(1, 1 if embedding.example_gene is None else 2, squeeze=False)[0]
    _clustered(panels[0], embedding.coordinates, summary.clusters)
    panels[0].set_title(_title(summary))
    told = ""
    if embedding.example_gene is not None and embedding.example_expression is not None:
        gene, values = style.literal(embedding.example_gene, GENE_CHARACTERS), embedding.example_expression
        scale = Normalize(0, float(values.max()) or 1.0)
        style.points(panels[1], embedding.coordinates, values, style.EXPRESSION, scale)
        bar = figure.colorbar(ScalarMappable(scale, style.EXPRESSION), ax=panels[1], pad=0.01, aspect=30)
        bar.outline.set_linewidth(0)
        bar.set_label("ln(1 + counts per 10,000)")
        panels[1].set_title(gene)
        told = _found_told(gene, values > 0, summary.clusters)
    for axes in panels:
        name_axes(axes)
    sketched = f" Places and clusters are {_sketch(summary.sketch_cells)}." if summary.sketch_cells else ""
    return f"UMAP of {style.cells(summary.n_cells)}.{_clusters_told(summary.clusters)}{sketched}{told}"


def name_axes(axes: Axes) -> None:
    """The directions of a UMAP mean nothing in numbers."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_xlabel("UMAP 1")
    axes.set_ylabel("UMAP 2")


def _title(summary: Summary) -> str:
    if not summary.clusters:
        return "all cells"
    counted = style.counted(len(summary.clusters.sizes), "Leiden cluster")
    if len(summary.clusters.sizes) > style.MOST_CLUSTERS:
        counted += f", the {style.MOST_CLUSTERS} largest numbered"
    return f"{counted}\n{_sketch(summary.sketch_cells)}" if summary.sketch_cells else counted


def _sketch(sketch_cells: int) -> str:
    return f"from a sketch of {style.cells(sketch_cells)}"


def _clustered(axes: Axes, plane: Any, clusters: Clusters | None) -> None:
    labels, count = (clusters.labels, len(clusters.sizes)) if clusters else (np.zeros(len(plane), np.int32), 1)
    colours = ListedColormap([style.colour(number) for number in range(count)])
    style.points(axes, plane, labels, colours, Normalize(-0.5, count - 0.5))
    if clusters:
        _label(axes, plane, clusters)


def _label(axes: Axes, plane: Any, clusters: Clusters) -> None:
    """The number of each cluster at its middle, the largest first; a label that would cover another moves away."""
    spans = np.ptp([axes.get_xlim(), axes.get_ylim()], axis=1)
    least = np.array([0.052, 0.048]) * spans
    taken: list[Any] = []
    for number in range(min(len(clusters.sizes), style.MOST_CLUSTERS)):
        own = plane[clusters.labels == number]
        middle = own[np.argmin((((own - np.median(own, axis=0)) / spans) ** 2).sum(axis=1))]  # one of its cells
        for step in range(200):
            angle, radius = 2.4 * step, 0.012 * np.sqrt(step)
            place = middle + radius * spans * np.array([np.cos(angle), np.sin(angle)]) * 2
            if all(np.any(np.abs(place - other) > least) for other in taken):
                break
        taken.append(place)
        axes.annotate(
            str(number),
            middle,
            place,
            arrowprops=LEADER if np.any(np.abs(place - middle) > least) else None,
            ha="center",
            va="center",
            fontsize=7,
            fontweight="bold",
            path_effects=[effects.withStroke(linewidth=2, foreground="white")],
        )


def _found_told(gene: str, found: Any, clusters: Clusters | None) -> str:
    """In how many of the cells, (cells,), and where above all."""
    told = f" {gene} is found in {100 * found.mean():.0f} % of the cells"
    if clusters is None or len(clusters.sizes) == 1:
        return f"{told}."
    shares = 100 * (np.bincount(clusters.labels, found) / clusters.sizes)[: style.MOST_CLUSTERS]
    most, least = int(shares.argmax()), int(shares.argmin())
    return f"{told}, of cluster {most} in {shares[most]:.0f} % and of cluster {least} in {shares[least]:.0f} %."


def _clusters_told(clusters: Clusters | None) -> str:
    if clusters is None:
        return ""
    sizes = clusters.sizes
    if len(sizes) == 1:
        return " All cells are in one cluster."
    labelled = f"the {style.MOST_CLUSTERS} largest " if len(sizes) > style.MOST_CLUSTERS else ""
    return f" {len(sizes):,} clusters of {sizes.min():,} to {sizes.max():,} cells, {labelled}numbered by size."
