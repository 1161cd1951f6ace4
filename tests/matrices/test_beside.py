"""Tables beside a bare matrix are told by their names, and nobody else's are taken."""

from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import scipy.sparse

from shared.companions import choose
from shared.errors import CorruptMatrixError, UnsupportedFormatError
from shared.manifest import Input
from tests.matrices.building import CELLS, COUNTS, FEATURES, MARKET, assert_same, only_matrix, whole, zipped
from worker.fetch import Fetched
from worker.gather import Gathered, gather

IDS = b"".join(b"ENSG0000000000%d\tENSG0000000000%d\n" % (n, n) for n in (1, 2, 3))
"""The EBI's table of rows: ids twice, no header."""


def fetched(folder: Path, files: dict[str, bytes], place: str = "s3://bucket/run") -> list[Fetched]:
    """Files of a message, as they lie here."""
    items = []
    for number, (name, content) in enumerate(files.items()):
        path = folder / f"input-{number}"
        path.write_bytes(content)
        known = Input(uri=f"{place}/{name}", version=f"v{number}", size_bytes=len(content), sha256="")
        items.append(Fetched(path, known))
    return items


def gathered(folder: Path, items: list[Fetched]) -> Gathered:
    """What a project of these files comes to."""
    scratch = folder / "scratch"
    scratch.mkdir()
    return gather("project", items, scratch)


def counts_of(found: Gathered) -> scipy.sparse.csr_array:
    """The counts of the only library of the only group."""
    ((cells,),) = (group.libraries for group in found.groups)
    blocks = list(cells.store.blocks())
    shape = (-1, len(cells.genes))
    parts = [scipy.sparse.csr_array((b.values, b.indices, b.indptr), shape=(b.n_cells, shape[1])) for b in blocks]
    return scipy.sparse.vstack(parts, format="csr")


@pytest.mark.parametrize(
    ("matrix", "others", "features", "cells"),
    [
        ("matrix.mtx.gz", ("features.tsv.gz", "barcodes.tsv.gz"), "features.tsv.gz", "barcodes.tsv.gz"),
        ("GSM1.mtx", ("GSM10_genes.tsv", "GSM1_genes.tsv", "GSM1_cells.csv"), "GSM1_genes.tsv", "GSM1_cells.csv"),
        ("GSM1_matrix.mtx", ("genes.tsv", "GSM1_genes.tsv", "GSM2_cells.tsv"), "GSM1_genes.tsv", None),
        ("E-X.agg.mtx.gz", ("E-X.agg.mtx_cols", "E-X.agg.mtx_rows.gz"), "E-X.agg.mtx_rows.gz", "E-X.agg.mtx_cols"),
        ("x.mtx", ("x_rows.csv", "x_cols.csv", "arrows.csv"), "x_rows.csv", "x_cols.csv"),
        ("p.mtx.gz", ("p.genes.tsv.gz", "p.features.tsv.gz", "p.txt"), "p.genes.tsv.gz", None),
        ("a/matrix.mtx", ("b/genes.tsv", "genes.tsv"), None, None),
    ],
)
def test_tables_are_chosen_by_folder_and_name(
    matrix: str, others: tuple[str, ...], features: str | None, cells: str | None
) -> None:
    chosen = choose(PurePosixPath(matrix), map(PurePosixPath, others), alone=False)

    assert chosen.features == (PurePosixPath(features) if features else None)
    assert chosen.cells == (PurePosixPath(cells) if cells else None)


def test_the_only_matrix_of_a_folder_takes_tables_of_any_name() -> None:
    others = [PurePosixPath("my_genes.tsv"), PurePosixPath("my_cells.tsv")]

    assert choose(PurePosixPath("matrix.mtx"), others, alone=True).paths == tuple(others)
    assert choose(PurePosixPath("matrix.mtx"), others, alone=False).paths == ()


