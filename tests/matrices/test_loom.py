"""loom files: which layer, which names, which chunks."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from shared.errors import CorruptMatrixError, NoRawCountsError
from tests.matrices.building import assert_same, only_matrix, opened, whole
from worker.matrices import dense

COUNTS = np.random.default_rng(2).poisson(0.6, (70, 40)).astype(np.float32)
TPM = (COUNTS / COUNTS.sum(1, keepdims=True) * 1e6).astype(np.float32)
EXPECTED = np.where(COUNTS > 0, COUNTS * 60 + np.random.default_rng(3).random(COUNTS.shape), 0).astype(np.float32)
METHOD = "library_preparation_protocol.library_construction_method.ontology_label"


def _written(path: Path, counts: np.ndarray[tuple[int, int], np.dtype[np.float32]], **options: object) -> h5py.File:
    file = h5py.File(path, "w")
    file.create_dataset("matrix", data=counts.T, **options)
    file["row_attrs/Gene"] = [b"Gene%d" % n for n in range(40)]
    file["row_attrs/Accession"] = [b"ENSMUSG%011d" % n for n in range(40)]
    file["col_attrs/CellID"] = [b"cell-%d" % n for n in range(70)]
    file.create_group("layers")
    return file


@pytest.mark.parametrize("chunks", [None, (8, 8), (40, 1), (1, 70), (40, 70)])
def test_counts_are_the_same_whatever_the_chunks(chunks: tuple[int, int] | None, tmp_path: Path) -> None:
    _written(tmp_path / "a.loom", COUNTS, chunks=chunks).close()

    matrix = only_matrix(tmp_path / "a.loom", tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids[2] == "ENSMUSG00000000002"
    assert matrix.genes.symbols[2] == "Gene2"
    assert matrix.cells.ids[2] == "cell-2"
    assert matrix.species == "mus_musculus"


@pytest.mark.parametrize("kind", ["u1", "i8", "f8"])
def test_bands_of_any_type_are_read_in_order(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.loom"
    n_genes, n_cells = 2_000, 9_000
    with h5py.File(path, "w") as file:
        matrix = file.create_dataset("matrix", (n_genes, n_cells), kind, chunks=(n_genes, 500), compression="gzip")
        matrix[7, 3], matrix[5, 3], matrix[1_999, 4_500], matrix[2, 8_999] = 4, 5, 6, 7
        file["row_attrs/Gene"] = [b"g%d" % n for n in range(n_genes)]
        file["col_attrs/CellID"] = [b"c%d" % n for n in range(n_cells)]

    counts = whole(only_matrix(path, tmp_path)).tocoo()

    assert sorted(zip(*counts.coords, counts.data, strict=True)) == [
        (3, 5, 5),
        (3, 7, 4),
        (4_500, 1_999, 6),
        (8_999, 2, 7),
    ]


def test_a_matrix_whose_chunks_run_along_all_cells_is_regrouped(tmp_path: Path) -> None:
    """A band of whole chunks would not fit in memory."""
    path = tmp_path / "a.loom"
    n_genes, n_cells = 3_000, 20_000
    with h5py.File(path, "w") as file:
        matrix = file.create_dataset("matrix", (n_genes, n_cells), "u1", chunks=(64, n_cells), compression="gzip")
        matrix[7, 3], matrix[2_999, 3], matrix[2, 19_999] = 4, 5, 6
        file["row_attrs/Gene"] = [b"g%d" % n for n in range(n_genes)]
        file["col_attrs/CellID"] = [b"c%d" % n for n in range(n_cells)]
    assert n_cells * n_genes * 4 > dense.TILE_BYTES

    counts = whole(only_matrix(path, tmp_path))

    assert counts.nnz == 3
    assert [counts[3, 7], counts[3, 2_999], counts[19_999, 2]] == [4, 5, 6]


def test_the_layer_of_estimated_counts_is_read_instead_of_tpm(tmp_path: Path) -> None:
    with _written(tmp_path / "a.loom", TPM) as file:
        file["layers/estimated_counts"] = EXPECTED.T

    matrix = only_matrix(tmp_path / "a.loom", tmp_path)

    assert_same(whole(matrix), EXPECTED)
    assert matrix.reading[0].startswith("Counts are taken from layers/estimated_counts")


def test_tpm_alone_is_refused_when_all_its_sums_have_been_seen(tmp_path: Path) -> None:
    _written(tmp_path / "a.loom", TPM).close()

    with pytest.raises(NoRawCountsError, match=r"whose sums are all about 1,000,000 .* TPM, CPM or the like"):
        whole(only_matrix(tmp_path / "a.loom", tmp_path))


def test_attributes_of_version_2_tell_method_and_species_of_all_cells(tmp_path: Path) -> None:
    with _written(tmp_path / "a.loom", COUNTS) as file:
        file.attrs[METHOD] = "10X v2 sequencing"
        file.attrs["donor_organism.genus_species"] = "Mus musculus"

    matrix = only_matrix(tmp_path / "a.loom", tmp_path)

    assert matrix.cells.library_labels is not None
    assert set(matrix.cells.library_labels) == {"10X v2 sequencing"}
    assert matrix.species == "mus_musculus"


def test_an_attribute_that_says_nothing_is_no_label(tmp_path: Path) -> None:
    with _written(tmp_path / "a.loom", COUNTS) as file:
        file.attrs[METHOD] = h5py.Empty("f")

    assert only_matrix(tmp_path / "a.loom", tmp_path).cells.library_labels is None


def test_a_column_attribute_tells_the_method_cell_by_cell(tmp_path: Path) -> None:
    labels = ["Smart-seq2", "10x 3' v3"] * 35
    with _written(tmp_path / "a.loom", COUNTS) as file:
        file[f"col_attrs/{METHOD}"] = [label.encode() for label in labels]

    found = only_matrix(tmp_path / "a.loom", tmp_path).cells.library_labels

    assert found is not None
    assert found.tolist() == labels


def test_what_a_cell_says_of_itself_counts_before_what_the_file_says_of_all(tmp_path: Path) -> None:
    labels = ["Smart-seq2", "10x 3' v3"] * 35
    with _written(tmp_path / "a.loom", COUNTS) as file:
        file.attrs[METHOD] = "10X v2 sequencing"
        file[f"col_attrs/{METHOD}"] = [label.encode() for label in labels]

    found = only_matrix(tmp_path / "a.loom", tmp_path).cells.library_labels

    assert found is not None
    assert found.tolist() == labels


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("row_attrs/Gene", [b"x"] * 39, r"/row_attrs/Gene has 39 entries, but the matrix 40"),
        ("col_attrs/CellID", [b"x"] * 71, r"/col_attrs/CellID has 71 entries, but the matrix 70"),
        ("col_attrs/CellID", np.zeros((70, 2)), r"col_attrs has no CellID or cell_names"),
    ],
)
def test_attributes_that_do_not_fit_are_named(path: str, value: object, message: str, tmp_path: Path) -> None:
    with _written(tmp_path / "a.loom", COUNTS) as file:
        del file[path]
        file[path] = value

    with pytest.raises(CorruptMatrixError, match=message):
        opened(tmp_path / "a.loom", tmp_path)
