"""``make test-images``: both images are built, and do the demo's work as a user who can write nowhere else."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local import emulator as local
from infra.local import samples
from infra.local.stack import Stack
from tests.fleet.conftest import attributes_of, eventually, letters
from tests.images.engine import Engine, base_image, engine

MATRICES = "project-assets/project-matrices/"
FIGURES = "project-assets/project-stats/"
PRODUCER, WORKER = "dpss-test-producer", "dpss-test-worker"
STOP_SECONDS = 10
SMALLER = 3
"""How many times smaller than the worker's image the producer's is, at the least."""

pytestmark = pytest.mark.timeout(3_600)


@pytest.fixture(scope="module")
def built() -> Engine:
    """Both images, made anew."""
    found = engine()
    found.build("Dockerfile.producer", PRODUCER, base_image())
    found.build("Dockerfile.worker", WORKER, base_image())
    return found


@dataclass
class Fleet:
    """Queues, buckets and the variables that lead to them."""

    stack: Stack
    environ: Mapping[str, str]
    sqs: SQSClient
    s3: S3Client
    folder: Path


@pytest.fixture
def fleet(aws: str, stack: Stack, sqs: SQSClient, s3: S3Client, tmp_path: Path) -> Fleet:
    settings = {"DPSS_LOG_FORMAT": "json", "DPSS_SOURCE": "canned"}
    return Fleet(stack, {**local.client_environ(aws), **stack.environ(), **settings}, sqs, s3, tmp_path)


def lines(log: Path) -> list[dict[str, Any]]:
    """The log's lines."""
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def said(log: Path, event: str) -> dict[str, Any] | None:
    return next((line for line in lines(log) if line["event"] == event), None)


def test_each_image_says_what_it_is_and_runs_as_nobody_in_particular(built: Engine) -> None:
    for tag, command in ((PRODUCER, "producer"), (WORKER, "worker")):
        config = built.config(tag)
        assert config["Entrypoint"] == ["python", "-m", command]
        assert config["User"] == "10001:10001"
        assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert built.config(WORKER)["Healthcheck"]["Test"] == ["CMD", "python", "-m", "worker.health"]


def test_the_producers_image_is_under_a_third_of_the_workers(built: Engine) -> None:
    sizes = {tag: built.size_bytes(tag) for tag in (PRODUCER, WORKER)}
    print("".join(f"\n{tag}: {size / 1e6:,.0f} MB unpacked" for tag, size in sizes.items()))  # noqa: T201 - a report
    assert SMALLER * sizes[PRODUCER] < sizes[WORKER]


def test_the_demos_work_is_done_inside_them(built: Engine, fleet: Fleet) -> None:
    samples.put(fleet.s3, fleet.stack.matrix_bucket, MATRICES, "blacklist")
    produced, worked = fleet.folder / "producer", fleet.folder / "worker"

    with built.running(PRODUCER, ["run", "--blacklist"], fleet.environ, produced) as container:
        assert container.wait(120) == 0, produced.read_text()
    with built.running(WORKER, ["run", "--until-idle", "3"], fleet.environ, worked) as container:
        begun = time.time()
        assert container.wait(600) == 0, worked.read_text()[-4_000:]

    expected = {project.id: project.failure for project in samples.PROJECTS if not project.blacklisted}
    failed = {
        json.loads(letter["Body"])["project_id"]: attributes_of(letter) for letter in letters(fleet.sqs, fleet.stack)
    }
    assert {project: found["dpss.reason"] for project, found in failed.items()} == {
        project: reason for project, reason in expected.items() if reason
    }
    for project, reason in expected.items():
        if reason is None:
            body = fleet.s3.get_object(Bucket=fleet.stack.figure_bucket, Key=f"{FIGURES}{project}/manifest.json")
            assert json.load(body["Body"])["entities"], project
    assert [line for line in worked.read_text().splitlines() if not line.startswith("{")] == []
    assert built.written() == []
    for event in ("received", "published"):
        found = said(worked, event)
        assert found
        after = datetime.fromisoformat(found["timestamp"]).timestamp() - begun
        print(f"\nfirst {event} {after:.1f} s after the container's start")  # noqa: T201 - a report


WARM = """
import os, pathlib, runpy, tempfile
from worker import kernels, limits
os.environ.update(limits.THREADS | os.environ)
kernels.adopt(os.environ, pathlib.Path(tempfile.mkdtemp()))
from numba.core import event
compiled = event.RecordingListener()
event.register("numba:compile", compiled)
runpy.run_module("worker.warm", run_name="__main__")
kept = {path.name.partition("-")[0] for path in pathlib.Path(os.environ[kernels.CACHE]).rglob("*.nbc")}
assert {"market_text._parse", "text._parse", "components._add_pairs"} <= kept, kept
assert not compiled.buffer, f"{len(compiled.buffer)} compilations begun and ended"
"""


def test_no_kernel_is_compiled_that_the_image_brought_along(built: Engine, fleet: Fleet) -> None:
    log = fleet.folder / "warm"
    with built.running(WORKER, ["-c", WARM], fleet.environ, log, entrypoint="python") as container:
        assert container.wait(300) == 0, log.read_text()[-4_000:]


def test_a_worker_is_healthy_and_is_reached_by_the_signal_that_stops_it(built: Engine, fleet: Fleet) -> None:
    log = fleet.folder / "worker"
    with built.running(WORKER, ["run"], fleet.environ, log) as container:
        eventually(lambda: said(log, "ready"), "a worker at work")
        container.run(*built.config(WORKER)["Healthcheck"]["Test"][1:])
        container.stop()
        assert container.wait(STOP_SECONDS) == 0, log.read_text()[-4_000:]
    assert built.written() == []
