"""Cell Ranger's HDF5: genomes and kinds of features."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse

from shared.errors import CorruptMatrixError
from tests.matrices.building import assert_same, only_matrix, opened, whole

COUNTS = np.random.default_rng(1).poisson(0.7, (30, 12)).astype(np.int32)
KINDS = ["Gene Expression"] * 10 + ["Antibody Capture"] * 2


def _written(path: Path, genomes: list[str], kinds: list[str]) -> Path:
    counts = scipy.sparse.csr_array(COUNTS)
    with h5py.File(path, "w") as file:
        for part in ("data", "indices", "indptr"):
            file[f"matrix/{part}"] = getattr(counts, part)
        file["matrix/shape"] = COUNTS.shape[::-1]
        file["matrix/barcodes"] = [b"AAAC-%d" % n for n in range(30)]
        file["matrix/features/id"] = [b"id%d" % n for n in range(12)]
        file["matrix/features/name"] = [b"same"] * 12
        file["matrix/features/feature_type"] = [kind.encode() for kind in kinds]
        file["matrix/features/genome"] = [genome.encode() for genome in genomes]
    return path


def test_each_genome_is_a_matrix_of_its_species(tmp_path: Path) -> None:
    path = _written(tmp_path / "a.h5", ["GRCh38", "mm10"] * 5 + [""] * 2, KINDS)

    matrices = opened(path, tmp_path).matrices

    assert [(matrix.name, matrix.species) for matrix in matrices] == [
        ("GRCh38", "homo_sapiens"),
        ("mm10", "mus_musculus"),
    ]
    assert_same(whole(matrices[0]), COUNTS[:, 0:10:2])
    assert_same(whole(matrices[1]), COUNTS[:, 1:10:2])


def test_antibodies_are_left_out_and_equal_symbols_stay_apart(tmp_path: Path) -> None:
    matrix = only_matrix(_written(tmp_path / "a.h5", ["GRCh38"] * 10 + [""] * 2, KINDS), tmp_path)

    assert_same(whole(matrix), COUNTS[:, :10])
    assert matrix.genes.symbols.tolist() == ["same"] * 10
    assert matrix.genes.ids.tolist() == [f"id{n}" for n in range(10)]
    assert "2 features that are no genes were left out (Antibody Capture)." in matrix.reading


@pytest.mark.parametrize(("indices", "indptr"), [("i4", "i8"), ("i8", "i4"), ("u2", "u4"), ("u8", "u8")])
def test_indices_and_pointers_may_be_of_any_width(indices: str, indptr: str, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.h5", ["GRCh38"] * 12, ["Gene Expression"] * 12)
    with h5py.File(path, "r+") as file:
        for part, kind in (("indices", indices), ("indptr", indptr)):
            values = file[f"matrix/{part}"][()].astype(kind)
            del file[f"matrix/{part}"]
            file.create_dataset(f"matrix/{part}", data=values, chunks=(7,), compression="gzip", shuffle=True)

    assert_same(whole(only_matrix(path, tmp_path)), COUNTS)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("shape", (13, 30), r"matrix/shape is \[13, 30\], but there are 12 features and 30 barcodes"),
        ("barcodes", [b"x"] * 29, r"but there are 12 features and 29 barcodes"),
        ("features/name", [b"x"] * 11, r"lists of features have \[11, 12\] entries"),
        ("barcodes", [b"\xff"] * 30, r"/matrix/barcodes: no UTF-8 text"),
        ("indptr", np.zeros(31, int), r"indptr ends at 0, but there are"),
    ],
)
def test_a_file_that_contradicts_itself_is_corrupt(part: str, value: object, message: str, tmp_path: Path) -> None:
    path = _written(tmp_path / "a.h5", ["GRCh38"] * 12, KINDS)
    with h5py.File(path, "r+") as file:
        del file[f"matrix/{part}"]
        file[f"matrix/{part}"] = value

    with pytest.raises(CorruptMatrixError, match=message):
        opened(path, tmp_path)
