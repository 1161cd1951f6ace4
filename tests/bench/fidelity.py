"""``make fidelity``: the worker's statistics beside those that scanpy computes in memory of the same archives.

Where scanpy draws lots, ours is held to what its own lots differ by. Clusters of Leiden are compared by the adjusted
Rand index (Hubert & Arabie 1985), ours with ten of scanpy's seeds, and each of these with the nine others: ours must
not be the odd one out, that is the median of its ten must not be below the lowest median of theirs. From 100,000 cells
on clusters and layout are also made by way of a sketch, of half the cells, and held to the same.

Layouts are compared by their trustworthiness (Venna & Kaski 2001) for 15 neighbours on scanpy's components, of cells
drawn by lot among all cells, and by how far clusters lie apart. Markers are those of our clusters, computed by both.
"""

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import numpy.typing as npt
import scanpy as sc
from scipy.spatial.distance import pdist
from sklearn.metrics import adjusted_rand_score

from shared.manifest import Input
from shared.pipeline import TOP_GENES
from tests.bench import scanpy_script
from tests.bench.findings import Finding, conclude
from tests.bench.interruption import unwound
from tests.bench.population import SAMPLE, SAMPLE_CELLS
from tests.bench.synthetic import CACHE, ensure
from worker.fetch import Fetched
from worker.gather import gather
from worker.matrices.mitochondria import mitochondrial
from worker.matrices.store import Store
from worker.stats import clusters, embedding
from worker.stats.neighborhood import connect
from worker.stats.summarize import summarize
from worker.stats.summary import Subject, Summary

DEFAULT_CELLS: Final = (SAMPLE_CELLS, 30_000)
SEEDS: Final = range(10)
COMPONENTS: Final = 40
LEAST_R: Final = 0.9999
SCORE_ERROR: Final = 1e-5
"""Relative, of a marker's score."""
TRUST_LOST: Final = 0.01
DISTANCE_CHANGED: Final = 1.4
"""Factor; scanpy's own seeds differ by 1.3."""
LEAST_SHARE: Final = 0.01
NEIGHBORS: Final = 15
QUERIES: Final = 3_000
"""Cells whose neighbours in the layout are looked at."""
QUERY_BATCH: Final = 100
SKETCHED_FROM: Final = 100_000
SKETCHED_SHARE: Final = 2
"""From so many cells on, one in so many is a sketch: fewer than the worker's own, which is harder."""

Labels = npt.NDArray[Any]
Places = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class Both:
    """One archive, ours and scanpy's: AnnData with Leiden of each seed in ``obs`` and markers of our clusters."""

    summary: Summary
    gene_ids: list[str]
    gene_counts: npt.NDArray[np.float64]
    theirs: Any
    their_gene_counts: npt.NDArray[np.float64]


