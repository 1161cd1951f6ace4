"""MatrixMarket bodies: what scipy writes is read back; what is wrong is named with its line."""

import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import CorruptMatrixError, EmptyMatrixError, NoRawCountsError, UnsupportedFormatError
from tests.matrices.building import (
    CELLS,
    COUNTS,
    FEATURES,
    MARKET,
    assert_same,
    folder,
    gzipped,
    only_matrix,
    opened,
    whole,
    zipped,
)
from worker.matrices import market, market_text
from worker.matrices.matrix import BLOCK_ENTRIES
from worker.matrices.streams import file_source

BANNER = "%%MatrixMarket matrix coordinate real general\n"


def _by_cell(text: str, tmp_path: Path, text_bytes: int = market_text.TEXT_BYTES) -> market.ByCell:
    """The entries of a MatrixMarket text, genes in rows, so many bytes parsed at once."""
    path = tmp_path / "matrix.mtx"
    path.write_text(text, newline="")
    source = file_source(path)
    with source.open() as stream:
        shape = market_text.read_shape(stream, source.name)
    entries = market_text.Entries(source, shape, cells_in_columns=True, text_bytes=text_bytes)
    return market.ByCell(entries, shape.n_columns, tmp_path)


def _entries(
    text: str, tmp_path: Path, text_bytes: int = market_text.TEXT_BYTES
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """The matrix that a MatrixMarket text holds, genes in rows, cells by genes; read again if it is out of order."""
    by_cell = _by_cell(text, tmp_path, text_bytes)
    try:
        blocks = list(by_cell.blocks())
    except market.EntriesOutOfOrderError:
        blocks = list(by_cell.blocks())
    n_genes = int(text.splitlines()[1].split()[0])
    rows = [
        scipy.sparse.csr_array((block.values, block.indices, block.indptr), shape=(block.n_cells, n_genes))
        for block in blocks
    ]
    return np.asarray(scipy.sparse.vstack(rows).toarray())


def _text(entries: Sequence[tuple[int, int, str]], n_rows: int, n_columns: int, end: str = "\n") -> str:
    lines = [f"{row + 1} {column + 1} {value}" for row, column, value in entries]
    return BANNER + end.join([f"{n_rows} {n_columns} {len(entries)}", *lines]) + end


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


numbers = st.one_of(
    st.integers(0, 10**7).map(str),
    st.floats(0, 1e30, allow_subnormal=False).map(repr),
    st.sampled_from(["1e+05", "2.5E-3", "007", "1.", ".5", "+3", "0.0", "123456789012345678901234567890"]),
)
positions = st.tuples(st.integers(0, 4), st.integers(0, 6))
indents, gaps, ends = (st.sampled_from(found) for found in (["", " ", "\t"], [" ", "\t", "  "], ["", " ", "\r"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    entries=st.lists(st.tuples(positions, numbers), min_size=1, max_size=40),
    end=st.sampled_from(["\n", "\r\n", "  \n", "\n\n"]),
)
def test_entries_in_any_order_are_summed_by_cell_and_gene(
    entries: list[tuple[tuple[int, int], str]], end: str, tmp_path: Path
) -> None:
    expected = np.zeros((7, 5))
    for (row, column), value in entries:
        expected[column, row] += np.float32(float(value))

    found = _entries(_text([(*position, value) for position, value in entries], 5, 7, end), tmp_path)

    np.testing.assert_allclose(found, expected, rtol=3e-7)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=100)
@given(value=st.one_of(numbers, st.floats(1e-30, 1e30).map(lambda number: f"{number:.7g}")))
def test_a_number_is_the_float32_that_python_reads(value: str, tmp_path: Path) -> None:
    found = _entries(_text([(0, 0, value), (0, 0, "0")], 1, 1), tmp_path)

    assert found[0, 0] == np.float32(float(value))


def test_cells_in_rows_are_told_by_the_tables(tmp_path: Path) -> None:
    text = b"%%MatrixMarket matrix coordinate real general\n4 3 4\n1 1 5\n1 3 2\n2 2 7\n4 3 1\n"

    matrix = only_matrix(zipped(tmp_path / "a.zip", folder(text)), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert "cells by genes" in matrix.reading[0]


@pytest.mark.parametrize("members", [folder(), gzipped(folder())], ids=["plain", "gzipped"])
def test_cells_without_counts_are_kept(members: dict[str, bytes], tmp_path: Path) -> None:
    matrix = only_matrix(zipped(tmp_path / "a.zip", members), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.symbols.tolist() == ["AAA", "BBB", "MT-CO1"]
    assert matrix.cells.ids.tolist() == ["cell-1", "cell-2", "cell-3", "cell-4"]


def test_entries_by_gene_are_regrouped_by_cell(tmp_path: Path) -> None:
    head, *lines = MARKET.split(b"\n3 4 4\n")
    by_gene = head + b"\n3 4 4\n" + b"\n".join(sorted(lines[0].splitlines())) + b"\n"

    assert_same(whole(only_matrix(zipped(tmp_path / "a.zip", folder(by_gene)), tmp_path)), COUNTS)


def test_blocks_may_be_read_twice(tmp_path: Path) -> None:
    matrix = only_matrix(zipped(tmp_path / "a.zip", folder()), tmp_path)

    assert_same(whole(matrix), whole(matrix))


def test_order_lost_late_is_named_at_first_and_regrouped_when_asked_again(tmp_path: Path) -> None:
    """The last entry belongs to the first cell, and blocks of cells have been given by then."""
    entries = [(0, 0, "10"), *[(0, 1, "1")] * 100, (0, 2, "5"), (0, 0, "1")]
    by_cell = _by_cell(_text(entries, 1, 3), tmp_path, text_bytes=64)

    with pytest.raises(market.EntriesOutOfOrderError, match="come by cell up to cell 2, then go back"):
        list(by_cell.blocks())
    totals = [block.values.sum() for block in by_cell.blocks() if len(block.values)]

    assert sum(totals) == 116
    assert not _threads()


def test_order_lost_before_anything_was_given_is_regrouped_at_once(tmp_path: Path) -> None:
    found = _entries(_text([(0, 1, "1"), (1, 0, "2"), (0, 0, "3")], 2, 2), tmp_path)

    assert found.tolist() == [[3, 2], [1, 0]]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    entries=st.lists(st.tuples(positions, numbers), min_size=1, max_size=40),
    blanks=st.lists(st.tuples(indents, gaps, ends), min_size=40, max_size=40),
    skipped=st.sampled_from(["", "\n", " \n\r\n"]),
    text_bytes=st.integers(1, 40),
    ended=st.booleans(),
)
def test_lines_are_whole_wherever_a_block_of_text_ends(
    *,
    entries: list[tuple[tuple[int, int], str]],
    blanks: list[tuple[str, str, str]],
    skipped: str,
    text_bytes: int,
    ended: bool,
    tmp_path: Path,
) -> None:
    lines = [
        f"{before}{row + 1}{between}{column + 1}{between}{value}{after}\n{skipped}"
        for ((row, column), value), (before, between, after) in zip(entries, blanks, strict=False)
    ]
    text = f"{BANNER}5 7 {len(entries)}\n" + "".join(lines)
    expected = np.zeros((7, 5))
    for line in "".join(lines).splitlines():
        if line.split():
            row, column, value = line.split()
            expected[int(column) - 1, int(row) - 1] += np.float32(float(value))

    found = _entries(text if ended else text.rstrip(), tmp_path, text_bytes)

    np.testing.assert_allclose(found, expected, rtol=3e-7)


def test_an_error_in_a_later_block_is_named_with_its_line_and_no_thread_is_left(tmp_path: Path) -> None:
    lines = "".join(f"1 {cell + 1} 1\n" for cell in range(500))
    text = f"{BANNER}% one\n\n1 500 500\n" + lines.replace("1 400 1\n", "1 400 x\n")

    with pytest.raises(CorruptMatrixError, match=r"line 404: expected “row column value”, found “1 400 x”"):
        list(_by_cell(text, tmp_path, text_bytes=50).blocks())

    assert not _threads()


def test_more_entries_than_the_header_says_are_named_with_the_first_of_them(tmp_path: Path) -> None:
    text = f"{BANNER}1 9 4\n" + "".join(f"1 {cell + 1} 1\n\n" for cell in range(9))

    with pytest.raises(CorruptMatrixError, match=r"line 11: more entries than the 4 of its header"):
        list(_by_cell(text, tmp_path).blocks())


def test_no_thread_is_left_when_nobody_asks_for_more_blocks(tmp_path: Path) -> None:
    text = _text([(0, cell, "1") for cell in range(5_000)], 1, 5_000)
    blocks = _by_cell(text, tmp_path, text_bytes=100).blocks()

    with closing(blocks):  # type: ignore[type-var]
        next(blocks)
        assert _threads()

    assert not _threads()


def test_a_cell_with_more_entries_than_are_kept_is_summed_on_the_way(tmp_path: Path) -> None:
    repeats = BLOCK_ENTRIES + 400_000

    found = _entries(f"{BANNER}2 2 {repeats + 1}\n" + "2 1 1\n" * repeats + "1 2 3\n", tmp_path)

    assert found.tolist() == [[0, repeats], [3, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MARKET.replace(b"2 2 7", b"4 2 7"), r"line 6: row 4 is not among 1 to 3"),
        (MARKET.replace(b"2 2 7", b"0 2 7"), r"line 6: row 0 is not among 1 to 3"),
        (MARKET.replace(b"2 2 7", b"-1 2 7"), r"line 6: row -1 is not among"),
        (MARKET.replace(b"3 4 1", b"3 5 1"), r"line 7: column 5 is not among 1 to 4"),
        (MARKET.replace(b"2 2 7", b"2 2 nan"), r"line 6: expected “row column value”, found “2 2 nan”"),
        (MARKET.replace(b"2 2 7", b"2 2 inf"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"2 2 7", b"2 2 1e99"), r"line 6: 1e\+99 is no count"),
        (MARKET.replace(b"2 2 7", b"2 2 -7"), r"line 6: the count -7 is negative"),
        (MARKET.replace(b"2 2 7", b"2 2"), r"line 6: expected “row column value”, found “2 2”"),
        (MARKET.replace(b"2 2 7", b"2 2 7 7"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"2 2 7", b"2 2 1-"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"2 2 7", b"2 2 1.0.0"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"2 2 7", b"2 2 " + b"9" * 60), r"line 6: 1e\+60 is no count"),
        (MARKET.replace(b"2 2 7", b"9" * 60 + b" 2 7"), r"line 6: row 9{54,60} is not among 1 to 3"),
        (MARKET.replace(b"2 2 7", b"2 " + b"9" * 60 + b" 7"), r"line 6: column 9{52,60} is not among 1 to 4"),
        (MARKET.replace(b"2 2 7", b"18446744073709551618 2 7"), r"line 6: row 18446744073709551618 is not among"),
        (MARKET.replace(b"2 2 7", b"0" * 17 + b"13 2 7"), r"line 6: row 0{17}13 is not among 1 to 3"),
        (MARKET.replace(b"2 2 7", b"22 7"), r"line 6: expected “row column value”, found “22 7”"),
        (MARKET.replace(b"2 2 7", b"2.0 2 7"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"2 2 7", b"\xff\xfe"), r"line 6: expected “row column value”"),
        (MARKET.replace(b"3 4 4", b"3 4 5"), r"ends after 4 entries at line 7, but its header says 5"),
        (MARKET.replace(b"3 4 4", b"3 4 3"), r"line 7: more entries than the 3 of its header"),
        (MARKET.replace(b"3 4 4", b"3 4 99999999999999999999"), r"ends after 4 entries"),
        (MARKET.replace(b"3 4 4", b"99999999999 4 4"), r"line 3.*no matrix has more than"),
        (MARKET.replace(b"3 4 4", b"3 4"), r"line 3: expected “rows columns entries”, found “3 4”"),
        (MARKET.replace(b"3 4 4", b"3 4 -4"), r"line 3: expected “rows columns entries”"),
        (MARKET.replace(b"3 4 4", b"3 4 " + b"9" * 5_000), r"line 3: expected “rows columns entries”"),
        (MARKET[:60], r"line 4: expected “row column value”, found “1 1”"),
        (MARKET[:30], r"line 1|ends before its sizes"),
    ],
)
def test_a_damaged_body_is_named_with_its_line(text: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises((CorruptMatrixError, UnsupportedFormatError), match=message):
        whole(only_matrix(zipped(tmp_path / "a.zip", folder(text)), tmp_path))


def test_a_negative_fraction_is_a_scaled_value(tmp_path: Path) -> None:
    text = MARKET.replace(b"2 2 7", b"2 2 -0.25")

    with pytest.raises(NoRawCountsError, match=r"line 6: -0\.25 is negative and has a fraction"):
        whole(only_matrix(zipped(tmp_path / "a.zip", folder(text)), tmp_path))


@pytest.mark.parametrize("kind", ["array real general", "coordinate complex general", "coordinate real symmetric"])
def test_other_kinds_of_matrix_market_are_unsupported(kind: str, tmp_path: Path) -> None:
    text = MARKET.replace(b"coordinate integer general", kind.encode())

    with pytest.raises(UnsupportedFormatError, match=r"line 1.*is not read; send"):
        opened(zipped(tmp_path / "a.zip", folder(text)), tmp_path)


@pytest.mark.parametrize("sizes", [b"0 4 0", b"3 0 0", b"3 4 0"])
def test_no_genes_cells_or_entries_is_empty(sizes: bytes, tmp_path: Path) -> None:
    text = MARKET.split(b"3 4 4")[0] + sizes + b"\n"

    with pytest.raises(EmptyMatrixError, match="nothing to summarise"):
        opened(zipped(tmp_path / "a.zip", folder(text)), tmp_path)


def test_stored_zeros_alone_are_empty(tmp_path: Path) -> None:
    text = b"%%MatrixMarket matrix coordinate integer general\n3 4 1\n1 1 0\n"

    with pytest.raises(EmptyMatrixError, match="all counts are zero"):
        whole(only_matrix(zipped(tmp_path / "a.zip", folder(text)), tmp_path))


@pytest.mark.parametrize(
    ("features", "cells"),
    [(FEATURES[:40], CELLS), (FEATURES, CELLS * 2), (FEATURES + b"x\ty\n", CELLS), (FEATURES, b"")],
)
def test_tables_of_another_length_are_named(features: bytes, cells: bytes, tmp_path: Path) -> None:
    with pytest.raises(CorruptMatrixError, match=r"3 rows by 4 columns, but the tables beside it have|fields, but"):
        opened(zipped(tmp_path / "a.zip", folder(features=features, cells=cells)), tmp_path)
