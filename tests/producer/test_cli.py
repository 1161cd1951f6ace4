"""The command as people and schedules run it: exit codes, stdout, stderr."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from shared import manifest
from shared.manifest import FailureRecord, Manifest
from shared.messages import MatrixReference
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error, fail_entries, say
from tests.faults.rules import s3_call, sqs_call, when
from tests.producer.conftest import FIGURES, PREFIX, Command
from tests.producer.letters import bury, message_body, visible

Put = Callable[..., str]
Publish = Callable[[str, bytes], None]
Work = Callable[[], list[dict[str, Any]]]


def _fingerprint(version: str) -> str:
    return manifest.fingerprint([MatrixReference(uri="s3://elsewhere/x", version=version)])


def _manifest(project_id: str, version: str) -> bytes:
    return Manifest(
        project_id=project_id,
        generated_at=datetime(2026, 11, 22, tzinfo=UTC),
        inputs=(),
        fingerprint=_fingerprint(version),
        entities=(),
    ).body()


def _failure(version: str) -> bytes:
    return FailureRecord(
        fingerprint=_fingerprint(version),
        reason="corrupt_matrix",
        error="[red]cut\x1b short",
        stage="read",
        failed_at=datetime(2026, 11, 22, tzinfo=UTC),
    ).body()


@pytest.fixture
def populated(put: Put, publish: Publish) -> None:
    """One project of each kind that the published state tells apart, and an unusable name."""
    publish("p-same/manifest.json", _manifest("p-same", put("p-same.h5ad", b"same")))
    publish("p-changed/manifest.json", _manifest("p-changed", "old"))
    put("p-changed.h5ad", b"changed")
    publish("p-failed/failure.json", _failure(put("p-failed.h5ad", b"failed")))
    publish("p-mended/failure.json", _failure("old"))
    put("p-mended.h5ad", b"mended")
    publish("p-torn/manifest.json", b"{torn")
    put("p-torn.h5ad", b"torn")
    put("p-new.homo_sapiens.mtx.zip", b"new")
    put("p-new.notes.pdf")


@pytest.mark.usefixtures("populated")
def test_the_daily_run_sends_what_is_due_and_ends_with_a_table(dpss: Command, work: Work, stack: Stack) -> None:
    done = dpss("run")
    assert done.code == 0, done.err
    lines = [line.rsplit(maxsplit=1) for line in done.out.splitlines() if line.strip()]
    assert {line[0].strip(): int(line[-1]) for line in lines if line[-1].isdigit()} == {
        "found": 7,
        "blacklisted": 0,
        "up to date": 1,
        "not targeted": 0,
        "unusable": 2,
        "enqueued": 4,
        "failed": 0,
    }
    assert "failed before: corrupt_matrix ([red]cut\\x1b short); --force sends it again" in done.out
    assert "p-new.notes.pdf" in done.out
    assert '"ProjectsEnqueued": 4' in done.err
    sent = {message["project_id"]: message for message in work()}
    assert set(sent) == {"p-changed", "p-mended", "p-torn", "p-new"}
    message = sent["p-new"]
    assert message["requested_by"] == "schedule"
    assert len({each["run_id"] for each in sent.values()}) == 1
    assert len(message["run_id"]) == 26
    assert (message["source"], message["force"]) == ("canned", False)
    assert message["matrices"][0]["uri"] == f"s3://{stack.matrix_bucket}/{PREFIX}p-new.homo_sapiens.mtx.zip"
    assert message["matrices"][0]["species"] == "homo_sapiens"


@pytest.mark.usefixtures("populated")
def test_force_sends_what_is_up_to_date_or_failed_before_too(dpss: Command, work: Work) -> None:
    done = dpss("run", "--force", "--json")
    assert (done.code, done.summary["enqueued"], done.summary["unusable"]) == (0, 6, 1)
    assert all(message["force"] for message in work())


@pytest.mark.usefixtures("populated")
def test_a_dry_run_names_what_it_would_send_and_needs_no_queue(dpss: Command, work: Work) -> None:
    done = dpss("run", "--dry-run", DPSS_QUEUE_URL="")
    assert done.code == 0
    told = [line for line in done.out.splitlines() if line.startswith("would send ")]
    assert [line.split()[2] for line in told] == ["p-changed:", "p-mended:", "p-new:", "p-torn:"]
    assert work() == []


@pytest.mark.usefixtures("populated")
def test_only_targets_are_sent_and_one_never_seen_is_told(dpss: Command, work: Work) -> None:
    done = dpss("run", "--project", "p-new", "--project", "p-gone", "--json")
    assert done.code == 0
    assert done.summary == {
        "found": 7,
        "blacklisted": 0,
        "up_to_date": 0,
        "not_targeted": 5,
        "unusable": 2,
        "enqueued": 1,
        "failed": 0,
        "dry_run": False,
        "error": None,
    }
    assert {row["project_id"]: row["reason"] for row in done.rows}["p-gone"] == "no matrix found"
    assert [message["project_id"] for message in work()] == ["p-new"]


def test_a_project_that_fails_fails_alone(
    dpss: Command, put: Put, work: Work, faulty: FaultyServer, stack: Stack
) -> None:
    for number in range(3):
        put(f"p{number}.h5ad")
    faulty.rules.append(when(s3_call(f"/{stack.figure_bucket}/{FIGURES}p1/"), error(403, "AccessDenied")))
    done = dpss("run", "--json", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith(
        f"access_denied: p1: reading s3://{stack.figure_bucket}/{FIGURES}p1/manifest.json"
    )
    assert {row["project_id"]: row["outcome"] for row in done.rows} == {
        "p0": "enqueued",
        "p1": "failed",
        "p2": "enqueued",
    }
    assert len(work()) == 2


def test_the_failure_record_is_read_only_where_the_manifest_is_not_up_to_date(
    dpss: Command, put: Put, publish: Publish, faulty: FaultyServer
) -> None:
    publish("p1/manifest.json", _manifest("p1", put("p1.h5ad")))
    assert dpss("run", "--json", AWS_ENDPOINT_URL=faulty.address).summary["up_to_date"] == 1
    assert not any("failure.json" in request.path for request in faulty.requests)


def test_a_listing_that_breaks_on_its_second_page_still_sends_what_is_complete(
    dpss: Command, work: Work, faulty: FaultyServer, stack: Stack
) -> None:
    # given a first page of two projects that says that there is more, and a second that is refused
    objects = "".join(
        f'<Contents><Key>{PREFIX}{name}.h5ad</Key><ETag>"v"</ETag><Size>6</Size></Contents>' for name in ("p0", "p1")
    )
    more = "<IsTruncated>true</IsTruncated><NextContinuationToken>more</NextContinuationToken>"
    page = say(200, f"<ListBucketResult>{more}{objects}</ListBucketResult>".encode())
    faulty.rules += [
        when(s3_call("continuation-token=more"), error(403, "AccessDenied")),
        when(s3_call(f"/{stack.matrix_bucket}?"), page),
    ]
    # when it runs
    done = dpss("run", "--json", "--project", "p0", "--project", "p9", AWS_ENDPOINT_URL=faulty.address)
    # then p0 is sent; p1, of which the second page may have more, is not, and p9 is not said to be missing
    assert done.code == 1
    assert done.last_words.startswith("access_denied: listing s3://")
    assert [(row["project_id"], row["outcome"]) for row in done.rows] == [("p0", "enqueued")]
    assert len(work()) == 1


def test_a_queue_that_refuses_ends_the_run_with_its_reason(dpss: Command, put: Put, faulty: FaultyServer) -> None:
    put("p1.h5ad")
    faulty.rules.append(when(sqs_call("SendMessageBatch"), error(403, "AccessDenied")))
    done = dpss("run", "--json", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith("access_denied: sending to the work queue")
    assert done.summary["failed"] == 1


def test_entries_that_the_queue_refuses_are_told_and_the_others_sent(
    dpss: Command, put: Put, work: Work, faulty: FaultyServer
) -> None:
    for number in range(3):
        put(f"p{number}.h5ad")
    faulty.rules.append(
        when(
            sqs_call("SendMessageBatch"), fail_entries(lambda entry: '"p1"' in entry["MessageBody"], sender_fault=True)
        )
    )
    done = dpss("run", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.last_words.startswith("publish_failed: p1: the work queue did not take the message: ToldToFail")
    assert sorted(message["project_id"] for message in work()) == ["p0", "p2"]


def test_more_unusable_names_than_a_person_reads_are_counted(dpss: Command, put: Put) -> None:
    for number in range(23):
        put(f"p{number:02d}.pdf")
    done = dpss("run")
    assert "p19.pdf" in done.out
    assert "p20.pdf" not in done.out
    assert "and 3 more, --json lists all" in done.out


def test_enqueue_lists_one_project_and_says_that_a_person_asked(dpss: Command, put: Put, work: Work) -> None:
    for name in ("p1.homo_sapiens.h5ad", "p1.mus_musculus.h5ad", "p10.h5ad", "p2.h5ad"):
        put(name)
    done = dpss("enqueue", "p1", "p2", "--json")
    assert (done.code, done.summary["enqueued"], done.summary["found"]) == (0, 2, 2)
    sent = {message["project_id"]: message for message in work()}
    assert {project_id: len(message["matrices"]) for project_id, message in sent.items()} == {"p1": 2, "p2": 1}
    assert {message["requested_by"] for message in sent.values()} == {"manual"}


def test_enqueue_of_a_project_without_a_matrix_fails(dpss: Command, put: Put) -> None:
    put("p10.h5ad")
    done = dpss("enqueue", "p1")
    assert done.code == 1
    assert done.last_words == "matrix_not_found: p1: no matrix found"


def test_enqueue_takes_matrices_by_hand(dpss: Command, put: Put, work: Work, stack: Stack) -> None:
    version = put("elsewhere/x.h5ad", b"12345")
    uri = f"s3://{stack.matrix_bucket}/{PREFIX}elsewhere/x.h5ad"
    link = "https://example.org/x.loom"
    done = dpss("enqueue", "p1", "--matrix", uri, "--matrix", link, DPSS_MATRIX_BUCKET="", DPSS_SOURCE="")
    assert done.code == 0, done.err
    (message,) = work()
    assert message["matrices"] == [
        {"uri": uri, "version": version, "size_bytes": 5, "library_construction": []},
        {"uri": link, "library_construction": []},
    ]


def test_enqueue_of_a_matrix_that_is_missing_sends_nothing(dpss: Command, work: Work, stack: Stack) -> None:
    uri = f"s3://{stack.matrix_bucket}/not-there.h5ad"
    done = dpss("enqueue", "p1", "--matrix", uri)
    assert (done.code, done.last_words) == (1, f"matrix_not_found: {uri}: not found")
    assert work() == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--source", "other"], "other"),
        (["run", "--project", "../p"], "no project id"),
        (["run", "--blacklist", "perhaps"], "perhaps"),
        (["run", "unexpected"], "unexpected"),
        (["enqueue"], "name at least one PROJECT_ID"),
        (["enqueue", "p1\n"], "no project id"),
        (["enqueue", "p1", "p2", "--matrix", "https://example.org/x"], "belongs to one project"),
        (["enqueue", "p1", "--matrix", "x.h5ad"], "s3:// or https://"),
        (["enqueue", "p1", "--matrix", "http://example.org/x"], "give https://"),
        (["enqueue", "p1", "--matrix", "s3://bucket"], "s3://BUCKET/KEY"),
        (["dlq", "replay", "--rate", "0"], "no rate above zero"),
        (["dlq", "replay", "--reason", "typo"], "typo"),
        (["dlq", "replay", "--limit", "0"], "limit"),
        (["unknown"], "unknown"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_done(arguments: list[str], told: str, dpss_here: Command) -> None:
    done = dpss_here(*arguments, AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert done.code == 2
    assert told in done.last_words
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "environ", "told"),
    [
        (["run"], {"DPSS_QUEUE_URL": "", "DPSS_FIGURE_BUCKET": ""}, "DPSS_FIGURE_BUCKET and DPSS_QUEUE_URL must"),
        (["run"], {"DPSS_MATRIX_BUCKET": ""}, "DPSS_MATRIX_BUCKET must be set"),
        (["enqueue", "p", "--matrix=https://x/y", "--blacklist"], {"DPSS_MATRIX_BUCKET": ""}, "DPSS_MATRIX_BUCKET"),
        (["status"], {"DPSS_DLQ_URL": ""}, "DPSS_DLQ_URL must be set"),
        (["dlq", "list"], {"DPSS_LOG_FORMAT": "xml"}, "DPSS_LOG_FORMAT"),
        (["run"], {"DPSS_BLACKLIST": "perhaps"}, "DPSS_BLACKLIST"),
        (["run", "--source=fresh", "--blacklist"], {"DPSS_MATRIX_BUCKET": ""}, "DPSS_MATRIX_BUCKET must be set"),
        (["run", "--source=fresh"], {"DPSS_PORTAL_URL": "portal"}, "DPSS_PORTAL_URL"),
        (["run", "--source=cellxgene", "--environ=integration"], {}, "cellxgene has no deployment integration"),
        (["run"], {"DPSS_FIGURE_BUCKET": "not-there-at-all"}, "DPSS_FIGURE_BUCKET: there is no bucket"),
        (["run"], {"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL"),
        (["status"], {"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_CONFIG_FILE": "/dev/null"}, "AWS_REGION"),
    ],
)
def test_a_wrong_setting_is_named(
    arguments: list[str], environ: dict[str, str], told: str, dpss_here: Command, put: Put
) -> None:
    put("p1.h5ad")
    done = dpss_here(*arguments, **environ)
    assert done.code == 2
    assert told in done.last_words
    assert "Traceback" not in done.err


def test_wrong_usage_and_wrong_settings_end_the_process_with_two(dpss: Command) -> None:
    usage, setting = dpss("run", "--source", "other"), dpss("run", DPSS_QUEUE_URL="")
    assert (usage.code, usage.out) == (setting.code, setting.out) == (2, "")
    assert "'other' is not one of" in usage.last_words
    assert setting.last_words == "Error: DPSS_QUEUE_URL must be set"


@pytest.mark.parametrize("command", ["run", "enqueue", "status", "dlq list", "dlq show", "dlq replay"])
def test_help_tells_default_and_variable_of_every_option(command: str, dpss_here: Command) -> None:
    done = dpss_here(*command.split(), "--help")
    assert done.code == 0
    told = " ".join(done.out.partition("Options:")[2].partition("Settings from")[0].split())
    options = told.count(" --") + told.startswith("--")
    assert told.count("[default: ") == told.count("env var") == options - 1, "all but --help"
    assert "DPSS_QUEUE_URL" in done.out


def test_a_command_told_to_stop_releases_its_letters(sqs: SQSClient, stack: Stack) -> None:
    for number in range(4):
        bury(sqs, stack, message_body(f"p{number}"), "timeout")
    # given a replay that is so slow that it waits for its second letter
    process = subprocess.Popen(
        [sys.executable, "-m", "producer.cli", "dlq", "replay", "--rate", "0.01"],
        env=os.environ | stack.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    name: Final = "ApproximateNumberOfMessagesNotVisible"
    while visible(sqs, stack.queue_url) == 0 or (
        sqs.get_queue_attributes(QueueUrl=stack.dlq_url, AttributeNames=[name])["Attributes"][name] != "3"
    ):
        assert process.poll() is None
    # when it is told to stop
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    # then it says so, and the three that were not sent are visible again
    assert process.returncode == 1
    assert told.splitlines()[-1] == "crashed: interrupted; what was sent stays sent"
    assert visible(sqs, stack.dlq_url) == 3


def test_the_region_may_be_given_as_aws_region_alone(dpss: Command) -> None:
    assert dpss("dlq", "list", AWS_DEFAULT_REGION="").code == 0


def test_a_reader_that_goes_away_ends_the_command_quietly(stack: Stack, s3: S3Client) -> None:
    for number in range(30):
        s3.put_object(Bucket=stack.matrix_bucket, Key=f"{PREFIX}p{number}.pdf", Body=b"x")
    command = f"{sys.executable} -m producer.cli run --json --source canned | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command],
        env=os.environ | stack.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