def summarized(archive: Path) -> tuple[Summary, list[str], Store]:
    """The one library of an archive by our own way, its genes, and its store (whose file is gone)."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        known = Input(uri=archive.name, version="", size_bytes=archive.stat().st_size, sha256="")
        (group,) = gather("bench", [Fetched(archive, known)], Path(scratch)).groups
        (cells,) = group.libraries
        subject = Subject("bench", group.species, cells.library)
        mito = mitochondrial(cells.genes, group.species)
        *_, summary = summarize(cells.store, cells.genes, mito, cells.cells, subject, _tell)
    return summary, list(cells.genes.ids), cells.store


def computed(archive: Path) -> Both:
    """Both, in this process."""
    summary, gene_ids, store = summarized(archive)
    _tell("scanpy: from reading to markers")
    data = scanpy_script.read(archive)
    sums = np.asarray(data.X.sum(axis=0, dtype=np.float64)).ravel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy's own, of libraries to come
        scanpy_script.measure(data)
        scanpy_script.analyse(data)
        for seed in SEEDS:
            _tell(f"scanpy: Leiden, seed {seed}")
            name = f"seed {seed}"
            sc.tl.leiden(data, flavor="igraph", n_iterations=2, directed=False, random_state=seed, key_added=name)
        assert summary.clusters
        data.obs["ours"] = summary.clusters.labels.astype(str)
        sc.tl.rank_genes_groups(data, "ours", method="t-test", n_genes=TOP_GENES)
    return Both(summary, gene_ids, store.gene_counts, data, sums)


def compared(name: str, both: Both, types: Labels | None) -> list[Finding]:
    """All promises; ``types`` are the true ones, where they are known."""
    summary = both.summary
    assert summary.clusters
    assert summary.embedding
    found = [*_sums(both), *_variable_genes(both), *_components(both), *_markers(both)]
    found += [*_clusters(summary.clusters.labels, both, types), *_layout(summary.embedding.coordinates, both)]
    if summary.n_cells >= SKETCHED_FROM:
        found += _by_sketch(both, types)
    return [replace(each, what=f"{name}: {each.what}") for each in found]


def _sums(both: Both) -> list[Finding]:
    assert list(both.theirs.var["featurekey"]) == both.gene_ids
    cells = int(np.count_nonzero(both.summary.quality.n_counts != both.theirs.obs["total_counts"].to_numpy()))
    genes = int(np.count_nonzero(both.gene_counts != both.their_gene_counts))
    return [
        Finding("cells whose sum is another", cells, at_most=0, note=f"of {both.summary.n_cells:,}"),
        Finding("genes whose sum is another", genes, at_most=0, note=f"of {len(both.gene_ids):,}"),
    ]


def _variable_genes(both: Both) -> list[Finding]:
    assert both.summary.variable_genes
    ours = both.summary.variable_genes.chosen
    different = int(np.count_nonzero(ours != both.theirs.var["highly_variable"].to_numpy()))
    return [Finding("genes variable to one side only", different, at_most=0, note=f"of {np.count_nonzero(ours):,}")]


def _components(both: Both) -> list[Finding]:
    assert both.summary.components
    ours, theirs = both.summary.components.scores, both.theirs.obsm["X_pca"]
    r = [abs(float(np.corrcoef(ours[:, one], theirs[:, one])[0, 1])) for one in range(COMPONENTS)]
    worst = int(np.argmin(r))
    what = f"least |r| of the first {COMPONENTS} components"
    return [Finding(what, r[worst], at_least=LEAST_R, note=f"component {worst + 1}")]


def _markers(both: Both) -> list[Finding]:
    assert both.summary.markers
    ranked = both.theirs.uns["rank_genes_groups"]
    key_of = dict(zip(both.theirs.var_names, both.theirs.var["featurekey"], strict=True))
    others, errors = 0, []
    for cluster, (ids, scores) in enumerate(zip(both.summary.markers.ids, both.summary.markers.scores, strict=True)):
        theirs = ranked["scores"][str(cluster)]
        others += len(set(ids) - {key_of[name] for name in ranked["names"][str(cluster)]})
        errors.append(float(np.max(np.abs(scores - theirs) / np.abs(theirs))))
    clusters = f"of {len(errors)} clusters"
    largest = float(np.max(errors))  # not max(), which passes by a NaN
    return [
        Finding(f"markers that are not among scanpy's {TOP_GENES}", others, at_most=0, note=clusters),
        Finding("largest relative difference of their scores, rank by rank", largest, at_most=SCORE_ERROR),
    ]


def _by_sketch(both: Both, types: Labels | None) -> list[Finding]:
    assert both.summary.components
    sketch_cells = both.summary.n_cells // SKETCHED_SHARE
    _tell(f"clusters and layout by a sketch of {sketch_cells:,} cells")
    connected = connect(both.summary.components.scores, sketch_cells)
    found = [*_clusters(clusters.find(connected).labels, both, types), *_layout(embedding.lay_out(connected), both)]
    return [replace(each, what=f"by a sketch of {sketch_cells:,}, {each.what}") for each in found]


def _clusters(ours: Labels, both: Both, types: Labels | None) -> list[Finding]:
    theirs = [both.theirs.obs[f"seed {seed}"].to_numpy() for seed in SEEDS]
    medians = [
        float(np.median([adjusted_rand_score(one, other) for other in theirs if other is not one])) for one in theirs
    ]
    agreement = float(np.median([adjusted_rand_score(ours, other) for other in theirs]))
    numbers = sorted({len(set(labels)) for labels in theirs})
    found = [
        Finding(
            "Leiden, median ARI with scanpy's ten seeds",
            agreement,
            at_least=min(medians),
            note=f"scanpy's own {min(medians):.3f} to {max(medians):.3f}; {len(set(ours))} clusters, scanpy's"
            f" {numbers[0]} to {numbers[-1]}",
        )
    ]
    if types is not None:
        truth = [adjusted_rand_score(labels, types) for labels in theirs]
        note = f"scanpy's {min(truth):.3f} to {max(truth):.3f}"
        found.append(Finding("Leiden, ARI with the true types", adjusted_rand_score(ours, types), note=note))
    return found


def _layout(coordinates: Places, both: Both) -> list[Finding]:
    scores, layout = both.theirs.obsm["X_pca"], both.theirs.obsm["X_umap"]
    assert both.summary.clusters
    labels = both.summary.clusters.labels
    trust, distance = trustworthiness(scores, layout), farthest_clusters(layout, labels)
    return [
        Finding(
            "UMAP, trustworthiness",
            trustworthiness(scores, coordinates),
            at_least=trust - TRUST_LOST,
            note=f"scanpy's {trust:.4f}",
        ),
        Finding(
            "UMAP, distance of the farthest clusters by their spread",
            farthest_clusters(coordinates, labels),
            at_least=distance / DISTANCE_CHANGED,
            at_most=distance * DISTANCE_CHANGED,
            note=f"scanpy's {distance:.4g}",
        ),
    ]


def farthest_clusters(layout: Places, labels: Labels) -> float:
    """Distance of the two clusters farthest apart, by the spread of a cluster; of those with 1 % of the cells or more.

    It sees what trustworthiness does not: clusters hurled apart, each with its own neighbours.
    """
    sizes = np.bincount(labels)
    groups = [layout[labels == cluster] for cluster in np.flatnonzero(sizes >= LEAST_SHARE * len(labels))]
    spread = np.mean([group.std(axis=0) for group in groups])
    return float(pdist([group.mean(axis=0) for group in groups]).max() / spread)


def trustworthiness(scores: Places, layout: Places, most: int = QUERIES) -> float:
    """How far neighbours in the layout are neighbours by the scores: 1 if all are, of at most so many cells.

    As ``sklearn.manifold.trustworthiness``, which takes all cells and the square of their number in memory.
    """
    n_cells = len(scores)
    queries = np.random.default_rng(0).permutation(n_cells)[:most]
    intruders = 0
    for first in range(0, len(queries), QUERY_BATCH):
        batch = queries[first : first + QUERY_BATCH]
        near = np.argpartition(_distances(layout, batch), NEIGHBORS, axis=1)[:, :NEIGHBORS]
        by_scores = _distances(scores, batch)
        ranks = np.empty_like(by_scores, dtype=np.int64)
        np.put_along_axis(ranks, np.argsort(by_scores, axis=1), np.arange(1, n_cells + 1), axis=1)
        intruders += int(np.maximum(np.take_along_axis(ranks, near, axis=1) - NEIGHBORS, 0).sum())
    worst = len(queries) * NEIGHBORS * (2 * n_cells - 3 * NEIGHBORS - 1) / 2
    return 1 - intruders / worst


def _distances(places: Places, queries: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
    """Squared distances of some cells from all, (queries, cells); from itself a cell is infinitely far."""
    places = places.astype(np.float64)
    norms = np.einsum("ij,ij->i", places, places)
    squares: npt.NDArray[np.float64] = norms[queries, np.newaxis] - 2 * places[queries] @ places.T + norms
    squares[np.arange(len(queries)), queries] = np.inf
    return squares


def _tell(text: str) -> None:
    click.echo(text, err=True)


@click.command(context_settings={"show_default": True})
@click.argument("cells", nargs=-1, type=click.IntRange(1))
@click.option("--folder", default=CACHE, type=click.Path(path_type=Path, file_okay=False), help="Where matrices are.")
@click.option("--json", "as_json", is_flag=True)
def main(cells: Sequence[int], folder: Path, *, as_json: bool) -> None:
    """Print how matrices of so many CELLS compare; exit 1 where a promise is broken.

    3000 is pbmc3k, which is real; others are made, with known types.  [default: 3000 30000]
    """
    with unwound():
        found = []
        for n_cells in cells or DEFAULT_CELLS:
            if n_cells == SAMPLE_CELLS:
                found += compared("pbmc3k", computed(Path(str(SAMPLE))), None)
            else:
                made = ensure(n_cells, folder)
                found += compared(f"{n_cells:,} cells", computed(made.path), np.load(made.types))
        conclude(found, as_json=as_json)


if __name__ == "__main__":
    main()
