"""What a real worker process does with what cannot be worked."""

import json
import signal
from pathlib import Path

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local import stack as stacks
from infra.local.stack import Stack
from tests.fleet.conftest import Fleet, attributes_of, depth, environ_for, eventually, letters

SAMPLES = Path(stacks.__file__).parent / "samples"


@pytest.fixture
def strict_stack(sqs: SQSClient, s3: S3Client, request: pytest.FixtureRequest) -> Stack:
    """A stack whose first failure is the last attempt."""
    return stacks.create(sqs, s3, f"strict-{abs(hash(request.node.nodeid)) % 10**12}", max_receive_count=1)


def send(sqs: SQSClient, stack: Stack, body: str) -> None:
    sqs.send_message(QueueUrl=stack.queue_url, MessageBody=body)


def project(uri: str, project_id: str = "p") -> str:
    return json.dumps({"schema_version": 1, "project_id": project_id, "matrices": [{"uri": uri}]})


def put_sample(s3: S3Client, stack: Stack, name: str = "mouse_pancreas.mus_musculus.h5ad") -> str:
    s3.upload_file(str(SAMPLES / name), stack.matrix_bucket, name)
    return f"s3://{stack.matrix_bucket}/{name}"


def only_letter(sqs: SQSClient, stack: Stack) -> tuple[str, dict[str, str]]:
    (letter,) = letters(sqs, stack)
    return letter["Body"], attributes_of(letter)


@pytest.mark.parametrize(
    ("body", "reason", "stage"),
    [
        ("this is no JSON \x7f" + "x" * 5_000, "invalid_message", "message"),
        (project("s3://no-such-bucket-here/matrix.h5ad"), "matrix_not_found", "fetch"),
        (project("https://169.254.169.254/latest/meta-data"), "access_denied", "fetch"),
    ],
    ids=["no JSON", "no matrix", "a forbidden address"],
)
def test_a_permanent_failure_is_a_dead_letter_at_once_with_its_reason(
    fleet: Fleet, sqs: SQSClient, body: str, reason: str, stage: str
) -> None:
    send(sqs, fleet.stack, body)
    with fleet.worker("--until-idle", "2") as worker:
        assert worker.wait() == 0
        log = worker.log_path.read_text()
    letter, attributes = only_letter(sqs, fleet.stack)
    assert letter == body
    assert attributes["dpss.reason"] == reason
    assert attributes["dpss.stage"] == stage
    assert attributes["dpss.attempts"] == "1"
    assert 0 < len(attributes["dpss.error"]) <= 1024
    assert {"dpss.failed_at", "dpss.worker", "dpss.log"} <= attributes.keys()
    assert depth(sqs, fleet.stack.queue_url) == (0, 0)
    assert "x" * 300 not in log


@pytest.mark.parametrize(
    ("settings", "reason", "words"),
    [
        ({"DPSS_JOB_TIMEOUT_SECONDS": "0.2"}, "timeout", "DPSS_JOB_TIMEOUT_SECONDS"),
        ({"DPSS_JOB_MEMORY_MIB": "256"}, "out_of_memory", "ceiling of 256 MiB"),
    ],
    ids=["too slow", "too large"],
)
def test_a_project_over_a_limit_is_stopped_and_explained(
    strict_stack: Stack, tmp_path: Path, sqs: SQSClient, s3: S3Client, settings: dict[str, str], reason: str, words: str
) -> None:
    fleet = Fleet(strict_stack, tmp_path, environ_for(strict_stack) | {"DPSS_SCRATCH_DIR": str(tmp_path)})
    send(sqs, strict_stack, project(put_sample(s3, strict_stack)))
    with fleet.worker("--until-idle", "2", **settings) as worker:
        assert worker.wait() == 0
    _, attributes = only_letter(sqs, strict_stack)
    assert attributes["dpss.reason"] == reason
    assert words in attributes["dpss.error"]
    assert not list(tmp_path.glob("dpss-*"))


