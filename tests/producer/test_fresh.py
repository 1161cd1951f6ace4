"""The daily run on the Human Cell Atlas as its portal lists it: the command against a stand-in."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from shared import manifest
from shared.manifest import FailureRecord, Manifest
from shared.messages import MatrixReference
from tests.portals.azul import Azul, azul, document, entry, hit, tree, uuid
from tests.portals.scripted import Reply
from tests.producer.conftest import Command, Finished

Publish = Callable[[str, bytes], None]
Work = Callable[[], list[dict[str, Any]]]
NEW, SAME, FAILED, LISTED, EMPTY, BROKEN = map(uuid, range(1, 7))
WHEN = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def service() -> Iterator[Azul]:
    """One project of each kind that a run tells apart."""
    with azul() as service:
        service.hits = [hit(id_, tree(entry(n, "m.loom"))) for n, id_ in enumerate((NEW, SAME, FAILED, LISTED))]
        service.hits += [hit(EMPTY, tree(entry(8, "reads.bam"))), {"entryId": BROKEN}]
        yield service


@pytest.fixture
def run(service: Azul, dpss: Command) -> Callable[..., Finished]:
    """The command, with the stand-in as its portal."""
    return lambda *arguments: dpss(*arguments, DPSS_SOURCE="fresh", DPSS_PORTAL_URL=service.url)


def _references(message: dict[str, Any]) -> list[MatrixReference]:
    return [MatrixReference.model_validate(matrix) for matrix in message["matrices"]]


def _publish_all(messages: list[dict[str, Any]], publish: Publish) -> None:
    """As workers would, who found one project's matrix corrupt."""
    for message in messages:
        project_id, fingerprint = message["project_id"], manifest.fingerprint(_references(message))
        if project_id == FAILED:
            record = FailureRecord(
                fingerprint=fingerprint, reason="corrupt_matrix", error="cut", stage="read", failed_at=WHEN
            )
            publish(f"{project_id}/failure.json", record.body())
        else:
            made = Manifest(project_id=project_id, generated_at=WHEN, inputs=(), fingerprint=fingerprint, entities=())
            publish(f"{project_id}/manifest.json", made.body())


def test_every_project_is_explained(
    run: Callable[..., Finished], work: Work, publish: Publish, s3: S3Client, stack: Stack
) -> None:
    # given a run of yesterday, whose messages workers have settled
    yesterday = run("run", "--project", SAME, "--project", FAILED, "--json")
    assert yesterday.summary["enqueued"] == 2
    _publish_all(work(), publish)
    s3.put_object(Bucket=stack.matrix_bucket, Key="blacklist", Body=LISTED.encode())
    # when today's is planned
    done = run("run", "--blacklist", "--json")
    # then each project has its outcome, with the reason, and what was chosen and passed over
    rows = {row["project_id"]: row for row in done.rows}
    assert {project_id: row["outcome"] for project_id, row in rows.items()} == {
        NEW: "enqueued",
        SAME: "up_to_date",
        FAILED: "unusable",
        LISTED: "blacklisted",
        EMPTY: "unusable",
        BROKEN: "failed",
    }
    assert rows[FAILED]["reason"] == "failed before: corrupt_matrix (cut); --force sends it again"
    assert (rows[EMPTY]["code"], rows[BROKEN]["code"]) == ("matrix_not_found", "source_unavailable")
    assert rows[EMPTY]["passed_over"] == [{"name": "reads.bam", "reason": "bam is no format of count matrices"}]
    assert rows[NEW]["taken"] == rows[SAME]["taken"] == ["homo_sapiens: 1 file of DCP/2 Analysis (loom)."]
    (message,) = work()
    assert (message["project_id"], message["source"]) == (NEW, "fresh")
    assert message["choice"] == rows[NEW]["taken"]
    # and one project's trouble makes the run fail only at its end
    assert done.code == 1
    assert done.last_words.startswith(f"source_unavailable: {BROKEN}: the answer is not as documented (projects")


