"""What a user of scanpy would write for the same eight figures of the same archive: all of it in memory.

Run by ``tests.bench.speed`` as a program, which prints a line for each time that it went through: when it began and
ended by the system's monotonic clock, and the process's peak memory until then.
"""

import json
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse

from tests.bench.processes import own_peak_mib

SHOWN_GENE = "CST3"


def read(path: Path) -> Any:
    """Counts, cells by genes, of an archive of the HCA Matrix Service, by scanpy's own reader.

    Its peak is here: the file by scipy alone takes about half.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
        place = next(Path(folder).rglob("matrix.mtx.gz")).parent
        data = sc.read_mtx(place / "matrix.mtx.gz").T
        genes = pd.read_csv(place / "genes.tsv.gz", sep="\t", index_col="featurename")
        cells = pd.read_csv(place / "cells.tsv.gz", sep="\t", index_col="cellkey")
    data = AnnData(sparse.csr_matrix(data.X), cells, genes)
    data.var_names_make_unique()
    return data


def measure(data: Any) -> None:
    """Quality of cells."""
    data.var["mt"] = data.var_names.str.startswith("MT-")
    sc.pp.calculate_qc_metrics(data, qc_vars=["mt"], percent_top=None, log1p=False, inplace=True)


def draw_quality(data: Any, out: Path) -> None:
    """The figures of raw counts."""
    measures = ["n_genes_by_counts", "total_counts", "pct_counts_mt"]
    with _saved(out / "highest_expr_genes.png"):
        sc.pl.highest_expr_genes(data, n_top=20, show=False)
    with _saved(out / "violin.png"):
        sc.pl.violin(data, measures, multi_panel=True, show=False)
    with _saved(out / "scatter_genes_vs_counts.png"):
        sc.pl.scatter(data, "total_counts", "n_genes_by_counts", show=False)
    with _saved(out / "scatter_percentMitoGenes_vs_count.png"):
        sc.pl.scatter(data, "total_counts", "pct_counts_mt", show=False)


def analyse(data: Any) -> None:
    """Normalisation, variable genes, components, neighbours, clusters, layout and markers, by scanpy's tutorial."""
    sc.pp.normalize_total(data, target_sum=1e4)
    sc.pp.log1p(data)
    sc.pp.highly_variable_genes(data, flavor="seurat", n_top_genes=2_000)
    sc.pp.pca(data, n_comps=50)
    sc.pp.neighbors(data)
    sc.tl.leiden(data, flavor="igraph", n_iterations=2, directed=False)
    sc.tl.umap(data)
    sc.tl.rank_genes_groups(data, "leiden", method="t-test")


def draw_analysis(data: Any, out: Path) -> None:
    """The other figures."""
    with _saved(out / "highly_variable_genes.png"):
        sc.pl.highly_variable_genes(data, show=False)
    with _saved(out / "pca.png"):
        sc.pl.pca(data, color="leiden", show=False)
    with _saved(out / "umap.png"):
        sc.pl.umap(data, color=["leiden", SHOWN_GENE], show=False)
    with _saved(out / "rank_gene_groups.png"):
        sc.pl.rank_genes_groups(data, n_genes=20, sharey=False, show=False)


@contextmanager
def _saved(path: Path) -> Iterator[None]:
    yield
    plt.savefig(path, bbox_inches="tight")
    plt.close("all")


@click.command()
@click.argument("archive", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path, exists=True))
@click.option("--times", default=1, show_default=True, help="The second finds everything imported and compiled.")
def main(archive: Path, out: Path, times: int) -> None:
    """Draw the eight figures of ARCHIVE in the folder OUT."""
    mpl.use("agg")
    for _ in range(times):
        began = time.monotonic()
        data = read(archive)
        measure(data)
        draw_quality(data, out)
        analyse(data)
        draw_analysis(data, out)
        del data
        click.echo(json.dumps({"began": began, "ended": time.monotonic(), "peak_mib": own_peak_mib()}))


if __name__ == "__main__":
    main()