def test_a_passing_failure_is_tried_again_after_a_pause_and_buried_at_the_limit(
    fleet: Fleet, sqs: SQSClient, s3: S3Client
) -> None:
    redrive = json.loads(
        sqs.get_queue_attributes(QueueUrl=fleet.stack.queue_url, AttributeNames=["All"])["Attributes"]["RedrivePolicy"]
    )
    redrive["maxReceiveCount"] = 2
    sqs.set_queue_attributes(QueueUrl=fleet.stack.queue_url, Attributes={"RedrivePolicy": json.dumps(redrive)})
    send(sqs, fleet.stack, project(put_sample(s3, fleet.stack)))
    with fleet.worker(DPSS_JOB_TIMEOUT_SECONDS="0.2") as worker:
        eventually(lambda: worker.said("failed", attempt=1), "the first failure")
        assert not letters(sqs, fleet.stack)
        failed = eventually(lambda: worker.said("failed", attempt=2), "the second failure")
        assert failed["reason"] == "timeout"
        eventually(lambda: letters(sqs, fleet.stack), "the dead letter")
    _, attributes = only_letter(sqs, fleet.stack)
    assert attributes["dpss.attempts"] == "2"


def test_a_permanent_failure_is_recorded_beside_the_figures_and_gone_with_the_next_success(
    fleet: Fleet, sqs: SQSClient, s3: S3Client
) -> None:
    uri = f"s3://{fleet.stack.matrix_bucket}/p.h5ad"
    s3.put_object(Bucket=fleet.stack.matrix_bucket, Key="p.h5ad", Body=b"this is no matrix")
    send(sqs, fleet.stack, project(uri))
    record_key = "project-assets/project-stats/p/failure.json"
    with fleet.worker() as worker:
        eventually(lambda: letters(sqs, fleet.stack), "the dead letter")
        record = json.loads(s3.get_object(Bucket=fleet.stack.figure_bucket, Key=record_key)["Body"].read())
        assert record["reason"] == "unsupported_format"
        assert record.keys() == {"fingerprint", "reason", "error", "stage", "failed_at"}
        s3.upload_file(str(SAMPLES / "mouse_pancreas.mus_musculus.h5ad"), fleet.stack.matrix_bucket, "p.h5ad")
        send(sqs, fleet.stack, project(uri))
        eventually(lambda: worker.said("published"), "the figures")
        eventually(lambda: depth(sqs, fleet.stack.queue_url) == (0, 0), "the message's end")
    found = s3.list_objects_v2(Bucket=fleet.stack.figure_bucket)["Contents"]
    assert record_key not in {item["Key"] for item in found}


def test_an_idle_worker_told_to_stop_ends_well(fleet: Fleet) -> None:
    with fleet.worker() as worker:
        eventually(lambda: worker.said("started"), "the start")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.wait() == 0
        assert worker.said("stopped")


def test_a_worker_told_to_stop_releases_its_project_to_the_next(fleet: Fleet, sqs: SQSClient, s3: S3Client) -> None:
    send(sqs, fleet.stack, project(put_sample(s3, fleet.stack)))
    with fleet.worker(DPSS_SHUTDOWN_GRACE_SECONDS="0") as worker:
        eventually(lambda: worker.said("stage", stage="start"), "the project's start")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert depth(sqs, fleet.stack.queue_url) == (1, 0)
    assert not list((fleet.folder / "scratch").iterdir())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"DPSS_QUEUE_URL": ""}, "DPSS_QUEUE_URL must be set"),
        ({"DPSS_WORKER_SLOTS": "some"}, "DPSS_WORKER_SLOTS"),
        ({"DPSS_SCRATCH_DIR": "/no/such/folder"}, "DPSS_SCRATCH_DIR"),
        ({"DPSS_QUEUE_URL": "http://127.0.0.1:1/nowhere"}, "DPSS_QUEUE_URL"),
        ({"DPSS_DLQ_URL": "http://127.0.0.1:1/nowhere"}, "DPSS_DLQ_URL"),
        ({"DPSS_FIGURE_BUCKET": "no-such-bucket-here"}, "DPSS_FIGURE_BUCKET"),
    ],
)
def test_a_worker_that_cannot_be_configured_does_nothing_and_names_the_variable(
    fleet: Fleet, settings: dict[str, str], complaint: str
) -> None:
    ended = fleet.run("worker.cli", "run", "--until-idle", "1", **settings)
    assert ended.returncode == 2
    assert complaint in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr
