"""The streamed statistics of a real matrix equal those that scanpy computes in memory."""

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.manifold import trustworthiness
from sklearn.metrics import adjusted_rand_score

from tests.bench.fidelity import DISTANCE_CHANGED, farthest_clusters
from tests.stats.conftest import SEEDS, Sample, Told
from worker.stats import embedding, neighborhood
from worker.stats.summary import Summary


def test_stages_are_told_in_order(told: Told) -> None:
    assert told.stages == [
        "quality",
        "variable_genes",
        "components",
        "neighbors",
        "clusters",
        "markers",
        "embedding",
    ]


def test_nothing_is_missing_of_a_whole_matrix(own: Summary) -> None:
    assert own.missing == {"cell_types": "the file does not say which types the authors found"}
    assert (own.n_cells, own.n_genes, own.n_nonzero) == (2_700, 32_738, 2_286_884)


def test_quality_of_cells_is_that_of_scanpy(own: Summary, reference: Any) -> None:
    assert np.array_equal(own.quality.n_counts, reference.obs["total_counts"])
    assert np.array_equal(own.quality.n_genes, reference.obs["n_genes_by_counts"])
    assert own.quality.percent_mito is not None
    assert np.allclose(own.quality.percent_mito, reference.obs["pct_counts_mito"], rtol=1e-5, atol=1e-6)


def test_top_genes_are_those_of_highest_expr_genes(own: Summary, reference: Any) -> None:
    assert own.top_genes is not None
    percent = reference.layers["percent"]
    mean = np.asarray(percent.mean(axis=0)).ravel()
    best = np.argsort(mean)[::-1][:20]

    assert list(own.top_genes.ids) == list(reference.var_names[best])
    assert np.allclose(own.top_genes.mean_percent, mean[best], rtol=1e-5)
    quartiles = np.percentile(percent[:, best].toarray(), [25, 50, 75], axis=0).T
    assert np.allclose(own.top_genes.boxes[:, 1:4], quartiles, rtol=1e-5)


def test_whiskers_of_top_genes_are_those_that_matplotlib_draws(own: Summary, reference: Any) -> None:
    from matplotlib.cbook import boxplot_stats  # noqa: PLC0415 - half a second, and only needed here

    assert own.top_genes is not None
    percent = reference.layers["percent"][:, reference.var_names.get_indexer(own.top_genes.ids)].toarray()
    drawn = [(box["whislo"], box["whishi"]) for box in boxplot_stats(percent)]
    assert np.allclose(own.top_genes.boxes[:, [0, 4]], drawn, rtol=1e-5)


def test_variable_genes_are_those_of_scanpy(own: Summary, reference: Any) -> None:
    assert own.variable_genes is not None
    assert np.array_equal(own.variable_genes.chosen, reference.var["highly_variable"])
    for ours, theirs in (("means", "means"), ("dispersions", "dispersions"), ("dispersions_norm", "dispersions_norm")):
        assert np.allclose(
            getattr(own.variable_genes, ours), reference.var[theirs], rtol=1e-4, atol=1e-5, equal_nan=True
        ), ours


def test_components_are_those_of_scanpy_but_for_signs(own: Summary, reference: Any) -> None:
    assert own.components is not None
    assert own.components.scores.shape == (2_700, 50)
    for component in range(40):
        r = np.corrcoef(own.components.scores[:, component], reference.obsm["X_pca"][:, component])[0, 1]
        assert abs(r) > 0.9999, component
    assert np.allclose(own.components.variance_ratio, reference.uns["pca"]["variance_ratio"], rtol=1e-4)


def test_connectivities_are_those_of_scanpy(reference: Any) -> None:
    scores = np.ascontiguousarray(reference.obsm["X_pca"], np.float32)

    ours = neighborhood.connect(scores).graph

    theirs = sparse.csr_array(reference.obsp["connectivities"])
    theirs.sort_indices()
    assert np.array_equal(ours.indptr, theirs.indptr)
    assert np.array_equal(ours.indices, theirs.indices)
    assert np.allclose(ours.data, theirs.data, rtol=1e-4, atol=1e-5)


def test_clusters_differ_from_those_of_scanpy_no_more_than_those_do_by_seed(own: Summary, reference: Any) -> None:
    assert own.clusters is not None
    theirs = [reference.obs[f"seed{seed}"] for seed in SEEDS]
    by_seed = [adjusted_rand_score(a, b) for a, b in itertools.combinations(theirs, 2)]

    by_route = [adjusted_rand_score(own.clusters.labels, labels) for labels in theirs]

    assert np.mean(by_route) >= min(by_seed)
    assert by_route[0] >= min(by_seed)


def test_the_layout_keeps_neighbours_as_well_as_that_of_umap_learn(own: Summary, reference: Any) -> None:
    assert own.embedding is not None
    scores = reference.obsm["X_pca"]
    theirs = trustworthiness(scores, reference.obsm["X_umap"], n_neighbors=15)
    ours = trustworthiness(scores, own.embedding.coordinates, n_neighbors=15)
    assert ours > theirs - 0.01


def test_clusters_lie_as_far_apart_as_umap_learn_lays_them(own: Summary, reference: Any) -> None:
    assert own.clusters is not None
    assert own.embedding is not None
    theirs = farthest_clusters(reference.obsm["X_umap"], own.clusters.labels)
    ours = farthest_clusters(own.embedding.coordinates, own.clusters.labels)
    assert theirs / DISTANCE_CHANGED < ours < theirs * DISTANCE_CHANGED


def test_the_curve_of_the_layout_is_that_of_umap_learn(reference: Any) -> None:
    params = reference.uns["umap"]["params"]
    assert embedding.curve() == pytest.approx((params["a"], params["b"]), rel=1e-4)


def test_the_example_gene_is_cst3_where_it_is_expressed(own: Summary, pbmc3k: Sample, reference: Any) -> None:
    assert own.embedding is not None
    assert own.embedding.example_gene == "CST3"
    assert own.embedding.example_expression is not None
    gene = int(np.flatnonzero(pbmc3k.genes.symbols == "CST3")[0])
    assert np.allclose(own.embedding.example_expression, reference.X[:, gene].toarray().ravel(), rtol=1e-5)


def test_markers_are_those_of_scanpy_for_the_same_clusters(own: Summary, reference: Any) -> None:
    assert own.markers is not None
    ranked = reference.uns["rank_genes_groups"]
    for cluster in range(len(own.markers.ids)):
        group = str(cluster)
        assert list(own.markers.ids[cluster]) == list(ranked["names"][group])
        assert np.allclose(own.markers.scores[cluster], ranked["scores"][group], rtol=1e-5)
        assert np.allclose(own.markers.p_adjusted[cluster], ranked["pvals_adj"][group], rtol=1e-3, atol=1e-300)
        assert np.allclose(own.markers.log_fold_changes[cluster], ranked["logfoldchanges"][group], rtol=1e-4)
        genes = list(own.markers.ids[cluster])
        assert np.allclose(own.markers.share_in[cluster], ranked["pts"].loc[genes, group])
        assert np.allclose(own.markers.share_out[cluster], ranked["pts_rest"].loc[genes, group])
