"""Made-up summaries of any size and shape, the same each time."""

import numpy as np

from worker.stats.markers import GRID_CLUSTERS, GRID_GENES
from worker.stats.summary import (
    CellTypes,
    Clusters,
    Components,
    Embedding,
    MarkerGrid,
    Markers,
    Quality,
    Subject,
    Summary,
    TopGenes,
    VariableGenes,
)

LONG_TYPE = "CD8-positive, alpha-beta memory T cell, number "
LONG_GENE = "AVeryLongGeneNameOfExactly40Characters-01"[:40]


def names(count: int, stem: str = "GENE") -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.array([f"{stem}{number}" for number in range(count)], dtype=object)


def grid(n_clusters: int, stem: str) -> MarkerGrid:
    """As many genes as a grid has at most."""
    rows = min(n_clusters, GRID_CLUSTERS)
    marks = np.sort(np.arange(max(rows, GRID_GENES)) % rows).astype(np.int32)
    share = np.random.default_rng(1).uniform(0, 1, (rows, len(marks)))
    return MarkerGrid(names(len(marks), "id-"), names(len(marks), stem), marks, 3 * share, share)


def types(clusters: "np.ndarray[tuple[int], np.dtype[np.int32]]", count: int) -> CellTypes:
    """Types of cells that go across clusters; of every tenth cell none is told."""
    labels = (clusters % count).astype(np.int32)
    labels[::10] = -1
    sizes = np.bincount(labels[labels >= 0], minlength=count)
    order = np.argsort(-sizes)
    places = np.append(np.argsort(order), -1).astype(np.int32)
    return CellTypes(names(count, LONG_TYPE), places[labels], sizes[order].astype(np.int32))


def summary(
    n_cells: int = 900,
    n_clusters: int = 8,
    gene_stem: str = "GENE",
    project_id: str = "3f0b6d7e-5a0c-4a39-9d0e-8d3c1a7be101",
    *,
    mito: bool = True,
    n_types: int = 5,
) -> Summary:
    """Clusters as blobs on a circle, counts spread over two decades."""
    random = np.random.default_rng(0)
    labels = np.sort(random.integers(0, n_clusters, n_cells)).astype(np.int32)
    angle = 2 * np.pi * labels / n_clusters
    plane = (10 * np.column_stack((np.cos(angle), np.sin(angle))) + random.normal(size=(n_cells, 2))).astype(np.float32)
    counts = np.rint(10 ** random.normal(3.3, 0.35, n_cells))
    genes = names(300, gene_stem)
    dispersions = random.normal(size=(2, 300))
    chosen = np.arange(300) < 60
    share = random.uniform(0, 1, (n_clusters, 20))
    return Summary(
        subject=Subject(project_id, "homo_sapiens", "10X"),
        cell_ids=names(n_cells, "cell"),
        n_genes=300,
        n_nonzero=n_cells * 30,
        quality=Quality(
            counts,
            np.rint(counts**0.85).astype(np.int32),
            random.gamma(2, 1.5, n_cells).astype(np.float32) if mito else None,
        ),
        top_genes=TopGenes(
            genes[:20], genes[:20], np.linspace(9, 1, 20), np.linspace(9, 1, 20)[:, None] * [0.1, 0.6, 1, 1.4, 2]
        ),
        variable_genes=VariableGenes(genes, genes, random.gamma(1, 0.5, 300), dispersions[0], dispersions[1], chosen),
        components=Components(plane, np.array([0.2, 0.1])),
        clusters=Clusters(labels, np.bincount(labels, minlength=n_clusters).astype(np.int32)),
        embedding=Embedding(plane, f"{gene_stem}7", random.gamma(1, 1, n_cells).astype(np.float32)),
        markers=Markers(
            np.tile(np.arange(20, dtype=np.int32), (n_clusters, 1)),
            np.tile(genes[:20], (n_clusters, 1)),
            np.tile(genes[:20], (n_clusters, 1)),
            grid(n_clusters, gene_stem),
            30 * share,
            2 * share,
            share / 100,
            5 * share,
            share,
            share,
            share / 3,
        ),
        cell_types=types(labels, n_types),
        missing={} if mito else {"percent_mito": "no gene of the matrix is known to be mitochondrial"},
    )
