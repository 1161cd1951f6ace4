"""What S3 and SQS held comes back with the next run."""

import json
import uuid
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local import stack as stacks
from infra.local.stack import Stack
from infra.local.state import State, dead_letters, object_etags, opened, restore, save
from shared.errors import SettingsError

BODY = '{ "project_id" :\t"ä-€-🧬",\r\n "odd": "\\u0041"}  '


@pytest.fixture
def another_stack(sqs: SQSClient, s3: S3Client) -> Stack:
    """Where a later run restores to."""
    return stacks.create(sqs, s3, f"later-{uuid.uuid4().hex[:12]}")


def test_objects_come_back_with_bytes_content_type_and_metadata(
    tmp_path: Path, stack: Stack, another_stack: Stack, sqs: SQSClient, s3: S3Client
) -> None:
    s3.put_object(
        Bucket=stack.figure_bucket,
        Key="stats/a.homo_sapiens/10X/violin.png",
        Body=b"\x89PNG\x00",
        ContentType="image/png",
        CacheControl="no-cache",
        Metadata={"cells": "3"},
    )
    with opened(tmp_path / "state", fresh=False) as state:
        save(state, stack, sqs, s3)
    with opened(tmp_path / "state", fresh=False) as state:
        restore(state, another_stack, sqs, s3)
    found = s3.get_object(Bucket=another_stack.figure_bucket, Key="stats/a.homo_sapiens/10X/violin.png")
    assert found["Body"].read() == b"\x89PNG\x00"
    assert (found["ContentType"], found["CacheControl"], found["Metadata"]) == ("image/png", "no-cache", {"cells": "3"})
    assert object_etags(s3, another_stack.figure_bucket) == object_etags(s3, stack.figure_bucket)


def test_dead_letters_come_back_byte_for_byte_with_all_attributes(
    tmp_path: Path, stack: Stack, another_stack: Stack, sqs: SQSClient, s3: S3Client
) -> None:
    attributes = {
        "dpss.reason": {"DataType": "String", "StringValue": "corrupt_matrix"},
        "dpss.attempts": {"DataType": "Number", "StringValue": "1"},
        "other": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    sqs.send_message(QueueUrl=stack.dlq_url, MessageBody=BODY, MessageAttributes=attributes)  # type: ignore[arg-type]
    for number in range(12):
        sqs.send_message(QueueUrl=stack.dlq_url, MessageBody=str(number))
    with opened(tmp_path / "state", fresh=False) as state:
        save(state, stack, sqs, s3)
        restore(state, another_stack, sqs, s3)
    letters = dead_letters(sqs, another_stack.dlq_url)
    assert sorted(letter["body"] for letter in letters) == sorted([BODY, *map(str, range(12))])
    [restored] = [letter for letter in letters if letter["body"] == BODY]
    assert restored["attributes"] == {**attributes, "other": {"DataType": "Binary", "BinaryValue": "AP8="}}


def test_an_object_that_was_deleted_or_changed_is_so_in_the_folder(
    tmp_path: Path, stack: Stack, sqs: SQSClient, s3: S3Client
) -> None:
    with opened(tmp_path / "state", fresh=False) as state:
        for key in ("p/failure.json", "p/manifest.json"):
            s3.put_object(Bucket=stack.figure_bucket, Key=key, Body=b"before")
        save(state, stack, sqs, s3)
        s3.delete_object(Bucket=stack.figure_bucket, Key="p/failure.json")
        s3.put_object(Bucket=stack.figure_bucket, Key="p/manifest.json", Body=b"after", ContentType="text/plain")
        save(state, stack, sqs, s3)
    assert [path.name for path in state.figures.rglob("*") if path.is_file()] == ["manifest.json"]
    assert (state.figures / "p/manifest.json").read_bytes() == b"after"
    assert json.loads(state.objects.read_bytes())["p/manifest.json"]["ContentType"] == "text/plain"


def test_fresh_forgets_earlier_runs(tmp_path: Path, stack: Stack, sqs: SQSClient, s3: S3Client) -> None:
    s3.put_object(Bucket=stack.figure_bucket, Key="p/manifest.json", Body=b"{}")
    sqs.send_message(QueueUrl=stack.dlq_url, MessageBody="letter")
    with opened(tmp_path, fresh=False) as state:
        save(state, stack, sqs, s3)
    with opened(tmp_path, fresh=True) as state:
        assert state.kept_dead_letters() == []
        assert [path for path in state.figures.rglob("*") if path.is_file()] == []


def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "thesis.png").write_bytes(b"mine")
    with pytest.raises(SettingsError, match="something else"), opened(tmp_path, fresh=True):
        pass
    assert (tmp_path / "figures" / "thesis.png").read_bytes() == b"mine"
    assert not (tmp_path / ".lock").exists()


def test_two_runs_cannot_share_a_folder(tmp_path: Path) -> None:
    with (
        opened(tmp_path, fresh=False),
        pytest.raises(SettingsError, match="another dpss-local"),
        opened(tmp_path, fresh=False),
    ):
        pass


def test_a_damaged_file_of_the_state_names_itself_and_the_remedy(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.dead_letters.write_text("[{")
    with pytest.raises(SettingsError, match=r"dead-letters\.json: .* line 1 .*--fresh"):
        state.kept_dead_letters()


def test_an_object_whose_key_leaves_the_folder_is_refused(
    tmp_path: Path, stack: Stack, sqs: SQSClient, s3: S3Client
) -> None:
    s3.put_object(Bucket=stack.figure_bucket, Key="x/../../outside", Body=b"")
    with opened(tmp_path / "state", fresh=False) as state, pytest.raises(SettingsError, match="outside"):
        save(state, stack, sqs, s3)
    assert not (tmp_path / "outside").exists()
