"""What is no matrix is told by its content, and named."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from tests.matrices.building import (
    CELLS,
    COUNTS,
    FEATURES,
    MARKET,
    MATRICES,
    assert_same,
    folder,
    gzipped,
    opened,
    tarred,
    whole,
    zipped,
)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "a web page, perhaps an error answer"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML, perhaps an error answer"),
        (b'{"message": "not found"}', "JSON"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"hello, this is\na letter, and nothing else\n", "text that is no table of numbers"),
        (b"\x00\x01\x02\x03" * 100, "binary data of an unknown kind"),
        (b"BZh91AY&SY", "bzip2"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"PK\x05\x06" + b"\0" * 18, "no matrix among its members"),
    ],
)
@pytest.mark.parametrize("name", ["x.h5ad", "x.mtx.zip", "x"])
def test_what_is_no_matrix_is_named_with_what_is_read(content: bytes, named: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnsupportedFormatError, match=rf"{named}.*read are: archives"):
        opened(path, tmp_path)


def test_a_gzipped_web_page_is_named_too(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress(b"<html></html>"))

    with pytest.raises(UnsupportedFormatError, match="a web page"):
        opened(path, tmp_path)


def test_an_empty_file_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    path.touch()

    with pytest.raises(EmptyMatrixError, match=r"x\.h5ad: the file has 0 bytes"):
        opened(path, tmp_path)


@pytest.mark.parametrize("name", ["pbmc300.loom", "ensembl_ids_only.h5ad", "cellranger2.h5"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_truncated_hdf5_is_corrupt(name: str, share: float, tmp_path: Path) -> None:
    content = (MATRICES / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])

    with pytest.raises(CorruptMatrixError, match=r"damaged or truncated HDF5 .*; send it again"):
        opened(path, tmp_path)


def test_an_archive_of_several_kinds_is_read_once_and_says_what_was_not_read(tmp_path: Path) -> None:
    members = {
        **folder(),
        "run/features.tsv": FEATURES,
        "data/x.h5ad": (MATRICES / "cellranger2.h5").read_bytes(),
        "data/x.csv": b"gene,a,b\nTP53,1,2\n",
        "README.txt": b"hello",
        "paper.pdf": b"%PDF-1.7",
    }

    file = opened(zipped(tmp_path / "a.zip", members), tmp_path)

    assert file.format == "zip of MatrixMarket"
    assert [matrix.name for matrix in file.matrices] == ["run"]
    assert file.reading == ("Not read of the archive: data/x.h5ad, data/x.csv, README.txt, paper.pdf.",)


def test_hdf5_that_holds_no_matrix_is_passed_over_in_an_archive(tmp_path: Path) -> None:
    molecules = tmp_path / "molecule_info.h5"
    with h5py.File(molecules, "w") as made:
        made["umi"] = [1, 2, 3]
    members = {
        "outs/molecule_info.h5": molecules.read_bytes(),
        "outs/filtered_feature_bc_matrix.h5": (MATRICES / "cellranger2.h5").read_bytes(),
        "outs/raw_feature_bc_matrix.h5": (MATRICES / "cellranger2.h5").read_bytes(),
    }

    file = opened(tarred(tmp_path / "a.tar.gz", members), tmp_path)

    assert [matrix.name for matrix in file.matrices] == ["outs/filtered_feature_bc_matrix.h5 hg19_chr21"]
    assert file.reading == (
        "Left out, as filtered matrices lie beside them: outs/raw_feature_bc_matrix.h5.",
        "Not read of the archive: outs/molecule_info.h5.",
    )


def test_an_archive_of_hdf5_without_a_matrix_says_what_is_in_it(tmp_path: Path) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as made:
        made["umi"] = [1, 2, 3]

    with pytest.raises(UnsupportedFormatError, match="HDF5 with umi in it; read are"):
        opened(zipped(tmp_path / "a.zip", {"other.h5": other.read_bytes()}), tmp_path)


def test_the_tables_of_the_second_generation_of_the_matrix_service_are_those_with_headers(tmp_path: Path) -> None:
    """Since October 2019 headerless ones of Cell Ranger's kind lie beside them."""
    run = folder()
    members = {
        "x/matrix.mtx": run["run/matrix.mtx"],
        "x/features.tsv": FEATURES,
        "x/barcodes.tsv": CELLS,
        "x/genes.tsv": b"featurekey\tfeaturename\nENSG1\tA\nENSG2\tB\nENSG3\tC\n",
        "x/cells.tsv": b"cellkey\tgenes_detected\na\t1\nb\t2\nc\t3\nd\t4\n",
    }

    (matrix,) = opened(zipped(tmp_path / "a.zip", gzipped(members)), tmp_path).matrices

    assert matrix.genes.symbols.tolist() == ["A", "B", "C"]
    assert matrix.cells.ids.tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize("genes_in_rows", [True, False])
