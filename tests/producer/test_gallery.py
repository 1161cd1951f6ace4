"""``dpss-producer gallery`` on a real bucket, and the index after a run."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client

from infra.local.stack import Stack
from shared.manifest import FailureRecord
from tests.faults.proxy import FaultyServer
from tests.faults.reactions import error
from tests.faults.rules import s3_call, when
from tests.manifests import manifest
from tests.markup import Markup
from tests.producer.conftest import FIGURES, Command
from tests.producer.test_index_page import data

Publish = Callable[[str, bytes], None]
Put = Callable[..., str]

FAILURE = FailureRecord(
    fingerprint="f",
    reason="corrupt_matrix",
    error="cut short",
    stage="read",
    failed_at=datetime(2026, 11, 20, tzinfo=UTC),
).body()


@pytest.fixture
def index(s3: S3Client, stack: Stack) -> Callable[[], dict[str, dict[str, Any]]]:
    """The records in the index, by project."""

    def read() -> dict[str, dict[str, Any]]:
        found = s3.get_object(Bucket=stack.figure_bucket, Key=f"{FIGURES}index.html")
        assert (found["ContentType"], found["CacheControl"]) == ("text/html; charset=utf-8", "max-age=60")
        return {each["project"]: each for each in data(Markup.of(found["Body"].read()), "projects")}

    return read


Index = Callable[[], dict[str, dict[str, Any]]]


@pytest.fixture
def published(publish: Publish) -> None:
    """A project in each state, and what is none."""
    for name in ("good", "good-but-old", "outdated"):
        publish(f"{name}/manifest.json", manifest(name).body())
    for name in ("good", "outdated", "failed", "busy"):
        publish(f"{name}/index.html", b"<!doctype html>")
    publish("good.homo_sapiens/10X/umap.png", b"png")
    publish("outdated/failure.json", FAILURE)
    publish("failed/failure.json", FAILURE)
    publish("busy/publishing.json", b"{}")
    publish("torn/manifest.json", b"{torn")
    publish("torn/index.html", b"<!doctype html>")
    publish("no project/manifest.json", manifest().body())
    publish("only-a-page/index.html", b"")
    publish("index.html", b"of yesterday")


@pytest.mark.usefixtures("published")
def test_every_project_is_in_the_index_with_its_state(dpss_here: Command, index: Index) -> None:
    done = dpss_here("gallery", "--json", DPSS_QUEUE_URL="", DPSS_DLQ_URL="")
    assert done.code == 0, done.err
    found = index()
    states = {name: each["state"] for name, each in found.items()}
    assert states == {
        "good": "published",
        "good-but-old": "published",
        "outdated": "outdated",
        "failed": "failed",
        "busy": "publishing",
        "torn": "unreadable",
    }
    assert {name for name, each in found.items() if each.get("page")} == {"good", "outdated", "busy", "torn"}
    assert (found["good"]["cells"], found["good"]["alerts"], found["good"]["date"]) == (2_700, 2, "2026-11-22")
    assert (found["outdated"]["date"], found["outdated"]["reason"]) == ("2026-11-22", "corrupt_matrix")
    assert (found["failed"]["date"], found["failed"]["error"]) == ("2026-11-20", "cut short")
    assert done.summary == {
        "projects": 6,
        "published": 2,
        "outdated": 1,
        "failed": 1,
        "publishing": 1,
        "unreadable": 1,
        "uri": done.summary["uri"],
        "bytes": done.summary["bytes"],
    }


@pytest.mark.usefixtures("published")
def test_a_manifest_that_cannot_be_read_is_named_and_does_not_end_it(
    dpss_here: Command, index: Index, stack: Stack, publish: Publish, faulty: FaultyServer
) -> None:
    publish("outdated/failure.json", b"[]")
    faulty.rules.append(when(s3_call(f"{FIGURES}good/manifest.json"), error(403, "AccessDenied")))
    done = dpss_here("gallery", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 0, done.err
    *named, last = done.out.splitlines()
    assert [line[:32] for line in named] == [
        "cannot be read: good: reading s3",
        "cannot be read: outdated: outdat",
        "cannot be read: torn: torn/manif",
    ]
    assert last == (
        "6 projects (2 published, 1 failed, 1 being published, 2 cannot be read): "
        f"s3://{stack.figure_bucket}/{FIGURES}index.html"
    )
    assert index()["outdated"]["state"] == "published"


@pytest.mark.parametrize(
    "rubbish",
    [
        manifest().body().replace(b'"cells": 2700', b'"cells": 1e999'),
        manifest().body().replace(b'"cells": 2700', b'"cells": NaN'),
        manifest().body().replace(b"2026-11-22T03:04:00Z", b"0001-01-01T00:00:00+14:00"),
    ],
    ids=["endless cells", "cells that are no number", "a time before all others"],
)
def test_numbers_and_times_that_nobody_can_print_make_one_project_unreadable(
    dpss_here: Command, index: Index, publish: Publish, rubbish: bytes
) -> None:
    assert rubbish != manifest().body()
    publish("good/manifest.json", manifest("good").body())
    publish("p/manifest.json", rubbish)
    done = dpss_here("gallery")
    assert done.code == 0, done.err
    assert done.out.startswith("cannot be read: p: p/manifest.json: ")
    assert {name: each["state"] for name, each in index().items()} == {"good": "published", "p": "unreadable"}


def test_a_listing_of_several_pages_is_read_to_its_end_and_only_manifests_are_asked_for(
    dpss_here: Command, index: Index, publish: Publish, faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a listing of four pages, of fifty keys each
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "50")
    names = [f"project-{number:04d}" for number in range(60)]

    def one(name: str) -> None:
        publish(f"{name}/manifest.json", manifest(name).body())
        publish(f"{name}/index.html", b"page")
        publish(f"{name}.homo_sapiens/10X/umap.png", b"png")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, names))
    # when the index is made
    done = dpss_here("gallery", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 0, done.err
    # then each project is in it, and cost one request; what did not change costs none the next time
    assert sorted(index()) == names
    assert len(faulty.sent(s3_call())) == 1 + 4 + len(names) + 1
    before = index()
    publish("project-0007/failure.json", FAILURE)
    assert dpss_here("gallery", AWS_ENDPOINT_URL=faulty.address).code == 0
    assert len(faulty.sent(s3_call())) == (1 + 4 + len(names) + 1) + (1 + 4 + 2 + 1)
    changed = {name for name, each in index().items() if each != before[name]}
    assert changed == {"project-0007"}
    assert index()["project-0007"]["state"] == "outdated"


def test_the_index_stays_as_it_was_where_not_all_could_be_looked_at(
    dpss_here: Command, publish: Publish, s3: S3Client, stack: Stack, faulty: FaultyServer
) -> None:
    publish("index.html", b"of yesterday")
    publish("p/manifest.json", manifest().body())
    faulty.rules.append(when(s3_call(f"{FIGURES}p/"), error(404, "NoSuchBucket")))
    assert dpss_here("gallery", AWS_ENDPOINT_URL=faulty.address).code == 2
    faulty.rules.append(when(s3_call("list-type=2"), error(403, "AccessDenied")))
    done = dpss_here("gallery", AWS_ENDPOINT_URL=faulty.address)
    assert (done.code, done.last_words[:22]) == (1, "access_denied: listing")
    assert s3.get_object(Bucket=stack.figure_bucket, Key=f"{FIGURES}index.html")["Body"].read() == b"of yesterday"


def test_an_index_of_nothing_is_written(dpss_here: Command, index: Index) -> None:
    done = dpss_here("gallery")
    assert done.code == 0
    assert done.out.startswith("0 projects (none yet)")
    assert index() == {}


def test_a_run_ends_with_a_new_index_and_a_dry_run_does_not(
    dpss_here: Command, index: Index, publish: Publish, put: Put, s3: S3Client
) -> None:
    publish("p/manifest.json", manifest().body())
    put("q.h5ad")
    assert dpss_here("run", "--dry-run").code == 0
    with pytest.raises(s3.exceptions.NoSuchKey):
        index()
    done = dpss_here("run", "--json")
    assert done.code == 0, done.err
    assert done.summary["enqueued"] == 1
    assert '"event": "index written"' in done.err
    assert set(index()) == {"p"}


@pytest.mark.parametrize("failing", [False, True], ids=["a run that went well", "a run that did not"])
def test_an_index_that_cannot_be_written_is_told_and_does_not_hide_the_run(
    dpss_here: Command, put: Put, faulty: FaultyServer, *, failing: bool
) -> None:
    put("p.h5ad")
    put("q.h5ad")
    faulty.rules.append(when(s3_call(method="PUT", ends="index.html"), error(403, "AccessDenied")))
    if failing:
        faulty.rules.append(when(s3_call(f"{FIGURES}q/"), error(403, "AccessDenied")))
    done = dpss_here("run", "--json", AWS_ENDPOINT_URL=faulty.address)
    assert done.code == 1
    assert done.summary["enqueued"] == 2 - failing
    assert "access_denied: the index of projects was not written: writing s3://" in done.err
    assert done.last_words.startswith("access_denied: q: " if failing else "access_denied: the index")
