"""What is a message and what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidMessageError
from shared.messages import MAX_MESSAGE_BYTES, MatrixReference, ProjectMessage, parse

MESSAGES = Path(__file__).parents[1] / "messages"
PROJECT = {"schema_version": 1, "project_id": "p", "matrices": [{"uri": "s3://b/k"}]}


@pytest.mark.parametrize("path", sorted(MESSAGES.glob("v1_*.json")), ids=lambda path: path.stem)
def test_every_message_of_version_1_ever_written_down_is_read(path: Path) -> None:
    assert parse(path.read_text()).schema_version == 1


def test_a_message_survives_the_queue() -> None:
    message = parse((MESSAGES / "v1_complete.json").read_text())
    assert parse(message.body()) == message


def test_a_choice_is_carried_and_left_out_where_there_is_none() -> None:
    message = ProjectMessage(schema_version=1, project_id="p", matrices=(MatrixReference(uri="s3://b/k"),))
    chosen = message.model_copy(update={"choice": ("homo_sapiens: 1 file.",)})
    assert "choice" not in json.loads(message.body())
    assert parse(chosen.body()) == chosen


def test_what_a_message_by_hand_leaves_out_has_a_default() -> None:
    message = parse((MESSAGES / "v1_by_hand.json").read_text())
    assert message == ProjectMessage(
        schema_version=1, project_id="by-hand", matrices=(MatrixReference(uri="https://example.org/matrix.h5ad"),)
    )
    assert message.requested_by == "manual"
    assert not message.force


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"schema_version": "1"}, "schema_version"),
        ({"schema_version": True}, "schema_version"),
        ({"matrices": [{"uri": "https://[foo]/m.h5ad"}]}, "matrices.0.uri"),
        ({"matrices": [{"uri": "https://example.org:port/m.h5ad"}]}, "matrices.0.uri"),
        ({"project_id": "../etc"}, "project_id"),
        ({"project_id": "-starts-with-a-dash"}, "project_id"),
        ({"project_id": "p" * 129}, "project_id"),
        ({"project_id": "line\nbreak"}, "project_id"),
        ({"project_id": "trailing\n"}, "project_id"),
        ({"project_id": 7}, "project_id"),
        ({"matrices": []}, "matrices"),
        ({"matrices": [{}]}, "matrices.0.uri"),
        ({"matrices": [{"uri": "file:///etc/passwd"}]}, "matrices.0.uri"),
        ({"matrices": [{"uri": "ftp://example.org/m.loom"}]}, "matrices.0.uri"),
        ({"matrices": [{"uri": "s3://b/k\x1b[31m"}]}, "matrices.0.uri"),
        ({"matrices": [{"uri": "s3://b/k", "size_bytes": -1}]}, "matrices.0.size_bytes"),
        ({"matrices": [{"uri": "s3://b/k", "species": "../x"}]}, "matrices.0.species"),
        ({"matrices": [{"uri": "s3://b/k", "colour": "red"}]}, "matrices.0.colour"),
        ({"requested_by": "somebody"}, "requested_by"),
        ({"requested_at": "yesterday"}, "requested_at"),
        ({"requested_at": "2026-11-22T03:00:00"}, "requested_at"),
        ({"force": "yes"}, "force"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_the_field_that_is_wrong_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        parse(json.dumps(PROJECT | change))
    assert str(caught.value).startswith(complaint)
    assert len(str(caught.value)) <= 1024


@pytest.mark.parametrize("body", ["", "no json", "[]", "null", '"text"', "{", "\x00", "1e999"])
def test_what_is_no_json_object_is_refused(body: str) -> None:
    with pytest.raises(InvalidMessageError):
        parse(body)


def test_a_body_above_the_queues_limit_is_refused() -> None:
    with pytest.raises(InvalidMessageError, match="1,048,576 bytes"):
        parse(" " * (MAX_MESSAGE_BYTES + 1))


@given(st.text())
def test_no_text_does_more_than_be_refused(body: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        parse(body)
    assert caught.value.line.isprintable()
