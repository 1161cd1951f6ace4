"""Text matrices: which way round, which delimiter, what is wrong and where."""

import gzip
import io
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import CorruptMatrixError, EmptyMatrixError, NoRawCountsError, UnsupportedFormatError
from tests.matrices.building import assert_same, only_matrix, opened, whole
from worker.matrices import text
from worker.matrices.streams import file_source

COUNTS = np.array([[5, 0, 2], [0, 7, 0]], np.float32)
"""Two cells by three genes."""
IDS = [f"ENSG{n:011}" for n in range(3)]
BARCODES = ["AAACCTGAGCAT-1", "AAACCTGAGCTT-1"]


def _file(tmp_path: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def _csv(frame: pd.DataFrame, **options: object) -> str:
    buffer = io.StringIO()
    frame.to_csv(buffer, **options)  # type: ignore[call-overload]
    return buffer.getvalue()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("quoting", [0, 1], ids=["plain", "quoted"])
@pytest.mark.parametrize("genes_in_rows", [True, False])
def test_either_way_round_and_however_delimited(
    separator: str, end: str, quoting: int, *, genes_in_rows: bool, tmp_path: Path
) -> None:
    frame = pd.DataFrame(COUNTS, BARCODES, IDS)
    frame = frame.T if genes_in_rows else frame
    content = _csv(frame, sep=separator, lineterminator=end, quoting=quoting)

    matrix = only_matrix(_file(tmp_path, content), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == IDS
    assert matrix.cells.ids.tolist() == BARCODES


@pytest.mark.parametrize(
    ("content", "genes", "cells"),
    [
        ("gene,a,b\nx,5,0\ny,0,7\nz,2,0\n", ["x", "y", "z"], ["a", "b"]),
        ("cell_id,x,y,z\na,5,0,2\nb,0,7,0\n", ["x", "y", "z"], ["a", "b"]),
        (",a,b\nx,5,0\ny,0,7\nz,2,0\n", ["x", "y", "z"], ["a", "b"]),
        ("a,b\nx,5,0\ny,0,7\nz,2,0", ["x", "y", "z"], ["a", "b"]),
        (",GAPDH,ACTB,z\na,5,0,2\nb,0,7,0\n", ["GAPDH", "ACTB", "z"], ["a", "b"]),
        ("\ufeff,a,b\n\nx,5,0\n\ny,0,7\nz,2,0\n", ["x", "y", "z"], ["a", "b"]),
        (',"a ""1""",b\n"x,1",5,0\n"y ""2""",0,7\nz,2,0\n', ["x,1", 'y "2"', "z"], ['a "1"', "b"]),
        (",a,b\nx,5e0,0.0\ny,0,+7\nz, 2 ,0\n", ["x", "y", "z"], ["a", "b"]),
    ],
    ids=["gene corner", "cell corner", "no corner name", "short header", "known genes", "mark", "quotes", "numbers"],
)
def test_labels_corner_and_known_names_tell_which_side_the_genes_are(
    content: str, genes: list[str], cells: list[str], tmp_path: Path
) -> None:
    matrix = only_matrix(_file(tmp_path, content), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == genes
    assert matrix.cells.ids.tolist() == cells


def test_a_second_label_column_is_the_symbols(tmp_path: Path) -> None:
    rows = "".join(f"Gene{n}\t{IDS[n]}\t{COUNTS[0, n]}\t{COUNTS[1, n]}\n" for n in range(3))

    matrix = only_matrix(_file(tmp_path, f"name\tid\ta\tb\n{rows}"), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == IDS
    assert matrix.genes.symbols.tolist() == ["Gene0", "Gene1", "Gene2"]


@pytest.mark.parametrize(
    ("content", "passed_over"),
    [
        ("gene,length,entrez_id,a,b\nx,900,7157,5,0\ny,12,,0,7\nz,3,-1,2,0\n", "length, entrez_id"),
        ("Geneid,Chr,Start,End,Strand,Length,a,b\nx,1,1,9,+,8,5,0\ny,1,1;4,2,-,8,0,7\nz,1,1,9,+,8,2,0\n", "Length"),
        ("cell,x,nCount_RNA,y,z,UMAP_1,percent.mt\na,5,7,0,2,-1.5,nan\nb,0,7,7,0,2.5,1e-3\n", None),
        (',"x","seurat_clusters","y","z"\n"AAACCTGAGCAT-1",5,"3",0,2\n"AAACCTGAGCTT-1",0,"4",7,0\n', None),
    ],
    ids=["of genes", "featureCounts", "of cells", "quoted"],
)
def test_columns_that_are_called_like_no_counts_are_passed_over_and_named(
    content: str, passed_over: str | None, tmp_path: Path
) -> None:
    matrix = only_matrix(_file(tmp_path, content), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == ["x", "y", "z"]
    (said,) = [sentence for sentence in matrix.reading if "passed over" in sentence]
    assert passed_over is None or passed_over in said


@pytest.mark.parametrize(
    "content",
    ["GeneA\t0\t3\t0\nGeneB\t1\t0\t0\n", "ENSG00000000001,1,2\nENSG00000000002,3,4\n", "0,0,5\n3,0,1\n"],
    ids=["a row of counts", "a stable id over the labels", "no labels either"],
)
def test_a_table_without_a_header_is_refused_before_it_loses_its_first_row(content: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"a\.csv, line 1: a row of counts .*; send it with a header"):
        opened(_file(tmp_path, content), tmp_path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), shape=st.tuples(st.integers(1, 12), st.integers(1, 9)), genes_in_rows=st.booleans())
def test_what_pandas_writes_is_read_back(
    seed: int, shape: tuple[int, int], *, genes_in_rows: bool, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(1, shape) * rng.integers(1, 10**6, shape)
    counts[0, 0] = 1
    frame = pd.DataFrame(counts, [f"c{n}" for n in range(shape[0])], [f"g{n}" for n in range(shape[1])])
    frame = frame.rename_axis("cell").T.rename_axis("gene") if genes_in_rows else frame.rename_axis("cell")
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(_csv(frame).encode()))

    matrix = only_matrix(path, tmp_path)

    assert_same(whole(matrix), counts)
    assert matrix.cells.ids.tolist() == [f"c{n}" for n in range(shape[0])]


labels = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\t,;", exclude_categories=["C", "Z"]), max_size=8)
whole_numbers = st.one_of(
    st.sampled_from(["0", "0.0", "00", "1.0", " 3 ", '"4"', "5e0", "+6", "1.5E1", "12345678901234567890"]),
    st.integers(0, 10**18).map(str),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    rows=st.lists(st.tuples(labels, st.booleans(), st.tuples(*[whole_numbers] * 3)), min_size=1, max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    text_bytes=st.integers(1, 60),
    genes_in_rows=st.booleans(),
)
def test_a_table_reads_as_python_reads_it_wherever_a_block_of_text_ends(
    rows: list[tuple[str, bool, tuple[str, str, str]]],
    end: str,
    text_bytes: int,
    *,
    genes_in_rows: bool,
    tmp_path: Path,
) -> None:
    rows = [("first", False, ("1", "0", "0")), *rows]
    lines = [",".join((_quoted(label, quoted=quoted), *numbers)) for label, quoted, numbers in rows]
    corner = "gene" if genes_in_rows else "cell"
    path = _file(tmp_path, end.join([f"{corner},a,b,c", *lines]))
    room = tmp_path / f"room-{len(list(tmp_path.iterdir()))}"
    room.mkdir()

    matrix = text.open_text(file_source(path), room, text_bytes=text_bytes)

    expected = np.array([[float(number.strip('" ')) for number in numbers] for _, _, numbers in rows], np.float32)
    assert_same(whole(matrix), expected.T if genes_in_rows else expected)
    found = matrix.genes.ids if genes_in_rows else matrix.cells.ids
    assert found.tolist() == [label for label, _, _ in rows]


def _quoted(label: str, *, quoted: bool) -> str:
    return '"' + label.replace('"', '""') + '"' if quoted or '"' in label else label


def test_no_thread_is_left_when_a_late_row_is_wrong(tmp_path: Path) -> None:
    path = _file(tmp_path, ",a,b\n" + "x,1,2\n" * 500 + "x,1\n" + "x,1,2\n" * 500)
    before = threading.active_count()

    with pytest.raises(CorruptMatrixError, match=r"line 502, field 2: fewer than the 3 fields"):
        text.open_text(file_source(path), tmp_path, text_bytes=100)

    assert threading.active_count() == before


@pytest.mark.parametrize("genes_in_rows", [True, False])
def test_rows_longer_than_a_block_of_text_and_many_blocks_of_rows(*, genes_in_rows: bool, tmp_path: Path) -> None:
    n_columns = 5_000
    values = np.zeros((3, n_columns), np.uint8)
    values[[0, 1, 2, 2], [0, 5, 7, n_columns - 1]] = [1, 2, 3, 4]
    corner = "gene" if genes_in_rows else "cell"
    header = corner + "," + ",".join(map(str, range(n_columns)))
    rows = "".join(f"r{n},{','.join(map(str, row.tolist()))}\n" for n, row in enumerate(values))

    matrix = text.open_text(file_source(_file(tmp_path, f"{header}\n{rows}")), tmp_path, text_bytes=4_096)

    assert_same(whole(matrix), values.T if genes_in_rows else values)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (",a,b\nx,1,2\ny,3\n", CorruptMatrixError, r"line 3, field 2: fewer than the 3 fields of line 2"),
        (",a,b\nx,1,2\ny,3,4,5\n", CorruptMatrixError, r"line 3, field 3: more than the 3 fields"),
        (",a,b\nx,1,2\ny,3,?\n", CorruptMatrixError, r"line 3, field 3: expected a number, found “\?”"),
        (",a,b\nx,1,2\ny,3,\n", CorruptMatrixError, r"line 3, field 3: expected a number, found “”"),
        (",a,b\nx,1,2\ny,nan,4\n", CorruptMatrixError, r"line 3, field 2: expected a number, found “nan”"),
        (",a,b\nx,1,2\ny,3,-4\n", CorruptMatrixError, r"line 3, field 3: the count -4 is negative"),
        (",a,b\nx,1,2\ny,3,1e99\n", CorruptMatrixError, r"line 3, field 3: 1e\+99 is no count"),
        (",a,b\nx,1,2\ny,3,-0.5\n", NoRawCountsError, r"line 3, field 3: -0\.5 is negative and has a fraction"),
        (",a,b,c,d\nx,1,2\n", CorruptMatrixError, r"line 2: 3 fields, but the header has 5"),
        (",a,b\nx,1,2\ny\xff,3,4\n".encode("latin-1"), CorruptMatrixError, r"no UTF-8 text"),
        (",a,b\nx,0,0\n", EmptyMatrixError, r"all counts are zero"),
        (",a,b\n", EmptyMatrixError, r"a header and no rows"),
        ("name,age,town\nx,12,here\n", UnsupportedFormatError, r"text that is no table of numbers"),
    ],
)
def test_what_is_wrong_is_named_with_line_and_field(
    content: str | bytes, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        whole(only_matrix(_file(tmp_path, content), tmp_path))


def test_a_truncated_gzip_is_named_with_its_place(tmp_path: Path) -> None:
    rows = "".join(f"g{n},{n},{n + 1}\n" for n in range(20_000))
    packed = gzip.compress(f",a,b\n{rows}".encode())

    with pytest.raises(CorruptMatrixError, match=r"a\.csv\.gz: damaged or truncated after [\d,]+ bytes"):
        opened(_file(tmp_path, packed[: len(packed) // 2], "a.csv.gz"), tmp_path)
