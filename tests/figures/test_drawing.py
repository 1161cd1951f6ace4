"""The eight figures: readable at any number of clusters, honest about what is missing."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgb
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from matplotlib.typing import ColorType
from PIL import Image

from shared.keys import FigureName
from tests.figures.summaries import LONG_GENE, summary
from worker.figures import maps, quality, style
from worker.figures.drawing import FIGURES, Drawing, FigureKind, draw
from worker.stats.summary import Quality, Summary

MOST_BYTES = 250_000
LEAST_POINTS = 7  # 9.7 CSS pixels where a portal shows the figure 600 of them wide
SOME_CELLS = 100
KINDS = pytest.mark.parametrize("kind", FIGURES, ids=lambda kind: kind.name)
CASES = {
    "one cluster": summary(n_clusters=1),
    "sixty clusters": summary(n_cells=1_500, n_clusters=60),
    "long names": summary(gene_stem=LONG_GENE, project_id="P" + "x" * 127),
    "long names in sixty clusters": summary(n_cells=3_000, n_clusters=60, gene_stem=LONG_GENE),
    "few cells": summary(n_cells=6, n_clusters=2, n_types=1),
    "forty types": summary(n_cells=2_000, n_clusters=40, n_types=40),
}


def drawn(kind: FigureKind, what: Summary) -> tuple[list[tuple[Text, Bbox]], Bbox, Image.Image]:
    """Every text of a figure and where it is, less its arrow, the canvas, and what is seen.

    Ticks beyond an axis have no label.
    """
    height = kind.height if isinstance(kind.height, float) else kind.height(what)
    with style.canvas(what, kind.heading, height) as figure:
        kind.draw(figure, what)
        canvas: Any = FigureCanvasAgg(figure)
        renderer = canvas.get_renderer()
        figure.draw(renderer)
        seen = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L")
        beyond = {id(label) for axes in figure.axes for label in labels_beyond(axes)}
        found = [text for text in figure.findobj(Text) if isinstance(text, Text) and id(text) not in beyond]
        shown = [text for text in found if text.get_visible() and text.get_text().strip()]
        extents = [(text, Text.get_window_extent(text, renderer)) for text in shown]
        return extents, Bbox(figure.bbox.get_points()), seen


def labels_beyond(axes: Axes) -> Iterator[Text]:
    """Labels of ticks that matplotlib keeps but does not draw."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not low <= tick.get_loc() <= high:
                yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("case", CASES)
@KINDS
def test_no_figure_is_blank_and_no_text_is_cut_off_or_covers_another(kind: FigureKind, case: str) -> None:
    texts, canvas, seen = drawn(kind, CASES[case])
    assert seen.width == 1200
    assert np.asarray(seen).std() > 5
    for text, box in texts:
        inside = Bbox.intersection(box, canvas)
        assert inside is not None, f"{text} is outside"
        assert inside.width * inside.height > 0.98 * box.width * box.height, f"{text} is cut off"
        assert float(text.get_fontsize()) >= LEAST_POINTS, f"{text} is too small"
        assert contrast(text.get_color(), "white") > 4.5, f"{text} is too faint"  # WCAG 2.2, AA
    for (one, box), (other, another) in itertools.combinations(texts, 2):
        shared = Bbox.intersection(box, another)
        assert shared is None or shared.width < 2 or shared.height < 3, f"{one} and {other} overlap"


def test_the_largest_pictures_are_small_and_of_the_size_that_is_told(tmp_path: Path) -> None:
    for figure in draw(CASES["long names in sixty clusters"], tmp_path, ("png",)).figures:
        with Image.open(figure.path) as picture:
            assert picture.size == (figure.width, figure.height)
        assert figure.path.stat().st_size < MOST_BYTES, figure.name


def test_a_million_cells_stay_small(tmp_path: Path) -> None:
    for figure in draw(summary(n_cells=300_000, n_clusters=25), tmp_path, ("png",)).figures:
        assert figure.path.stat().st_size < MOST_BYTES, figure.name


def test_all_figures_are_drawn_in_the_contracts_order_with_a_sentence_of_numbers(tmp_path: Path) -> None:
    made = draw(summary(), tmp_path, ("png", "svg"))
    assert [figure.name for figure in made.figures[::2]] == list(get_args(FigureName))
    assert made.skipped == ()
    for figure in made.figures:
        assert "900 cells" in figure.alt
        assert "\n" not in figure.alt
        assert figure.path.suffix == ".png" or figure.path.read_text().startswith("<?xml")


