"""All figures of a summary: one table lists them, one function draws them."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from shared.keys import FigureName
from worker.figures import barcodes, composition, dot_plot, expression, maps, markers, quality, style, variable_genes
from worker.stats.summary import Summary

MOST_BYTES: Final = 250_000
"""Of a PNG."""
PALETTE_SIZES: Final = (256, 128, 64, 32, 16)


@dataclass(frozen=True, slots=True)
class FigureKind:
    """A figure: what of the summary it needs (a key of ``missing``), its heading, inches high, and its drawing.

    It can be drawn once that is known, and so is what else it shows (``shows``) if there is any.
    """

    name: FigureName
    needs: str
    heading: str
    height: float | Callable[[Summary], float]
    draw: Callable[[Figure, Summary], str]
    shows: str = ""


FIGURES: Final[tuple[FigureKind, ...]] = (
    FigureKind("highest_expr_genes", "top_genes", expression.HEADING, expression.HEIGHT, expression.draw),
    FigureKind("violin", "", quality.VIOLIN_HEADING, quality.VIOLIN_HEIGHT, quality.draw_violin),
    FigureKind(
        "scatter_genes_vs_counts",
        "top_genes",
        quality.COUNTS_HEADING,
        quality.SCATTER_HEIGHT,
        quality.draw_genes_against_counts,
    ),
    FigureKind(
        "scatter_percentMitoGenes_vs_count",
        "percent_mito",
        quality.MITO_HEADING,
        quality.SCATTER_HEIGHT,
        quality.draw_mito_against_counts,
    ),
    FigureKind(
        "highly_variable_genes",
        "variable_genes",
        variable_genes.HEADING,
        variable_genes.HEIGHT,
        variable_genes.draw,
    ),
    FigureKind("pca", "components", maps.PCA_HEADING, maps.PCA_HEIGHT, maps.draw_pca, shows="clusters"),
    FigureKind("umap", "embedding", maps.UMAP_HEADING, maps.UMAP_HEIGHT, maps.draw_umap),
    FigureKind("rank_gene_groups", "markers", markers.HEADING, markers.height, markers.draw),
    FigureKind("barcode_rank", "top_genes", barcodes.HEADING, barcodes.HEIGHT, barcodes.draw),
    FigureKind(
        "cluster_sizes", "clusters", composition.SIZES_HEADING, composition.sizes_height, composition.draw_sizes
    ),
    FigureKind(
        "cell_types",
        "cell_types",
        composition.TYPES_HEADING,
        composition.TYPES_HEIGHT,
        composition.draw_types,
        shows="embedding",
    ),
    FigureKind("marker_dot_plot", "markers", dot_plot.HEADING, dot_plot.height, dot_plot.draw),
)


@dataclass(frozen=True, slots=True)
class DrawnFigure:
    """A picture on disk; ``width`` and ``height`` in pixels (of an SVG, at the same resolution)."""

    name: FigureName
    path: Path
    width: int
    height: int
    alt: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn, and (name, reason) of what could not be."""

    figures: tuple[DrawnFigure, ...]
    skipped: tuple[tuple[str, str], ...]


class Drawing:
    """Draws the figures of a growing summary as ``{name}.{format}`` in ``folder``, in a thread beside what grows it."""

    def __init__(self, folder: Path, formats: tuple[str, ...]) -> None:
        self._folder = folder
        self._formats = formats
        self._thread = ThreadPoolExecutor(1)
        self._drawn: dict[str, Future[list[DrawnFigure]]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def show(self, summary: Summary) -> None:
        """Begin what can be drawn of it and was not begun before."""
        for kind in FIGURES:
            known = summary.knows(kind.needs) and summary.knows(kind.shows)
            if known and kind.needs not in summary.missing and kind.name not in self._drawn:
                self._drawn[kind.name] = self._thread.submit(_drawn, kind, summary, self._folder, self._formats)

    def finish(self, summary: Summary) -> Drawn:
        """All figures, once they are drawn; ``summary`` is the last that was shown."""
        figures = [figure for kind in FIGURES if kind.name in self._drawn for figure in self._drawn[kind.name].result()]
        skipped = [(kind.name, summary.missing[kind.needs]) for kind in FIGURES if kind.needs in summary.missing]
        return Drawn(tuple(figures), tuple(skipped))


def draw(summary: Summary, folder: Path, formats: tuple[str, ...]) -> Drawn:
    """Every figure that a whole summary allows."""
    with Drawing(folder, formats) as drawing:
        drawing.show(summary)
        return drawing.finish(summary)


def _drawn(kind: FigureKind, summary: Summary, folder: Path, formats: tuple[str, ...]) -> list[DrawnFigure]:
    height = kind.height if isinstance(kind.height, float) else kind.height(summary)
    with style.canvas(summary, kind.heading, height) as figure:
        alt = f"{kind.draw(figure, summary)} {style.context(summary)}."
        picture = _picture(figure)
        drawn = [DrawnFigure(kind.name, folder / f"{kind.name}.{name}", *picture.size, alt) for name in formats]
        for each in drawn:
            if each.path.suffix == ".png":
                each.path.write_bytes(_png(picture))
            else:
                figure.savefig(each.path, dpi=style.DOTS_PER_INCH, metadata={"Date": None})
    return drawn


def _picture(figure: Figure) -> Image.Image:
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _png(picture: Image.Image) -> bytes:
    """In all its colours, so that a cluster has the same one everywhere; in fewer where MOST_BYTES allow no more."""
    body = _encoded(picture)
    for colours in PALETTE_SIZES:
        if len(body) < MOST_BYTES:
            break
        body = _encoded(picture.quantize(colours, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
    return body


def _encoded(picture: Image.Image) -> bytes:
    body = BytesIO()
    picture.save(body, "PNG")
    return body.getvalue()
