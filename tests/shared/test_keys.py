"""Where things lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import keys
from shared.messages import PROJECT_ID_PATTERN


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("p.h5ad", keys.CannedKey("p", None, "h5ad")),
        ("p.homo_sapiens.mtx.zip", keys.CannedKey("p", "homo_sapiens", "mtx.zip")),
        ("p.mtx.zip", keys.CannedKey("p", None, "mtx.zip")),
        ("p.mus_musculus.CSV.GZ", keys.CannedKey("p", "mus_musculus", "csv.gz")),
        ("abe1a013-af7a.tar.gz", keys.CannedKey("abe1a013-af7a", None, "tar.gz")),
    ],
)
def test_a_canned_name_says_project_species_and_extension(name: str, expected: keys.CannedKey) -> None:
    assert keys.parse_canned(name) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("p", "no extension"),
        (".h5ad", "project id"),
        ("p.pdf", "extension"),
        ("p.homo sapiens.h5ad", "species"),
        ("a/b.h5ad", "project id"),
        ("p.x.y.h5ad", "extension"),
        ("p\n.h5ad", "project id"),
        ("", "project id"),
    ],
)
def test_a_name_of_another_shape_is_explained(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        keys.parse_canned(name)


@given(st.from_regex(PROJECT_ID_PATTERN, fullmatch=True), st.sampled_from(sorted(keys.MATRIX_EXTENSIONS)))
def test_every_project_id_and_extension_make_a_name_that_is_read_back(project_id: str, extension: str) -> None:
    plain = project_id.strip("\n")
    assert keys.parse_canned(f"{plain}.{extension}") == keys.CannedKey(plain, None, extension)
    assert keys.parse_canned(f"{plain}.mus_musculus.{extension}").species == "mus_musculus"


def test_keys_are_those_that_portals_link_to() -> None:
    assert keys.figure(keys.entity("p", "homo_sapiens"), "10X", "violin") == "p.homo_sapiens/10X/violin.png"
    assert keys.figure(keys.entity("p", None), "SS2", "umap", "svg") == "p/SS2/umap.svg"
    assert keys.table("p", "10X", "cells.parquet") == "p/10X/cells.parquet"
    assert keys.manifest("p") == "p/manifest.json"
    assert keys.failure("p") == "p/failure.json"


@pytest.mark.parametrize("uri", ["s3://bucket", "s3:///key", "s3://bucket/", "https://bucket/key", "bucket/key"])
def test_what_is_no_s3_address_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match="s3://BUCKET/KEY"):
        keys.split_s3_uri(uri)


def test_an_s3_key_may_hold_slashes() -> None:
    assert keys.split_s3_uri("s3://bucket/a/b.h5ad") == ("bucket", "a/b.h5ad")


@pytest.mark.parametrize(
    "bucket",
    [
        *(
            "arn:aws:s3:us-east-1:123456789012:accesspoint",
            "a",
            "Bucket",
            "my_bucket",
            "a..b",
            "-a-",
            "a.-b",
            "10.0.0.1",
        ),
        *("b" * 64, "user@bucket", "bucket?x", "bucket#x", "alias-abc-s3alias", "b--use1-az4--x-s3", "m4l1.mrap"),
    ],
)
def test_what_is_no_name_of_a_bucket_is_refused(bucket: str) -> None:
    with pytest.raises(ValueError, match="no bucket has such a name"):
        keys.split_s3_uri(f"s3://{bucket}/key")


@pytest.mark.parametrize("bucket", ["abc", "my-bucket.of--many", "1.2.3", "b" * 63])
def test_what_s3_takes_for_a_bucket_is_taken(bucket: str) -> None:
    assert keys.split_s3_uri(f"s3://{bucket}/key") == (bucket, "key")


def test_a_refusal_shows_no_more_of_an_address_than_fits_a_line() -> None:
    with pytest.raises(ValueError, match="s3://BUCKET/KEY") as refusal:
        keys.split_s3_uri("s3://" + "x" * 2_000)
    assert len(str(refusal.value)) < 250