def test_a_figure_that_cannot_be_made_is_skipped_with_its_reason(tmp_path: Path) -> None:
    made = draw(summary(SOME_CELLS, 3, mito=False), tmp_path, ("png",))
    assert made.skipped == (
        ("scatter_percentMitoGenes_vs_count", "no gene of the matrix is known to be mitochondrial"),
    )
    violin = next(figure for figure in made.figures if figure.name == "violin")
    assert "No mitochondrial share: no gene of the matrix is known to be mitochondrial." in violin.alt


def test_the_same_summary_gives_the_same_bytes(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        draw(summary(SOME_CELLS, 3), folder, ("png", "svg"))
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name


@pytest.mark.parametrize("name", ["$x_1$ <b>bold</b> %s{0}\\", "a\x1b[31m\u202egnirts"])
def test_a_hostile_name_is_drawn_as_it_stands(name: str, tmp_path: Path) -> None:
    made = draw(summary(SOME_CELLS, 3, name), tmp_path, ("png",))
    assert len(made.figures) == len(FIGURES)
    for figure in made.figures:
        assert figure.alt.isprintable()


def test_the_number_of_a_cluster_stands_on_it_or_a_line_leads_there() -> None:
    what = summary(n_clusters=40)
    assert what.clusters is not None
    assert what.embedding is not None
    places, width = what.embedding.coordinates, np.ptp(what.embedding.coordinates, axis=0)
    with style.canvas(what, maps.UMAP_HEADING, maps.UMAP_HEIGHT) as figure:
        maps.draw_umap(figure, what)
        numbers = [text for text in figure.axes[0].texts if isinstance(text, Annotation)]
        for number in numbers:
            (cell,) = np.flatnonzero((places == number.xy).all(axis=1))
            assert number.get_text() == str(what.clusters.labels[cell])
            away = np.abs(np.subtract(number.get_position(), number.xy)) / width
            assert number.arrow_patch or away.max() < 0.1, number
    assert len(numbers) == 40


def test_a_cluster_has_exactly_its_colour_in_every_figure_of_cells(tmp_path: Path) -> None:
    for figure in draw(summary(n_clusters=12), tmp_path, ("png",)).figures:
        if figure.name in {"pca", "umap"}:
            with Image.open(figure.path) as picture:
                seen = {tuple(pixel) for pixel in np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)}
            wanted = {tuple(round(255 * part) for part in to_rgb(style.colour(number))) for number in range(12)}
            assert wanted <= seen, figure.name


def with_quality(what: Summary, counts: float, mito: float) -> Summary:
    """``what`` with the same counts, genes and mitochondrial share in every cell."""
    n_cells = what.n_cells
    same = Quality(
        np.full(n_cells, counts), np.full(n_cells, counts // 2, np.int32), np.full(n_cells, mito, np.float32)
    )
    return replace(what, quality=same)


@pytest.mark.parametrize("n_cells", [1, 2, 200])
@pytest.mark.parametrize("counts", [0, 1, 500])
def test_a_violin_of_equal_values_is_a_dot_and_shows_nothing_below_zero(n_cells: int, counts: float) -> None:
    what = with_quality(summary(n_cells=n_cells, n_clusters=1), counts, 0)
    if not counts:
        what = replace(what, quality=replace(what.quality, percent_mito=None))
    with style.canvas(what, "", quality.VIOLIN_HEIGHT) as figure:
        quality.draw_violin(figure, what)
        for axes in figure.axes:
            assert not axes.findobj(PolyCollection), "a shape where there is no spread"
            assert axes.get_ylim()[0] >= 0


def test_of_very_many_clusters_the_largest_are_named_and_the_others_told(tmp_path: Path) -> None:
    what = summary(n_cells=3_000, n_clusters=150)
    made = {figure.name: figure for figure in draw(what, tmp_path, ("png",)).figures}
    assert made["rank_gene_groups"].height < 2_900
    assert "60 clusters, the largest of 150" in made["rank_gene_groups"].alt
    assert "the 60 largest numbered by size" in made["umap"].alt
    assert max(figure.path.stat().st_size for figure in made.values()) < MOST_BYTES


def test_cells_without_counts_count_for_the_median_and_are_told_where_a_log_axis_has_no_place_for_them() -> None:
    what = summary(n_cells=301)
    counts = np.where(np.arange(301) < 151, 0, 10 ** (np.arange(301) / 60))
    what = replace(what, quality=replace(what.quality, n_counts=counts))
    with style.canvas(what, "", quality.VIOLIN_HEIGHT) as figure:
        alt = quality.draw_violin(figure, what)
    assert "counts per cell 0.0 (151 cells with 0 not shown)" in alt


def test_many_cells_are_drawn_as_one_image_with_every_cluster_in_it() -> None:
    what = summary(n_cells=style.MOST_DOTS + 1, n_clusters=7)
    with style.canvas(what, "", maps.PCA_HEIGHT) as figure:
        maps.draw_pca(figure, what)
        (image,) = figure.axes[0].images
        assert set(np.ma.compressed(np.ma.asarray(image.get_array()))) == set(range(7))


def test_text_stands_out_from_the_background() -> None:
    assert contrast(style.INK, "white") > 7  # WCAG 2.2, enhanced
    assert contrast(style.ACCENT, "white") > 3  # the same, graphics


def contrast(one: ColorType, other: ColorType) -> float:
    """Contrast ratio by WCAG 2.2, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: ColorType) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""OKLab (Ottosson 2020)."""
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
"""Linear RGB as seen with a full deficiency (Machado, Oliveira & Fernandes 2009)."""


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_thirty_colours_stay_apart_whatever_colours_a_reader_sees(deficiency: str) -> None:
    rgb = np.array([to_rgb(colour) for colour in style.PALETTE])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ DEFICIENCIES[deficiency].T, 0, 1)
    lab = np.cbrt(seen @ TO_LMS.T) @ TO_LAB.T
    distances = [float(np.linalg.norm(a - b)) for a, b in itertools.combinations(lab, 2)]
    assert len(style.PALETTE) == len(set(style.PALETTE)) == 30
    assert min(distances) > 0.04


