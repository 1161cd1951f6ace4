"""What is no matrix is told by its content, and named."""

import gzip
from pathlib import Path

import pytest

from shared.errors import CorruptMatrixError, EmptyMatrixError, UnsupportedFormatError
from tests.matrices.building import MATRICES, opened


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
