"""What a real worker process does with what cannot be worked."""

import json
from collections.abc import Iterator

import pytest

from tests.fleet.conftest import FIGURES, Command, Fleet, Site, letters, project, site
from tests.tiny import Tiny


@pytest.fixture(scope="module")
def here(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(endpoint, tmp_path_factory.mktemp("failures")) as here:
        yield here


@pytest.fixture(scope="module")
def worker(here: Site) -> Iterator[Command]:
    """One worker for all that fails."""
    with here.fleet.worker() as worker:
        yield worker
        assert worker.process.poll() is None


@pytest.mark.usefixtures("worker")
def test_a_permanent_failure_is_a_dead_letter_at_once_with_its_reason(here: Site) -> None:
    body = project("s3://no-such-bucket-here/matrix.h5ad", "missing") + " \n"
    here.sqs.send_message(QueueUrl=here.stack.queue_url, MessageBody=body)
    attributes = here.letter("missing")
    assert body in [letter["Body"] for letter in letters(here.sqs, here.stack)]
    assert attributes["dpss.reason"] == "matrix_not_found"
    assert attributes["dpss.stage"] == "fetch"
    assert attributes["dpss.attempts"] == "1"
    assert 0 < len(attributes["dpss.error"]) <= 1_024
    assert {"dpss.failed_at", "dpss.worker", "dpss.log"} <= attributes.keys()
    here.wait_until_settled()


@pytest.mark.usefixtures("worker")
def test_a_permanent_failure_is_recorded_beside_the_figures_and_gone_with_the_next_success(
    here: Site, tiny: dict[str, Tiny]
) -> None:
    record_key = f"{FIGURES}refused/failure.json"
    here.send("refused", b"this is no matrix")
    assert here.letter("refused")["dpss.reason"] == "unsupported_format"
    record = json.loads(here.s3.get_object(Bucket=here.stack.figure_bucket, Key=record_key)["Body"].read())
    assert record["reason"] == "unsupported_format"
    assert record.keys() == {"fingerprint", "reason", "error", "stage", "failed_at"}
    here.wait_until_settled()
    here.send("refused", tiny["lung"].contents)
    here.wait_until_settled()
    assert here.published("refused")
    found = here.s3.list_objects_v2(Bucket=here.stack.figure_bucket)["Contents"]
    assert record_key not in {item["Key"] for item in found}


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
