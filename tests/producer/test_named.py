"""Matrices that a person names."""

from collections.abc import Callable

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from producer.sources.named import named
from shared.errors import EmptyMatrixError, MatrixNotFoundError
from tests.producer.conftest import PREFIX

Put = Callable[..., str]


def test_a_matrix_by_hand_is_looked_at_for_version_size_and_species(s3: S3Client, put: Put, stack: Stack) -> None:
    version = put("p1.homo_sapiens.mtx.zip", b"12345")
    uri = f"s3://{stack.matrix_bucket}/{PREFIX}p1.homo_sapiens.mtx.zip"
    matrix = named(uri, "p1", s3)
    assert (matrix.version, matrix.size_bytes, matrix.species) == (version, 5, "homo_sapiens")
    assert named(uri, "other", s3).species is None


def test_a_matrix_by_hand_that_is_missing_or_empty_is_refused(s3: S3Client, put: Put, stack: Stack) -> None:
    put("p1.h5ad", b"")
    with pytest.raises(MatrixNotFoundError, match=r"p2\.h5ad: not found"):
        named(f"s3://{stack.matrix_bucket}/{PREFIX}p2.h5ad", "p2", s3)
    with pytest.raises(EmptyMatrixError, match=r"p1\.h5ad: the object is empty"):
        named(f"s3://{stack.matrix_bucket}/{PREFIX}p1.h5ad", "p1", s3)


def test_a_matrix_at_an_address_is_taken_as_it_is(s3: S3Client) -> None:
    assert named("https://portal.example.org/m.h5ad", "p1", s3).version is None
