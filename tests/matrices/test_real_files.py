"""Every real file against what scanpy, anndata and scipy read of it in memory."""

import gzip
import zipfile
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scanpy
import scipy.io

from shared.errors import NoRawCountsError
from tests.matrices.building import (
    MATRICES,
    SAMPLES,
    assert_same,
    members_of,
    only_matrix,
    opened,
    tarred,
    whole,
    zipped,
)
from worker.matrices.mitochondria import mitochondrial

pytestmark = [
    pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique:UserWarning"),
    pytest.mark.filterwarnings("ignore::anndata.OldFormatWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:The 'future.infer_string' option:DeprecationWarning"),
]


def test_the_matrix_service_archive_of_pbmc3k_equals_scipys_reading(tmp_path: Path) -> None:
    path = SAMPLES / "pbmc3k.homo_sapiens.mtx.zip"

    matrix = only_matrix(path, tmp_path)
    counts = whole(matrix)

    with zipfile.ZipFile(path) as archive:
        (market,) = (name for name in archive.namelist() if name.endswith("matrix.mtx.gz"))
        with archive.open(market) as packed, gzip.open(packed) as text:
            assert_same(counts, scipy.io.mmread(text, spmatrix=False).T)
        with archive.open(market.replace("matrix.mtx", "cells.tsv")) as packed:
            cells = pd.read_csv(packed, sep="\t", compression="gzip")
        with archive.open(market.replace("matrix.mtx", "genes.tsv")) as packed:
            genes = pd.read_csv(packed, sep="\t", compression="gzip")
    assert matrix.cells.ids.tolist() == cells["cellkey"].tolist()
    assert matrix.genes.ids.tolist() == genes["featurekey"].tolist()
    assert matrix.genes.symbols.tolist() == genes["featurename"].tolist()
    assert matrix.cells.library_labels is not None
    assert set(matrix.cells.library_labels) == {"10X v2 sequencing"}
    assert matrix.species == "homo_sapiens"


def test_13_genes_of_pbmc3k_are_mitochondrial(tmp_path: Path) -> None:
    matrix = only_matrix(SAMPLES / "pbmc3k.homo_sapiens.mtx.zip", tmp_path)

    found = mitochondrial(matrix.genes, matrix.species)
    assert found is not None
    assert found.sum() == 13
    assert all(symbol.startswith("MT-") for symbol in matrix.genes.symbols[found])


def test_the_loom_equals_its_own_matrix_and_carries_the_label_of_the_file(tmp_path: Path) -> None:
    path = MATRICES / "pbmc300.loom"

    matrix = only_matrix(path, tmp_path)

    with h5py.File(path) as file:
        assert_same(whole(matrix), file["matrix"][()].T)
        assert matrix.genes.symbols.tolist() == [name.decode() for name in file["row_attrs/Gene"][()]]
    assert matrix.genes.ids[0] == "ENSG00000243485"
    assert matrix.cells.ids[0] == "AAACATACAACCAC-1"
    assert matrix.cells.library_labels is not None
    assert set(matrix.cells.library_labels) == {"10x 3' v1"}
    assert matrix.species == "homo_sapiens"


@pytest.mark.parametrize(
    "path",
    [
        SAMPLES / "mouse_pancreas.mus_musculus.h5ad",
        SAMPLES / "oligodendroglioma.homo_sapiens.h5ad",
        MATRICES / "ensembl_ids_only.h5ad",
    ],
    ids=lambda path: path.name,
)
def test_an_h5ad_equals_anndatas_reading(path: Path, tmp_path: Path) -> None:
    matrix = only_matrix(path, tmp_path)

    expected = anndata.read_h5ad(path)
    assert_same(whole(matrix), expected.X)
    assert matrix.cells.ids.tolist() == expected.obs_names.tolist()
    assert matrix.genes.ids.tolist() == expected.var_names.tolist()


def test_mouse_mitochondrial_genes_are_found(tmp_path: Path) -> None:
    matrix = only_matrix(SAMPLES / "mouse_pancreas.mus_musculus.h5ad", tmp_path)

    found = mitochondrial(matrix.genes, "mus_musculus")

    assert found is not None
    assert found.sum() == 13