def test_a_growing_summary_gives_the_same_pictures_each_as_soon_as_it_can_be_drawn(tmp_path: Path) -> None:
    whole = summary(SOME_CELLS, 3)
    early = replace(whole, components=None, clusters=None, embedding=None, markers=None)
    for folder in ("at once", "growing"):
        (tmp_path / folder).mkdir()
    draw(whole, tmp_path / "at once", ("png",))

    with Drawing(tmp_path / "growing", ("png",)) as drawing:
        drawing.show(early)
        drawing.show(replace(whole, embedding=None))
        drawing.show(whole)
        drawn = drawing.finish(whole)

    assert [figure.name for figure in drawn.figures] == [kind.name for kind in FIGURES]
    for figure in drawn.figures:
        assert figure.path.read_bytes() == (tmp_path / "at once" / figure.path.name).read_bytes()


def test_what_is_not_decided_yet_is_not_drawn(tmp_path: Path) -> None:
    early = replace(summary(SOME_CELLS, 3), components=None, clusters=None, embedding=None, markers=None)

    with Drawing(tmp_path, ("png",)) as drawing:
        drawing.show(early)
        drawn = drawing.finish(early)

    later = {"pca", "umap", "rank_gene_groups", "cluster_sizes", "cell_types", "marker_dot_plot"}
    assert {figure.name for figure in drawn.figures} == {kind.name for kind in FIGURES} - later


def test_a_figure_that_fails_is_heard_of(tmp_path: Path) -> None:
    with Drawing(tmp_path / "gone", ("png",)) as drawing:
        drawing.show(summary())
        with pytest.raises(FileNotFoundError):
            drawing.finish(summary())


def test_the_umap_says_that_places_and_clusters_are_from_a_sketch(tmp_path: Path) -> None:
    umap = next(kind for kind in FIGURES if kind.name == "umap")
    sketched = replace(summary(), sketch_cells=50_000)
    words = "from a sketch of 50,000 cells"

    texts, canvas, _ = drawn(umap, sketched)
    figures = {figure.name: figure for figure in draw(sketched, tmp_path, ("png",)).figures}

    extents = [extent for text, extent in texts if words in text.get_text()]
    assert len(extents) == 1
    assert canvas.x0 <= extents[0].x0 < extents[0].x1 <= canvas.x1
    assert f" Places and clusters are {words}." in figures["umap"].alt


def test_the_umaps_sentence_says_in_which_cluster_the_example_gene_is() -> None:
    what = summary(SOME_CELLS, 2)
    assert what.clusters is not None
    assert what.embedding is not None
    only_in_second = what.clusters.labels.astype(np.float32)
    what = replace(what, embedding=replace(what.embedding, example_expression=only_in_second))
    with style.canvas(what, maps.UMAP_HEADING, maps.UMAP_HEIGHT) as figure:
        told = maps.draw_umap(figure, what)
    share = f"{100 * only_in_second.mean():.0f} %"
    assert told.endswith(f" is found in {share} of the cells, of cluster 1 in 100 % and of cluster 0 in 0 %.")
