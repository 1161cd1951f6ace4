"""Matrices with too little in them give what is possible, and say in plain words why not the rest."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.sparse.csgraph import connected_components
from sklearn.manifold import trustworthiness
from sklearn.metrics import silhouette_score
from sklearn.neighbors import NearestNeighbors

from shared.pipeline import VARIABLE_GENES
from tests.stats.in_memory import SUBJECT, InMemory, genes, names, summary_of
from worker.matrices.matrix import Cells, Genes
from worker.stats import embedding, markers, neighborhood, neighbors, variable_genes
from worker.stats.markers import GRID_CLUSTERS
from worker.stats.moments import Moments
from worker.stats.summarize import summarize
from worker.stats.summary import Clusters, Markers, VariableGenes
from worker.stats.variable_genes import MOST_EQUALS

BEYOND_QUALITY = {"variable_genes", "components", "clusters", "embedding", "example_gene", "markers"}
NAN_MEANS_UNVARYING = {"dispersions", "dispersions_norm"}


def random_counts(cells: int, genes: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).poisson(1.5, (cells, genes))


def two_kinds(cells: int, genes: int) -> Any:
    """Counts of two kinds of cells, each with half of the genes ten times as high."""
    rates = np.ones((cells, genes))
    rates[: cells // 2, : genes // 2] = rates[cells // 2 :, genes // 2 :] = 10
    return np.random.default_rng(0).poisson(rates)


def not_finite(value: Any) -> list[str]:
    """The names of numeric fields, at any depth, that hold something that cannot be drawn."""
    if not is_dataclass(value):
        return []
    found = []
    for field in fields(value):
        inner = getattr(value, field.name)
        found += not_finite(inner)
        numeric = isinstance(inner, np.ndarray) and inner.dtype != object
        if numeric and field.name not in NAN_MEANS_UNVARYING and not np.isfinite(inner).all():
            found.append(field.name)
    return found


def test_one_cell_has_quality_and_top_genes_only() -> None:
    summary = summary_of([[3, 0, 1]])

    assert summary.quality.n_counts.tolist() == [4]
    assert summary.top_genes is not None
    assert summary.top_genes.mean_percent.tolist() == pytest.approx([75, 25])
    assert {summary.missing[name] for name in BEYOND_QUALITY} == {
        "there is only one cell, and variation needs at least two"
    }


def test_two_cells_have_one_component_and_one_cluster() -> None:
    summary = summary_of(random_counts(2, 30))

    assert summary.components is not None
    assert summary.components.scores.shape == (2, 1)
    assert summary.components.variance_ratio == pytest.approx([1])
    assert summary.clusters is not None
    assert summary.clusters.sizes.tolist() == [2]
    assert summary.embedding is not None
    assert not_finite(summary) == []
    assert "one cluster" in summary.missing["markers"]


@pytest.mark.parametrize("cells", [3, 4, 5, 6, 7, 14, 15, 16])
def test_few_cells_have_one_component_less_than_cells(cells: int) -> None:
    summary = summary_of(random_counts(cells, 40))

    assert summary.components is not None
    assert summary.components.scores.shape == (cells, cells - 1)
    assert summary.embedding is not None
    assert summary.embedding.coordinates.shape == (cells, 2)
    assert not_finite(summary) == []


def test_few_genes_have_one_component_less_than_genes() -> None:
    summary = summary_of(random_counts(60, 8))

    assert summary.components is not None
    assert summary.components.scores.shape == (60, 7)
    assert not_finite(summary) == []


def test_a_single_gene_is_all_of_every_cell_and_does_not_vary() -> None:
    summary = summary_of([[1], [2], [7]])

    assert summary.top_genes is not None
    assert summary.top_genes.boxes.tolist() == [[100] * 5]
    assert summary.missing["variable_genes"] == "no gene varies between the cells"


def test_a_single_gene_that_varies_gives_no_components() -> None:
    summary = summary_of([[1], [0], [7]])

    assert summary.variable_genes is not None
    assert summary.variable_genes.chosen.tolist() == [True]
    assert "only one gene varies" in summary.missing["components"]
    assert summary.missing["embedding"] == summary.missing["components"]


def test_equal_cells_have_no_variable_genes() -> None:
    summary = summary_of(np.tile([1, 7, 0, 3, 11], (20, 1)))

    assert summary.missing["variable_genes"] == "no gene varies between the cells"
    assert summary.top_genes is not None


def test_equals_of_the_last_variable_gene_are_chosen_with_it_but_not_without_end() -> None:
    chosen = [_n_chosen(n_genes) for n_genes in (VARIABLE_GENES + 500, 3 * VARIABLE_GENES)]

    assert chosen == [VARIABLE_GENES + 490, MOST_EQUALS * VARIABLE_GENES]


def _n_chosen(n_genes: int) -> int:
    """Of genes that vary alike, but for a few that vary less."""
    squares = np.full(n_genes, 1.0)
    squares[:10] = 0.8
    found = variable_genes.find(Moments(2, np.ones(n_genes), squares), genes(n_genes))
    assert isinstance(found, VariableGenes)
    return int(found.chosen.sum())


def test_cells_without_a_count_are_summarised_among_others() -> None:
    counts = two_kinds(60, 40)
    counts[[0, 5, 30, 59]] = 0
    mito = np.arange(40) < 4

    summary = summary_of(counts, mito=mito)

    assert summary.quality.n_counts[[0, 5, 30, 59]].tolist() == [0] * 4
    assert summary.quality.percent_mito is not None
    assert summary.quality.percent_mito[[0, 5, 30, 59]].tolist() == [0] * 4
    assert summary.clusters is not None
    assert int(summary.clusters.sizes.sum()) == 60
    assert not_finite(summary) == []


def test_many_cells_without_a_count_lie_in_one_place_and_still_have_coordinates() -> None:
    counts = two_kinds(80, 40)
    counts[::2] = 0

    summary = summary_of(counts)

    assert summary.embedding is not None
    assert not_finite(summary) == []


def test_no_counts_at_all_give_no_statistics_but_quality() -> None:
    summary = summary_of(np.zeros((5, 4)), mito=np.array([True, False, False, False]))

    assert summary.quality.n_genes.tolist() == [0] * 5
    nothing = BEYOND_QUALITY | {"top_genes", "percent_mito"}
    assert {summary.missing[name] for name in nothing} == {"none of the cells has a count"}
    assert summary.quality.percent_mito is None


@pytest.mark.parametrize("mito", [None, np.zeros(10, np.bool_)], ids=["not known", "none"])
def test_without_mitochondrial_genes_there_is_no_share_and_a_reason(mito: npt.NDArray[np.bool_] | None) -> None:
    summary = summary_of(random_counts(20, 10), mito=mito)

    assert summary.quality.percent_mito is None
    assert summary.missing["percent_mito"] == "no gene of the matrix is known to be mitochondrial"


def test_percent_mito_is_in_percent() -> None:
    summary = summary_of([[1, 3], [5, 0], [0, 2]], mito=np.array([True, False]))

    assert summary.quality.percent_mito is not None
    assert summary.quality.percent_mito.tolist() == [25, 100, 0]


def test_a_mouse_gene_is_the_example_by_its_own_spelling() -> None:
    symbols = names("Gene", 40)
    symbols[7] = "Cst3"

    summary = summary_of(two_kinds(60, 40), symbols)

    assert summary.embedding is not None
    assert summary.embedding.example_gene == "Cst3"


def test_the_example_gene_is_a_marker_of_the_largest_cluster_where_cst3_has_no_counts() -> None:
    symbols = names("GENE", 40)
    symbols[7] = "CST3"
    counts = two_kinds(60, 40)
    counts[:, 7] = 0

    summary = summary_of(counts, symbols)

    assert summary.markers is not None
    assert summary.embedding is not None
    assert summary.embedding.example_gene == summary.markers.symbols[0, 0]
    assert summary.embedding.example_expression is not None
    assert summary.embedding.example_expression.max() > 0


@pytest.mark.parametrize("parts", [2, 7])
def test_parts_of_a_graph_that_falls_apart_are_laid_out_apart(parts: int) -> None:
    part_of = np.repeat(np.arange(parts), 40)
    scores = np.random.default_rng(0).normal(size=(len(part_of), 10)).astype(np.float32)
    scores[np.arange(len(part_of)), part_of] += 50
    connected = neighborhood.connect(scores)
    assert connected_components(connected.graph)[0] == parts

    coordinates = embedding.lay_out(connected)

    assert silhouette_score(coordinates, part_of) > 0.5


def test_a_graph_that_is_a_ring_has_coordinates_though_its_eigenvalues_are_paired() -> None:
    turns = 2 * np.pi * np.arange(64) / 64
    scores = np.column_stack((np.cos(turns), np.sin(turns))).astype(np.float32)

    coordinates = embedding.lay_out(neighborhood.connect(scores))

    assert np.isfinite(coordinates).all()
    assert trustworthiness(scores, coordinates, n_neighbors=5) > 0.9


def test_neighbors_of_cells_in_one_place_are_at_distance_zero() -> None:
    scores = np.repeat(np.random.default_rng(0).normal(size=(10, 6)), 3, axis=0).astype(np.float32)

    found = neighbors.nearest(scores, 2)

    assert (found.distances == 0).all()
    assert (found.indices // 3 == np.arange(30)[:, np.newaxis] // 3).all()
    assert (found.indices != np.arange(30)[:, np.newaxis]).all()


def test_neighbors_are_found_across_the_blocks_that_are_searched() -> None:
    scores = np.random.default_rng(0).normal(size=(neighbors.CANDIDATES + neighbors.QUERIES + 7, 5)).astype(np.float32)
    distances, indices = NearestNeighbors(n_neighbors=15).fit(scores).kneighbors()

    found = neighbors.nearest(scores, 15)

    assert np.array_equal(found.indices, indices)
    assert np.allclose(found.distances, distances, rtol=1e-5)


def same(one: Any, other: Any) -> bool:
    if is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, np.ndarray) and one.dtype != object:
        return bool(one.tobytes() == other.tobytes())
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def test_the_same_counts_give_the_same_bytes() -> None:
    counts = two_kinds(200, 60)
    assert same(summary_of(counts), summary_of(counts))


def test_the_example_gene_is_the_marker_itself_where_others_have_its_id() -> None:
    genes = Genes(np.full(40, "ENSG", dtype=object), names("GENE", 40))

    *_, summary = summarize(InMemory(two_kinds(60, 40)), genes, None, Cells(names("c", 60)), SUBJECT, lambda _: None)

    assert summary.markers is not None
    assert summary.embedding is not None
    assert summary.markers.symbols[0, 0] == summary.embedding.example_gene != "GENE0"


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.int64, st.tuples(st.integers(1, 20), st.integers(1, 12)), elements=st.sampled_from([0, 0, 0, 1, 2, 40])
    )
)
def test_any_small_matrix_gives_each_statistic_or_a_reason(counts: Any) -> None:
    summary = summary_of(counts, mito=np.arange(counts.shape[1]) == 0)

    for name in ("top_genes", "variable_genes", "components", "clusters", "embedding", "markers"):
        assert (getattr(summary, name) is None) == (name in summary.missing)
    assert not_finite(summary) == []


@pytest.mark.parametrize(("clusters", "each"), [(2, 3), (12, 3), (18, 2), (40, 1), (70, 1)])
def test_the_grid_has_markers_of_every_cluster_as_many_as_have_room(clusters: int, each: int) -> None:
    labels = np.repeat(np.arange(clusters, dtype=np.int32), 3)
    rates = np.full((len(labels), 4 * clusters), 0.2)
    for cell, cluster in enumerate(labels):
        rates[cell, 4 * cluster : 4 * cluster + 4] = 30
    counts = InMemory(np.random.default_rng(0).poisson(rates))

    found = markers.rank(counts, genes(4 * clusters), Clusters(labels, np.bincount(labels).astype(np.int32)))

    assert isinstance(found, Markers)
    shown = min(clusters, GRID_CLUSTERS)
    assert found.grid.marks.tolist() == np.repeat(np.arange(shown), each).tolist()
    assert len(set(found.grid.symbols)) == shown * each
    assert found.grid.means.shape == found.grid.shares.shape == (shown, shown * each)
    place = int(np.flatnonzero(found.symbols[1] == found.grid.symbols[each])[0])
    assert found.grid.means[1, each] == pytest.approx(found.mean_in[1, place])
    assert found.grid.shares[1, each] == pytest.approx(found.share_in[1, place])