def test_ids_without_symbols_get_them_and_tell_species_and_mitochondria(tmp_path: Path) -> None:
    matrix = only_matrix(MATRICES / "ensembl_ids_only.h5ad", tmp_path)

    symbols = dict(zip(matrix.genes.ids, matrix.genes.symbols, strict=True))
    assert symbols["ENSG00000198888"] == "MT-ND1"
    assert any("of its 33,567 features are from GENCODE 48" in sentence for sentence in matrix.reading)
    assert matrix.species == "homo_sapiens"
    assert any("ids are of homo_sapiens" in sentence for sentence in matrix.reading)
    found = mitochondrial(matrix.genes, "homo_sapiens")
    assert found is not None
    assert found.sum() == 13


def test_expected_counts_of_a_full_length_method_keep_their_fractions_and_say_so(tmp_path: Path) -> None:
    matrix = only_matrix(SAMPLES / "oligodendroglioma.homo_sapiens.h5ad", tmp_path)

    counts = whole(matrix)

    assert np.mean(counts.data != np.rint(counts.data)) > 0.99
    assert "Taken as expected counts" in matrix.reading[-1]


def test_scaled_and_logged_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRawCountsError, match=r"raw\.X has fractions up to 6\.489.*X has negative values"):
        opened(SAMPLES / "no_raw_counts.h5ad", tmp_path)


def test_the_cell_ranger_3_h5_equals_scanpys_reading(tmp_path: Path) -> None:
    path = SAMPLES / "chr21.homo_sapiens.h5"

    matrix = only_matrix(path, tmp_path)

    expected = scanpy.read_10x_h5(path)
    assert_same(whole(matrix), expected.X)
    assert matrix.genes.ids.tolist() == expected.var["gene_ids"].tolist()
    assert matrix.genes.symbols.tolist() == expected.var_names.tolist()
    assert matrix.cells.ids.tolist() == expected.obs_names.tolist()
    assert matrix.species == "homo_sapiens"


def test_each_genome_of_a_cell_ranger_2_h5_is_a_matrix(tmp_path: Path) -> None:
    path = MATRICES / "cellranger2_two_genomes.h5"

    matrices = opened(path, tmp_path).matrices

    assert [(matrix.name, matrix.species) for matrix in matrices] == [
        ("another_genome", None),
        ("hg19_chr21", "homo_sapiens"),
    ]
    for matrix in matrices:
        assert_same(whole(matrix), scanpy.read_10x_h5(path, genome=matrix.name).X)


@pytest.mark.parametrize("name", ["cellranger2", "cellranger3"])
@pytest.mark.parametrize("packing", ["zip", "tar", "tar.gz"])
def test_a_cell_ranger_folder_equals_scanpys_reading(name: str, packing: str, tmp_path: Path) -> None:
    pack = zipped if packing == "zip" else tarred
    archive = pack(tmp_path / f"anything.{packing}", members_of(MATRICES / name))

    matrix = only_matrix(archive, tmp_path)

    expected = scanpy.read_10x_mtx(MATRICES / name, make_unique=False)
    assert_same(whole(matrix), expected.X)
    assert matrix.genes.symbols.tolist() == expected.var_names.tolist()
    assert matrix.genes.ids.tolist() == expected.var["gene_ids"].tolist()
    assert matrix.cells.ids.tolist() == expected.obs_names.tolist()
    assert matrix.name == name


def test_twelve_counts_are_a_matrix_in_hdf5_too(tmp_path: Path) -> None:
    path = MATRICES / "cellranger2.h5"

    assert_same(whole(only_matrix(path, tmp_path)), scanpy.read_10x_h5(path).X)


def test_antibodies_are_left_out_and_counted(tmp_path: Path) -> None:
    path = SAMPLES / "citeseq.homo_sapiens.tar.gz"

    matrix = only_matrix(path, tmp_path)
    counts = whole(matrix)

    assert counts.shape == (1_024, 100)
    assert "17 features that are no genes were left out (Antibody Capture)." in matrix.reading
    assert not any("TotalSeq" in symbol for symbol in matrix.genes.symbols)


def test_the_csv_with_a_short_header_equals_pandas_reading(tmp_path: Path) -> None:
    path = SAMPLES / "celseq2.csv.gz"

    matrix = only_matrix(path, tmp_path)

    expected = pd.read_csv(path)
    assert_same(whole(matrix), expected.to_numpy().T)
    assert matrix.genes.ids.tolist() == expected.index.tolist()
    assert matrix.cells.ids.tolist() == expected.columns.tolist()
    assert matrix.species == "homo_sapiens"
