"""Archives: what lies in them is found whatever it is called, and what is unsafe never leaves them."""

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import CorruptMatrixError, UnsupportedFormatError
from tests.matrices.building import (
    CELLS,
    COUNTS,
    FEATURES,
    MARKET,
    SAMPLES,
    assert_same,
    folder,
    gzipped,
    only_matrix,
    opened,
    tarred,
    whole,
    zipped,
)
from worker.matrices import archives
from worker.matrices.lines import LineReader
from worker.matrices.streams import RATIO_GRACE_BYTES, Source, file_source, inflated

MATRIX_SERVICE = {
    "x.mtx/matrix.mtx": MARKET.replace(b"integer", b"real"),
    "x.mtx/genes.tsv": b"featurekey\tfeaturename\tfeaturetype\tisgene\n"
    b"ENSG1\tAAA\tgene\tTrue\nENSG2\tAAA\tgene\tTrue\nENSG3\t\tgene\tTrue\n",
    "x.mtx/cells.tsv": b"cellkey\tgenes_detected\tlibrary_preparation_protocol.library_construction_method.ontology\t"
    b"library_preparation_protocol.library_construction_method.ontology_label\n"
    b"c1\t1\tEFO:0008931\tSmart-seq2\nc2\t1\tEFO:0009310\t\nc3\t1\t\t\nc4\t1\t\t Drop-seq \n",
}


