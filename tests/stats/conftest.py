"""pbmc3k as it lies in the samples, our summary of it, and scanpy's: each made once for all tests."""

import gzip
import warnings
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import numpy.typing as npt
import pytest
import scanpy
from scipy import io, sparse

from shared import pipeline
from tests.stats.in_memory import SUBJECT, InMemory, names
from worker.matrices.matrix import Cells, Genes
from worker.stats.summarize import summarize
from worker.stats.summary import Summary

ARCHIVE = Path(__file__).parents[2] / "infra/local/samples/pbmc3k.homo_sapiens.mtx.zip"
SEEDS = range(6)
"""Leiden runs of the reference; the first is scanpy's default."""


@dataclass(frozen=True)
class Sample:
    """A real matrix: counts, genes, and which of them are mitochondrial."""

    counts: InMemory
    genes: Genes
    mito: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Told:
    """A summary, and the stages that were told on the way."""

    summary: Summary
    stages: list[str]


@pytest.fixture(scope="session")
def pbmc3k() -> Sample:
    """2,700 human blood cells, read without any of our own readers."""
    with zipfile.ZipFile(ARCHIVE) as archive:
        files = {Path(name).name: gzip.decompress(archive.read(name)) for name in archive.namelist()}
    matrix = sparse.csr_array(io.mmread(BytesIO(files["matrix.mtx.gz"]), spmatrix=False).T, dtype=np.float32)
    table = [line.split("\t") for line in files["features.tsv.gz"].decode().splitlines()]
    symbols = np.array([row[1] for row in table], object)
    mito = np.array([symbol.startswith("MT-") for symbol in symbols])
    return Sample(InMemory(matrix, block_cells=512), Genes(np.array([row[0] for row in table], object), symbols), mito)


@pytest.fixture(scope="session")
def told(pbmc3k: Sample) -> Told:
    """Our summary of pbmc3k."""
    stages: list[str] = []
    ids = names("cell", pbmc3k.counts.n_cells)
    *_, whole = summarize(pbmc3k.counts, pbmc3k.genes, pbmc3k.mito, Cells(ids), SUBJECT, stages.append)
    return Told(whole, stages)


@pytest.fixture(scope="session")
def own(told: Told) -> Summary:
    """Our summary of pbmc3k."""
    return told.summary


@pytest.fixture(scope="session")
def reference(pbmc3k: Sample, own: Summary) -> Any:
    """The AnnData that scanpy makes of pbmc3k, with our clusters beside its own for the markers.

    Costs 25 s of CPU, as umap-learn compiles anew in every process.
    """
    assert own.clusters is not None
    data = anndata.AnnData(sparse.csr_matrix(pbmc3k.counts.matrix))
    data.var_names = pbmc3k.genes.ids.tolist()
    data.var["mito"] = pbmc3k.mito
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.pp.calculate_qc_metrics(data, qc_vars=["mito"], percent_top=None, inplace=True)
        data.layers["percent"] = scanpy.pp.normalize_total(data, target_sum=100, inplace=False)["X"]
        scanpy.pp.normalize_total(data, target_sum=pipeline.TARGET_SUM)
        scanpy.pp.log1p(data)
        scanpy.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=pipeline.VARIABLE_GENES)
        scanpy.pp.pca(data)
        scanpy.pp.neighbors(data)
        for seed in SEEDS:
            scanpy.tl.leiden(
                data, flavor="igraph", n_iterations=2, directed=False, random_state=seed, key_added=f"seed{seed}"
            )
        scanpy.tl.umap(data)
        data.obs["own"] = own.clusters.labels.astype(str)
        scanpy.tl.rank_genes_groups(data, "own", method="t-test", n_genes=pipeline.TOP_GENES, pts=True)
    return data