def test_a_message_of_a_matrix_and_its_tables_is_one_matrix_and_all_are_inputs(tmp_path: Path) -> None:
    files = {"genes.tsv": FEATURES, "matrix.mtx": MARKET, "barcodes.tsv": CELLS, "features.tsv": FEATURES}

    found = gathered(tmp_path, fetched(tmp_path, files))

    assert_same(counts_of(found), COUNTS)
    assert [known.version for known in found.inputs] == ["v0", "v1", "v2", "v3"]
    assert [known.format for known in found.inputs] == [
        "table beside a MatrixMarket file",
        "MatrixMarket",
        "table beside a MatrixMarket file",
        "table beside a MatrixMarket file",
    ]
    assert "genes from input-0, cells from input-2" in found.inputs[1].reading[0]


def test_a_message_of_two_matrices_with_tables_of_their_own_keeps_them_apart(tmp_path: Path) -> None:
    files = {
        "a_matrix.mtx": MARKET,
        "b_matrix.mtx": MARKET,
        "genes.tsv": FEATURES,
        "b_barcodes.tsv": CELLS.replace(b"cell", b"other"),
        "a_barcodes.tsv": CELLS,
    }

    found = gathered(tmp_path, fetched(tmp_path, files))

    ((cells,),) = (group.libraries for group in found.groups)
    assert cells.cells.ids.tolist() == [f"{name}-{n}" for name in ("cell", "other") for n in (1, 2, 3, 4)]
    assert_same(counts_of(found), np.vstack([COUNTS, COUNTS]))


def test_a_table_that_was_found_beside_is_named_in_the_reading_and_no_input(tmp_path: Path) -> None:
    matrix, genes, cells = fetched(tmp_path, {"x.mtx": MARKET, "x.genes.tsv": FEATURES, "x.cells.tsv": CELLS})

    found = gathered(tmp_path, [Fetched(matrix.path, matrix.input, (genes, cells))])

    (known,) = found.inputs
    assert known.reading[0].startswith("s3://bucket/run/x.genes.tsv was found beside it (version v1, 63 bytes, sha256")
    assert_same(counts_of(found), COUNTS)


@pytest.mark.parametrize("swapped", [False, True])
def test_rows_and_columns_of_the_expression_atlas_are_genes_and_cells_by_their_ids(
    tmp_path: Path, *, swapped: bool
) -> None:
    rows, columns = (CELLS, IDS) if swapped else (IDS, CELLS)
    lines = MARKET.splitlines()
    turned = [b" ".join([column, row, value]) for row, column, value in map(bytes.split, lines[2:])]
    market = b"\n".join([lines[0], *turned, b""]) if swapped else MARKET
    path = zipped(tmp_path / "a.zip", {"E-X.mtx": market, "E-X.mtx_rows": rows, "E-X.mtx_cols": columns})

    matrix = only_matrix(path, tmp_path)

    assert matrix.genes.ids.tolist() == [f"ENSG0000000000{n}" for n in (1, 2, 3)]
    assert matrix.cells.ids.tolist() == CELLS.decode().split()
    assert_same(whole(matrix), COUNTS)


@pytest.mark.parametrize(
    ("left", "error", "named"),
    [
        ((), UnsupportedFormatError, r"input-0: a MatrixMarket file without its tables .* send one zip or tar\.gz"),
        (("genes.tsv",), CorruptMatrixError, r"the table of cells \(barcodes\.tsv or cells\.tsv\) is missing beside"),
        (("cells.tsv",), CorruptMatrixError, r"the table of genes \(features\.tsv or genes\.tsv\) is missing beside"),
    ],
)
def test_missing_tables_are_named_with_the_remedy(
    left: tuple[str, ...], error: type[Exception], named: str, tmp_path: Path
) -> None:
    files = {"matrix.mtx": MARKET, **dict.fromkeys(left, FEATURES)}

    with pytest.raises(error, match=named):
        gathered(tmp_path, fetched(tmp_path, files))