@pytest.mark.parametrize("extension", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("pack", [dict, gzipped], ids=["plain", "gzipped"])
def test_packing_and_order_of_members_do_not_matter(
    extension: str, pack: type[dict[str, bytes]], tmp_path: Path
) -> None:
    archive = zipped if extension == "zip" else tarred
    path = archive(tmp_path / f"a.{extension}", dict(reversed(pack(folder()).items())))

    assert_same(whole(only_matrix(path, tmp_path)), COUNTS)


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar.gz", folder()).rename(tmp_path / "really.h5ad")

    assert_same(whole(only_matrix(path, tmp_path)), COUNTS)


def test_matrix_service_tables_are_read_with_labels_ids_where_labels_are_empty_and_duplicate_symbols(
    tmp_path: Path,
) -> None:
    matrix = only_matrix(zipped(tmp_path / "a.zip", gzipped(MATRIX_SERVICE)), tmp_path)

    assert matrix.name == "x.mtx"
    assert matrix.genes.ids.tolist() == ["ENSG1", "ENSG2", "ENSG3"]
    assert matrix.genes.symbols.tolist() == ["AAA", "AAA", "ENSG3"]
    assert matrix.cells.ids.tolist() == ["c1", "c2", "c3", "c4"]
    assert matrix.cells.library_labels is not None
    assert matrix.cells.library_labels.tolist() == ["Smart-seq2", "EFO:0009310", "", " Drop-seq "]


def test_several_folders_are_several_matrices(tmp_path: Path) -> None:
    members = {**folder(), **{f"other/{name.rpartition('/')[2]}": data for name, data in folder().items()}}

    matrices = opened(zipped(tmp_path / "a.zip", members), tmp_path).matrices

    assert [matrix.name for matrix in matrices] == ["run", "other"]
    for matrix in matrices:
        assert_same(whole(matrix), COUNTS)


def test_matrices_of_one_folder_are_told_apart_by_how_their_names_begin(tmp_path: Path) -> None:
    members = {
        f"{sample}_{part}": content
        for sample in ("GSM1", "GSM2")
        for part, content in (("matrix.mtx", MARKET), ("features.tsv", FEATURES), ("barcodes.tsv", CELLS))
    }
    members["GSM2_barcodes.tsv"] = CELLS.replace(b"cell", b"other")

    matrices = opened(tarred(tmp_path / "a.tar", members), tmp_path).matrices

    assert [matrix.cells.ids[0] for matrix in matrices] == ["cell-1", "other-1"]


def test_unfiltered_barcodes_are_left_out_beside_filtered_ones(tmp_path: Path) -> None:
    members = {
        f"outs/{kind}_feature_bc_matrix/{name.rpartition('/')[2]}": content
        for kind in ("raw", "filtered")
        for name, content in folder().items()
    }

    file = opened(zipped(tmp_path / "a.zip", members), tmp_path)

    assert [matrix.name for matrix in file.matrices] == ["outs/filtered_feature_bc_matrix"]
    assert file.reading == ("Left out, as filtered matrices lie beside them: outs/raw_feature_bc_matrix/matrix.mtx.",)


def test_what_file_managers_add_is_passed_over(tmp_path: Path) -> None:
    members = {**folder(), "__MACOSX/run/._matrix.mtx": MARKET, "run/.DS_Store": b"\0"}

    assert len(opened(zipped(tmp_path / "a.zip", members), tmp_path).matrices) == 1


def test_an_h5ad_inside_an_archive_is_read(tmp_path: Path) -> None:
    content = (SAMPLES / "mouse_pancreas.mus_musculus.h5ad").read_bytes()

    for path in (
        zipped(tmp_path / "a.zip", {"data/x.h5ad": content}),
        tarred(tmp_path / "a.tar.gz", {"data/x.h5ad": content}),
    ):
        matrix = only_matrix(path, tmp_path)
        assert matrix.name == "data/x.h5ad"
        assert whole(matrix).nnz == 253_020


def test_a_gzipped_h5ad_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad.gz"
    path.write_bytes(gzip.compress((SAMPLES / "mouse_pancreas.mus_musculus.h5ad").read_bytes(), 1))

    assert whole(only_matrix(path, tmp_path)).nnz == 253_020


def test_text_in_an_archive_takes_labels_from_the_tables_beside_it(tmp_path: Path) -> None:
    """The csv archives of the HCA matrix service."""
    members = {
        "x/expression.csv": b"cellkey,ENSG1,ENSG2\nc1,1,0\nc2,0,3\n",
        "x/genes.csv": b"featurekey,featurename\nENSG2,BBB\nENSG1,AAA\n",
        "x/cells.csv": MATRIX_SERVICE["x.mtx/cells.tsv"].replace(b"\t", b","),
    }

    matrix = only_matrix(zipped(tmp_path / "a.zip", members), tmp_path)

    assert_same(whole(matrix), np.array([[1, 0], [0, 3]]))
    assert matrix.genes.symbols.tolist() == ["AAA", "BBB"]
    assert matrix.cells.library_labels is not None
    assert matrix.cells.library_labels.tolist() == ["Smart-seq2", "EFO:0009310"]


def test_a_bare_matrix_is_unsupported_and_the_remedy_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "matrix.mtx"
    bare.write_bytes(MARKET)

    for path in (bare, zipped(tmp_path / "a.zip", {"run/matrix.mtx": MARKET})):
        with pytest.raises(UnsupportedFormatError, match=r"without its tables of genes and cells; send one zip"):
            opened(path, tmp_path)


@pytest.mark.parametrize(("missing", "named"), [("run/genes.tsv", "genes"), ("run/barcodes.tsv", "cells")])
def test_a_missing_table_is_named(missing: str, named: str, tmp_path: Path) -> None:
    members = {name: content for name, content in folder().items() if name != missing}

    with pytest.raises(CorruptMatrixError, match=rf"the table of {named} .* is missing beside run/matrix\.mtx"):
        opened(zipped(tmp_path / "a.zip", members), tmp_path)


def test_an_archive_without_a_matrix_names_its_members(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match=r"no matrix among its members \(notes/readme\.txt\)"):
        opened(zipped(tmp_path / "a.zip", {"notes/readme.txt": b"hello"}), tmp_path)


@pytest.mark.parametrize("name", ["../genes.tsv", "/etc/passwd", "a/../../b", "..\\b", "C:/b"])
@pytest.mark.parametrize("extension", ["zip", "tar", "tar.gz"])
def test_a_member_that_points_outside_is_refused(name: str, extension: str, tmp_path: Path) -> None:
    archive = zipped if extension == "zip" else tarred
    path = archive(tmp_path / f"a.{extension}", {**folder(), name: b"x"})

    with pytest.raises(CorruptMatrixError, match="points outside the archive"):
        opened(path, tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_a_link_in_a_tar_is_refused(kind: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("run/matrix.mtx")
        info.type, info.linkname = kind, "/etc/passwd"
        archive.addfile(info)

    with pytest.raises(CorruptMatrixError, match=r"member run/matrix\.mtx is a link"):
        opened(path, tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    info = zipfile.ZipInfo("run/matrix.mtx")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")

    with pytest.raises(CorruptMatrixError, match=r"member run/matrix\.mtx is a link"):
        opened(path, tmp_path)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", folder())
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 8] |= 1
    path.write_bytes(content)

    with pytest.raises(CorruptMatrixError, match="is encrypted; pack it without a password"):
        opened(path, tmp_path)


@pytest.mark.parametrize("extension", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_archive_is_corrupt(extension: str, share: float, tmp_path: Path) -> None:
    archive = zipped if extension == "zip" else tarred
    lines = b"".join(b"%d %d 1\n" % (cell % 3 + 1, cell + 1) for cell in range(40_000))
    members = {
        **folder(b"%%MatrixMarket matrix coordinate integer general\n3 40000 40000\n" + lines),
        "run/barcodes.tsv": b"".join(b"cell-%d\n" % cell for cell in range(40_000)),
    }
    path = archive(tmp_path / f"a.{extension}", members)
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))

    with pytest.raises((CorruptMatrixError, UnsupportedFormatError)):
        whole(only_matrix(path, tmp_path))


def _second_header(path: Path) -> int:
    """Where the header of the fourth member begins, the first of another folder."""
    with tarfile.open(path) as archive:
        return archive.getmembers()[3].offset


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
@pytest.mark.parametrize("damage", ["a bit", "cut before", "cut within"])
def test_a_tar_that_is_damaged_after_its_first_matrix_is_not_taken_for_one_matrix(
    damage: str, tmp_path: Path, *, packed: bool
) -> None:
    members = {f"{run}/{name.partition('/')[2]}": body for run in ("a", "b") for name, body in folder().items()}
    path = tarred(tmp_path / "a.tar", members)
    place = _second_header(path)
    content = bytearray(path.read_bytes())
    if damage == "a bit":
        content[place + 150] ^= 1
    else:
        del content[place + (100 if damage == "cut within" else 0) :]
    path.write_bytes(gzip.compress(content) if packed else content)

    with pytest.raises(CorruptMatrixError, match=rf"a\.tar: damaged or truncated archive \(.* at byte {place:,}\)"):
        opened(path, tmp_path)


def _with_header(path: Path, **pax: str) -> Path:
    """A tar of a matrix whose first member has such an extended header."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for number, (name, content) in enumerate(folder().items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            info.pax_headers = {} if number else pax
            archive.addfile(info, io.BytesIO(content))
    return path


def test_a_header_of_megabytes_is_not_read(tmp_path: Path) -> None:
    path = _with_header(tmp_path / "a.tar", comment="x" * 2_000_000)
    with pytest.raises(CorruptMatrixError, match=r"a header of 2,000,0\d\d bytes"):
        opened(path, tmp_path)


def test_a_member_with_holes_is_refused_before_they_are_filled(tmp_path: Path) -> None:
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9999999999"}
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("matrix.h5")
        info.pax_headers = sparse | {"GNU.sparse.name": "matrix.h5"}
        info.size = 512
        archive.addfile(info, io.BytesIO(b"0\n".ljust(512, b"\0")))
    with pytest.raises(CorruptMatrixError, match="has holes; pack it without --sparse"):
        opened(path, tmp_path)


def test_a_member_with_an_endless_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptMatrixError, match="the name of a member has 5,000 characters"):
        opened(zipped(tmp_path / "a.zip", {"_" * 5_000: b"x"}), tmp_path)


def test_a_table_whose_first_number_is_not_at_hand_yet_is_a_table(tmp_path: Path) -> None:
    labels = ",".join(f"ENSG{number:011d}" for number in range(1_021))
    body = f"{labels},x".ljust(archives.START_BYTES - 3, "x") + "\nb" + "arcode" * 3 + ",1" * 1_022 + "\n"
    path = zipped(tmp_path / "a.zip", {"a.csv": body.encode(), "notes.txt": b"Dear all, \nno table"})
    assert [len(matrix.cells) for matrix in opened(path, tmp_path).matrices] == [1]


def test_a_truncated_gzip_member_is_named_with_its_place(tmp_path: Path) -> None:
    members = gzipped(folder())
    members["run/matrix.mtx.gz"] = members["run/matrix.mtx.gz"][:-12]

    with pytest.raises(CorruptMatrixError, match=r"run/matrix\.mtx\.gz: damaged or truncated after \d+ bytes"):
        whole(only_matrix(zipped(tmp_path / "a.zip", members), tmp_path))


def test_a_flipped_byte_in_a_zip_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", folder(), zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"2 2 7", b"2 2 8"))

    with pytest.raises(CorruptMatrixError, match=r"run/matrix\.mtx: damaged or truncated.*CRC"):
        whole(only_matrix(path, tmp_path))


def _read(source: Source) -> bytes:
    with inflated(source) as stream:
        return stream.read()


def _packed(content: bytes) -> Source:
    return Source("x.gz", lambda: io.BufferedReader(io.BytesIO(content)))


def test_gzip_cut_off_anywhere_is_damaged() -> None:
    packed = gzip.compress(MARKET)

    for length in range(2, len(packed)):
        with pytest.raises(CorruptMatrixError, match=r"x\.gz: damaged or truncated after [\d,]+ bytes of content"):
            _read(_packed(packed[:length]))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("inner", [bytes, gzip.compress], ids=["plain", "gzipped"])
def test_a_bit_that_flipped_anywhere_is_found_or_changes_nothing(
    method: int, inner: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content = b"".join(b"%d %d %d\n" % (n % 7, n, n * n % 11) for n in range(60))
    path = zipped(tmp_path / "a.zip", {"m": inner(content)}, method)
    whole_file = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("m").compress_size
    start = 30 + len("m")  # the local header (APPNOTE.TXT, 4.3.7)

    for place in range(start, start + size):
        path.write_bytes(whole_file[:place] + bytes([whole_file[place] ^ 0x10]) + whole_file[place + 1 :])
        try:
            found = _read(archives.zip_members(path)[0].source)
        except CorruptMatrixError as error:
            assert "m: damaged" in str(error)  # noqa: PT017 - most are found, and how is checked
        else:
            assert found == content


@pytest.mark.parametrize("tail", [b"", b"\0" * 1_000], ids=["", "padded"])
def test_several_gzip_members_are_one_content(tail: bytes) -> None:
    """As bgzip and cat write them."""
    packed = b"".join(gzip.compress(MARKET[start : start + 10]) for start in range(0, len(MARKET), 10))

    assert _read(_packed(packed + tail)) == MARKET


def test_what_follows_gzip_and_is_no_gzip_is_damage() -> None:
    with pytest.raises(CorruptMatrixError, match="damaged or truncated"):
        _read(_packed(gzip.compress(MARKET) + b"<html>"))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_that_zip_knows_are_read(method: int, tmp_path: Path) -> None:
    assert_same(whole(only_matrix(zipped(tmp_path / "a.zip", folder(), method), tmp_path)), COUNTS)


@pytest.mark.parametrize(("method", "name"), [(93, "zstd"), (9, "deflate64"), (77, "method 77")])
def test_a_method_that_is_not_read_is_named_with_its_member(method: int, name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"run/matrix.mtx": MARKET})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 10], content[8] = method, method
    path.write_bytes(content)

    with pytest.raises(UnsupportedFormatError, match=rf"member run/matrix\.mtx is packed with {name}.* with deflate"):
        opened(path, tmp_path)


@pytest.mark.parametrize("size", [0, 3])
def test_a_member_of_another_size_than_its_archive_says_is_damaged(size: int, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"m": MARKET})
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = size.to_bytes(4, "little")
    path.write_bytes(content)

    with pytest.raises(CorruptMatrixError, match="m: damaged or truncated"):
        archives.zip_members(path)


@settings(deadline=None)
@given(lines=st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=30), data=st.data())
def test_blocks_of_lines_are_whole_and_lose_nothing(lines: list[bytes], data: st.DataObject) -> None:
    content = b"\n".join(lines)
    size = data.draw(st.integers(1, max(1, len(content))))

    reader = LineReader(io.BufferedReader(io.BytesIO(content)), "x", size)
    blocks = []
    for piece in reader:
        blocks.append(bytes(piece))
        if data.draw(st.booleans()):
            reader.give_back(piece)

    assert all(block.endswith(b"\n") for block in blocks)
    assert b"".join(blocks) == content + (b"" if content.endswith(b"\n") or not content else b"\n")


def test_a_bomb_in_a_zip_is_refused_while_it_inflates(tmp_path: Path) -> None:
    members = folder(MARKET + b" " * (2 * RATIO_GRACE_BYTES))

    with pytest.raises(CorruptMatrixError, match=r"run/matrix\.mtx: .* bytes inflate to .* more than 500:1"):
        whole(only_matrix(zipped(tmp_path / "a.zip", members), tmp_path))


def test_a_gzip_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad.gz"
    path.write_bytes(gzip.compress(b"\x89HDF\r\n\x1a\n" + b"\0" * (4 * RATIO_GRACE_BYTES)))

    with pytest.raises(CorruptMatrixError, match="more than 500:1"):
        opened(path, tmp_path)

    written = sum(file.stat().st_size for file in tmp_path.rglob("*"))
    assert written < 2 * RATIO_GRACE_BYTES


def test_no_more_is_inflated_than_the_limit_whatever_the_ratio(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(bytes(range(256)) * 100))

    with inflated(file_source(path), limit=20_000) as stream, pytest.raises(CorruptMatrixError, match="20,000 bytes"):
        stream.read()


def test_an_archive_of_too_many_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for number in range(archives.MAX_MEMBERS + 1):
            archive.addfile(tarfile.TarInfo(f"f{number}"), io.BytesIO())

    with pytest.raises(CorruptMatrixError, match="more than 10,000 members"):
        opened(path, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "run/barcodes.tsv",
            b"cell-1\ncell-\xff\ncell-3\ncell-4\n",
            r"run/barcodes\.tsv, line 2: no UTF-8 text .*; save it as UTF-8",
        ),
        ("run/genes.tsv", b"genome\tfeature_type\nx\ty\n", r"run/genes\.tsv, line 1: no column of gene ids"),
        (
            "run/barcodes.tsv",
            b"cell-1\n" + b"x" * 2_000_000,
            r"run/barcodes\.tsv, line 2: longer than 1,048,576 characters",
        ),
        ("run/genes.tsv", b"a\tA\nb\nc\tC\n", r"run/genes\.tsv, line 2: 1 fields, but the first line has 2"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptMatrixError, match=message):
        opened(zipped(tmp_path / "a.zip", {**folder(), name: content}), tmp_path)


def test_a_quote_in_cell_rangers_tables_is_a_character(tmp_path: Path) -> None:
    features = b'g1\t5"-thing\ng2\t"b\ng3\tc\n'

    matrix = only_matrix(zipped(tmp_path / "a.zip", folder(features=features)), tmp_path)

    assert matrix.genes.symbols.tolist() == ['5"-thing', '"b', "c"]


def test_a_first_column_without_a_known_name_is_the_ids(tmp_path: Path) -> None:
    """As pandas writes an index."""
    features = b"\tfeature_type\tlength\ng1\tGene Expression\t1\ng2\tGene Expression\t2\ng3\tGene Expression\t3\n"
    cells = b"\tassay\n" + b"".join(b"cell-%d\t10x 3' v3\n" % n for n in range(4))

    matrix = only_matrix(zipped(tmp_path / "a.zip", folder(features=features, cells=cells)), tmp_path)

    assert_same(whole(matrix), COUNTS)
    assert matrix.genes.ids.tolist() == ["g1", "g2", "g3"]
    assert matrix.cells.ids.tolist() == ["cell-0", "cell-1", "cell-2", "cell-3"]
    assert matrix.cells.library_labels is not None
    assert set(matrix.cells.library_labels) == {"10x 3' v3"}
