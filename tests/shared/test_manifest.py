"""When a project is up to date."""

import json

import pytest

from shared import pipeline
from shared.manifest import Input, fingerprint, parse_failure, published_fingerprint
from shared.messages import MatrixReference


def matrix(**changes: object) -> MatrixReference:
    return MatrixReference.model_validate({"uri": "s3://b/k", "version": "1", "species": "homo_sapiens"} | changes)


def test_a_fingerprint_is_the_same_from_the_message_and_from_the_manifest() -> None:
    read = Input(uri="s3://b/k", version="1", size_bytes=3, sha256="0", species="homo_sapiens")
    assert fingerprint([matrix()]) == fingerprint([read])


def test_order_address_and_size_do_not_count() -> None:
    one, other = matrix(), matrix(version="2")
    moved = matrix(uri="https://example.org/k", size_bytes=9)
    assert fingerprint([one, other]) == fingerprint([other, moved])


@pytest.mark.parametrize("changes", [{"version": "2"}, {"species": None}, {"library_construction": ("10x",)}])
def test_a_change_of_the_input_makes_a_project_due(changes: dict[str, object]) -> None:
    assert fingerprint([matrix()]) != fingerprint([matrix(**changes)])


def test_one_matrix_more_makes_a_project_due() -> None:
    assert fingerprint([matrix()]) != fingerprint([matrix(), matrix()])


@pytest.mark.parametrize(("name", "value"), [("VERSION", "another"), ("SEED", 1), ("PARAMETERS", {"components": 3})])
def test_a_change_of_the_pipeline_makes_a_project_due(
    name: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint([matrix()])
    monkeypatch.setattr(pipeline, name, value)
    assert fingerprint([matrix()]) != before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"fingerprint": 3}', b"\xff", b"[" * 200_000])
def test_what_is_no_manifest_has_no_fingerprint(body: bytes) -> None:
    assert published_fingerprint(body) is None
    assert parse_failure(body) is None


def test_the_fingerprint_of_a_manifest_is_read_whatever_else_it_holds() -> None:
    assert published_fingerprint(json.dumps({"schema_version": 9, "fingerprint": "f"}).encode()) == "f"