def test_what_changed_is_sent_again_and_nothing_else(
    run: Callable[..., Finished], service: Azul, work: Work, publish: Publish
) -> None:
    # given projects that are up to date, and one that failed for good
    service.hits = service.hits[:4]
    run("run")
    _publish_all(work(), publish)
    assert run("run", "--json").summary["enqueued"] == 0
    # when the portal has another version of one file, which is listed at other addresses, and a label changes
    moved, changed, mended, labelled = (
        tree(entry(0, "m.loom", azul_url="https://elsewhere.example.org/f?x=1")),
        tree(entry(1, "m.loom", version="2026-01-01T00:00:00.000000Z")),
        tree(entry(2, "m.loom", sha256="ab" * 32)),
        tree(entry(3, "m.loom"), library="Smart-seq2"),
    )
    trees = (moved, changed, mended, labelled)
    service.hits = [hit(id_, of) for id_, of in zip((NEW, SAME, FAILED, LISTED), trees, strict=True)]
    run("run")
    # then what can change the figures is sent, and a mere address is not
    assert {message["project_id"] for message in work()} == {SAME, FAILED, LISTED}


def test_a_project_is_sent_by_hand_by_its_id(run: Callable[..., Finished], work: Work, service: Azul) -> None:
    done = run("enqueue", NEW, "--json")
    assert (done.code, done.summary["enqueued"]) == (0, 1)
    assert service.asked == ["/index/catalogs", f"/index/projects/{NEW}"]
    (message,) = work()
    assert (message["requested_by"], message["source"]) == ("manual", "fresh")
    useless = run("enqueue", EMPTY, "--json")
    assert [row["outcome"] for row in useless.rows] == ["failed"]
    assert useless.last_words.startswith(f"matrix_not_found: {EMPTY}: no matrix to read. Passed over (bam is no format")
    gone = run("enqueue", uuid(99))
    assert (gone.code, gone.last_words) == (1, f"matrix_not_found: {uuid(99)}: no matrix found")


def test_a_target_without_a_matrix_is_told_once(run: Callable[..., Finished]) -> None:
    done = run("run", "--project", EMPTY, "--json")
    told = [row for row in done.rows if row["project_id"] == EMPTY]
    assert [row["outcome"] for row in told] == ["unusable"]
    assert (done.code, done.summary["found"], done.summary["not_targeted"]) == (0, 6, 5)


def test_a_portal_that_fails_half_way_ends_the_run_after_what_it_listed(
    run: Callable[..., Finished], work: Work, service: Azul
) -> None:
    service.page_size = 2
    following = "/index/projects?catalog=dcp99&size=100&sort=projectId&order=asc&search_after=2"
    service.portal.answers(following, Reply(403))
    done = run("run", "--json")
    assert done.code == 1
    assert done.last_words.startswith("access_denied: ")
    assert done.last_words.endswith("2 of 6 projects of catalog dcp99 were listed before")
    assert {message["project_id"] for message in work()} == {NEW, SAME}
    assert done.summary["found"] == 2


def test_an_empty_catalog_is_a_run_without_projects(run: Callable[..., Finished], service: Azul) -> None:
    service.hits = []
    done = run("run", "--json")
    assert (done.code, done.summary["found"]) == (0, 0)
    assert "the catalog lists no projects" in done.err


def test_collections_are_a_source_as_well(dpss: Command, work: Work, service: Azul) -> None:
    asset = {"filetype": "H5AD", "url": "https://datasets.cellxgene.cziscience.com/x.h5ad"}
    dataset = {"collection_id": NEW, "dataset_id": "d", "dataset_version_id": "v", "assets": [asset]}
    service.portal.answers("/curation/v1/datasets", document([dataset]))
    done = dpss("run", "--source", "cellxgene", DPSS_PORTAL_URL=f"{service.url}/curation/v1")
    assert done.code == 0, done.err
    (message,) = work()
    assert (message["project_id"], message["source"], message["matrices"][0]["version"]) == (NEW, "cellxgene", "v")
