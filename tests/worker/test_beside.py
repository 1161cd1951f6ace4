"""A bare matrix finds its tables where it lies: in a folder, and in S3."""

import gzip
import json
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from shared.manifest import Input, fingerprint
from shared.messages import MatrixReference
from tests.fleet.test_render import render
from tests.matrices.building import CELLS, FEATURES, MARKET, MATRICES
from worker.beside import found_in_folder, found_in_s3
from worker.fetch import Fetched


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """A bare matrix on this machine."""
    path = tmp_path / "x.mtx.gz"
    path.write_bytes(gzip.compress(MARKET))
    return path


def as_fetched(path: Path, uri: str) -> Fetched:
    return Fetched(path, Input(uri=uri, version="v", size_bytes=path.stat().st_size, sha256=""))


def test_only_tables_called_as_the_matrix_are_found_in_its_folder(matrix: Path) -> None:
    for name, content in {"x.genes.tsv": FEATURES, "x_barcodes.tsv": CELLS, "y_features.tsv": FEATURES}.items():
        (matrix.parent / name).write_bytes(content)

    found = found_in_folder(matrix)

    assert [table.path.name for table in found] == ["x.genes.tsv", "x_barcodes.tsv"]
    assert all(len(table.input.sha256) == 64 for table in found)


def test_nothing_is_looked_for_beside_what_is_no_bare_matrix(tmp_path: Path) -> None:
    path = tmp_path / "genes.tsv"
    path.write_bytes(FEATURES)

    assert found_in_folder(path) == ()


@pytest.mark.parametrize("folder", ["", "a/b/"])
def test_tables_beside_a_matrix_in_s3_are_fetched(
    folder: str, matrix: Path, stack: Stack, s3: S3Client, tmp_path: Path
) -> None:
    bucket = stack.matrix_bucket
    contents = {"x.genes.tsv": FEATURES, "x.cells.tsv": CELLS, "x1.features.tsv": FEATURES, "genes.tsv": b""}
    for name, content in contents.items():
        s3.put_object(Bucket=bucket, Key=folder + name, Body=content)
    uri = f"s3://{bucket}/{folder}x.mtx.gz"

    found = found_in_s3(as_fetched(matrix, uri), [uri], tmp_path, s3)

    assert [table.input.uri.rpartition("x.")[2] for table in found] == ["genes.tsv", "cells.tsv"]
    assert [table.path.read_bytes() for table in found] == [FEATURES, CELLS]


def test_nothing_is_looked_for_where_the_message_names_tables(
    matrix: Path, stack: Stack, s3: S3Client, tmp_path: Path
) -> None:
    uri = f"s3://{stack.matrix_bucket}/x.mtx.gz"
    s3.put_object(Bucket=stack.matrix_bucket, Key="x.cells.tsv", Body=CELLS)

    named = [uri, f"s3://{stack.matrix_bucket}/x.genes.tsv"]

    assert found_in_s3(as_fetched(matrix, uri), named, tmp_path, s3) == ()


def test_a_bare_matrix_is_rendered_with_the_tables_of_its_folder(tmp_path: Path) -> None:
    folder = MATRICES / "cellranger2"

    ended = render(str(folder / "matrix.mtx"), "--out", str(tmp_path), "--project", "bare")

    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "bare/manifest.json").read_text())
    (known,) = manifest["inputs"]
    assert [sentence.partition(" was")[0] for sentence in known["reading"][:2]] == ["genes.tsv", "barcodes.tsv"]
    message = MatrixReference(uri="s3://bucket/matrix.mtx", version=known["version"])
    assert manifest["fingerprint"] == fingerprint([message])