def test_what_is_known_of_cells_and_lies_beside_their_counts_is_not_read_as_counts(
    tmp_path: Path, *, genes_in_rows: bool
) -> None:
    rng = np.random.default_rng(0)
    cells = [f"sample_{n}" for n in range(30)]
    genes = ["GAPDH", "ACTB", *(f"ENSG{n:011}" for n in range(2, 1_000))]
    counts = pd.DataFrame(rng.poisson(1, (30, 1_000)), cells, genes)
    known = {
        "umap.csv": pd.DataFrame(rng.normal(size=(30, 2)), cells, ["UMAP_1", "UMAP_2"]),
        "qc/quality.csv": pd.DataFrame(rng.integers(1, 99, (30, 2)), cells, ["good", "bad"]),
        "tags.csv": pd.DataFrame(rng.integers(1, 99, (4, 30)), ["CD4", "CD8A", "CD19", "HTO1"], cells),
    }
    tables = {"counts.csv": counts.T if genes_in_rows else counts, **known}
    members = {name: table.to_csv().encode() for name, table in tables.items()}

    file = opened(zipped(tmp_path / "a.zip", members), tmp_path)

    (matrix,) = file.matrices
    assert_same(whole(matrix), counts.to_numpy())
    assert file.reading == (
        "Left out, as another holds many more features of the same cells: tags.csv.",
        "Not read of the archive: umap.csv, qc/quality.csv.",
    )


def test_a_matrix_that_is_called_like_a_list_of_cells_is_one_all_the_same(tmp_path: Path) -> None:
    members = {"GSM1_T_cells.csv": b"gene,a,b\nGAPDH,1,2\nACTB,0,3\n", "GSM1_cells.csv": b"cell,sex\na,f\nb,m\n"}

    (matrix,) = opened(zipped(tmp_path / "a.zip", members), tmp_path).matrices

    assert_same(whole(matrix), np.array([[1, 0], [2, 3]]))


def test_tags_of_the_same_cells_are_left_out_and_cells_of_equal_names_are_not(tmp_path: Path) -> None:
    many = b"".join(b"ENSG%011d\tG%d\n" % (n, n) for n in range(1, 41))
    market = b"%%MatrixMarket matrix coordinate integer general\n40 4 2\n1 1 5\n3 2 2\n"
    barcodes = b"".join(b"AAACCTGAGCA%c-1\n" % letter for letter in b"ACGT")
    rna, tags = (market, many, barcodes), (MARKET, FEATURES, barcodes.replace(b"-1", b""))
    names = ("matrix.mtx", "genes.tsv", "barcodes.tsv")
    members = {
        f"{run}/{name}": content
        for run, contents in (("rna-1", rna), ("rna-2", rna), ("tags", tags))
        for name, content in zip(names, contents, strict=True)
    }

    file = opened(zipped(tmp_path / "a.zip", members), tmp_path)

    assert [matrix.name for matrix in file.matrices] == ["rna-1", "rna-2"]
    assert file.reading == ("Left out, as another holds many more features of the same cells: tags/matrix.mtx.",)


@pytest.mark.parametrize("separator", [b",", b"\t"])
@pytest.mark.parametrize("packing", ["plain", "gz", "zip"])
@pytest.mark.parametrize("genes_in_rows", [True, False])
def test_text_is_read_however_it_is_packed_and_either_way_round(
    separator: bytes, packing: str, tmp_path: Path, *, genes_in_rows: bool
) -> None:
    genes = [line.split("\t")[0] for line in FEATURES.decode().splitlines()]
    frame = pd.DataFrame(COUNTS.astype(int), CELLS.decode().split(), genes)
    content = (frame.T if genes_in_rows else frame).to_csv(sep=separator.decode()).encode()
    path = tmp_path / "x.txt"
    path.write_bytes(gzip.compress(content) if packing == "gz" else content)
    if packing == "zip":
        zipped(path, {"x.txt": content})

    (matrix,) = opened(path, tmp_path).matrices

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == genes


def test_a_square_matrix_has_cells_in_rows_where_its_tables_say_so(tmp_path: Path) -> None:
    ids = b"".join(b"ENSG0000000000%d\n" % n for n in (1, 2))
    market = b"%%MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 3\n1 2 5\n"

    for rows, columns, expected in ((ids, b"a\nb\n", [[3, 0], [5, 0]]), (b"a\nb\n", ids, [[3, 5], [0, 0]])):
        members = {"x.mtx": market, "x.mtx_rows": rows, "x.mtx_cols": columns}
        (matrix,) = opened(zipped(tmp_path / "a.zip", members), tmp_path).matrices
        assert_same(whole(matrix), np.array(expected))
        assert matrix.cells.ids.tolist() == ["a", "b"]
