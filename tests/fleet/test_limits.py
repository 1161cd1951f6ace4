"""What one project may use, and several at once: memory, time, slots."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.faults.gate import holding
from tests.faults.reactions import hang
from tests.faults.rules import s3_call, sqs_call, when
from tests.fleet.conftest import Command, Site, depth, eventually, handles, outliving, site
from tests.tiny import Tiny
from worker import limits

CEILING_MIB = 700
"""About twice what a tiny project has at its peak."""
HELD_SECONDS = 60
"""For a request whose client is stopped long before."""


def with_cells(pancreas: bytes, cells: int, name_characters: int) -> bytes:
    """The matrix with empty cells added, whose names take little room in the file."""
    made = io.BytesIO(pancreas)
    with h5py.File(made, "r+") as file:
        ends = file["X/indptr"][()]
        del file["X/indptr"], file["obs/index"]
        ends = np.concatenate([ends, np.full(cells - len(ends) + 1, ends[-1])])
        file["X"].create_dataset("indptr", data=ends, chunks=(10_000,), compression="gzip")
        file["X"].attrs["shape"] = (cells, file["X"].attrs["shape"][1])
        at_once = max(1_000, 1_000_000 // name_characters)
        names = np.full(at_once, b"x" * name_characters)
        index = file["obs"].create_dataset("index", (cells,), names.dtype, chunks=(at_once,), compression="lzf")
        for first in range(0, cells, at_once):
            index[first : first + at_once] = names[: cells - first]
    return made.getvalue()


@pytest.fixture(scope="module")
def place(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two attempts a message."""
    with site(endpoint, tmp_path_factory.mktemp("limits"), max_receive_count=2) as place:
        yield place


@pytest.fixture(scope="module")
def pair(place: Site) -> Iterator[Command]:
    """A worker with two slots that has to survive all that its projects do."""
    settings = {"DPSS_WORKER_SLOTS": "2", "DPSS_JOB_MEMORY_MIB": str(CEILING_MIB), "DPSS_VISIBILITY_SECONDS": "6"}
    with place.fleet.worker(**settings) as worker:
        yield worker
        assert worker.process.poll() is None


def renewals(place: Site) -> Counter[str]:
    """How often each receipt of a message was renewed; to end a lease is no renewal."""
    asked = [json.loads(request.body) for request in place.server.sent(sqs_call("ChangeMessageVisibility"))]
    return Counter(call["ReceiptHandle"] for call in asked if call["VisibilityTimeout"] > 0)


def test_two_projects_at_once_each_have_a_lease_of_their_own(place: Site, pair: Command, tiny: dict[str, Tiny]) -> None:
    with holding(place.server, s3_call("/twin-", method="HEAD")) as gate:
        for project_id in ("twin-one", "twin-two"):
            place.send(project_id, tiny["lung"].contents)
        gate.held(2)
        assert len(pair.children()) == 2
        eventually(lambda: [n for n in renewals(place).values() if n >= 2][1:], "two renewals of each lease")
        assert len(renewals(place)) == 2
    place.wait_until_settled()
    assert place.published("twin-one")
    assert place.published("twin-two")


@pytest.mark.parametrize(
    ("cells", "name_characters", "words"),
    [
        (7_000_000, 10, r"stopped at a peak of ([\d,]+) MiB, above its ceiling of 700 MiB \(DPSS_JOB_MEMORY_MIB\)"),
        (40_000, 20_000, r"more memory was refused at a peak of ([\d,]+) MiB; its ceiling is 700 MiB"),
    ],
    ids=["growing", "at once"],
)
def test_a_project_that_wants_too_much_memory_is_stopped_and_nothing_else(
    place: Site, pair: Command, tiny: dict[str, Tiny], cells: int, name_characters: int, words: str
) -> None:
    hog, good, later = f"hog-{cells}", f"good-{cells}", f"later-{cells}"
    with holding(place.server, s3_call(f"-{cells}.", method="HEAD")) as gate:
        place.send(hog, with_cells(tiny["pancreas"].contents, cells, name_characters))
        place.send(good, tiny["lung"].contents)
        gate.held(2)
        assert len(pair.children()) == 2
    failed = eventually(lambda: pair.said("failed", project_id=hog, attempt=1), "the first failure")
    assert (failed["reason"], failed["stage"]) == ("out_of_memory", "read")
    place.send(later, tiny["lung"].contents)
    letter = place.letter(hog)
    assert (letter["dpss.reason"], letter["dpss.stage"], letter["dpss.attempts"]) == ("out_of_memory", "read", "2")
    told = re.search(words, letter["dpss.error"])
    assert told, letter["dpss.error"]
    assert int(told[1].replace(",", "")) > CEILING_MIB / 4
    place.wait_until_settled()
    for project_id in (good, later):
        assert place.published(project_id)
        assert not pair.said("failed", project_id=project_id)


def test_a_project_that_takes_too_long_is_stopped(endpoint: str, tmp_path: Path, tiny: dict[str, Tiny]) -> None:
    with (
        site(endpoint, tmp_path, max_receive_count=1) as place,
        place.fleet.worker(DPSS_JOB_TIMEOUT_SECONDS="3") as worker,
        place.server.imposed(when(s3_call("/slow.", method="HEAD"), hang(HELD_SECONDS))),
    ):
        place.send("slow", tiny["lung"].contents)
        eventually(lambda: worker.said("stage", stage="fetch"), "the child's first stage")
        with handles(worker.children()) as running:
            letter = place.letter("slow")
            assert running
            assert not outliving(running, 0)
        assert (letter["dpss.reason"], letter["dpss.stage"]) == ("timeout", "fetch")
        assert letter["dpss.error"] == "stopped after 3 s (DPSS_JOB_TIMEOUT_SECONDS)"

        # no child is ever started
        warm = worker.warm_process()
        assert warm
        with handles([warm]) as running:
            os.kill(warm, signal.SIGSTOP)
            place.send("never", tiny["lung"].contents)
            letter = place.letter("never")
            assert not outliving(running, 0)
        assert (letter["dpss.reason"], letter["dpss.stage"]) == ("timeout", "start")
        assert worker.process.poll() is None


def test_a_second_project_waits_for_memory_and_stays_on_the_queue(
    endpoint: str, tmp_path: Path, tiny: dict[str, Tiny]
) -> None:
    budget = limits.budget_mib(limits.container_memory_mib())
    assert budget
    with site(endpoint, tmp_path) as place:
        for project_id in ("one", "two"):
            place.send(project_id, tiny["lung"].contents)
        settings = {"DPSS_WORKER_SLOTS": "2", "DPSS_JOB_MEMORY_MIB": str(int(0.6 * budget))}
        with (
            place.fleet.worker(**settings) as worker,
            holding(place.server, s3_call(f"/{place.stack.matrix_bucket}/", method="HEAD")) as gate,
        ):
            gate.held()
            turns_of_the_loop(place, 3)
            assert len(worker.children()) == 1
            assert len(gate.held()) == 1
            assert depth(place.sqs, place.stack.queue_url) == (1, 1)
            gate.open()
            place.wait_until_settled()
            ends = [line["event"] for line in worker.log() if line["event"] in {"received", "published"}]
            assert ends == ["received", "published"] * 2
        asked = [json.loads(request.body) for request in place.server.sent(sqs_call("ReceiveMessage"))]
        assert {call["MaxNumberOfMessages"] for call in asked} == {1}


def turns_of_the_loop(place: Site, number: int) -> None:
    """Wait until the only worker's loop has turned so often: it touches a file each time."""
    (alive,) = place.scratch.glob("*/alive")
    for _ in range(number):
        last = alive.stat().st_mtime_ns
        eventually(lambda last=last: alive.stat().st_mtime_ns > last, "a turn of the loop")  # type: ignore[misc]


def test_memory_beyond_the_ceiling_is_refused_and_below_it_is_not() -> None:
    script = """
import numpy as np
from worker.limits import bound_memory
bound_memory(512)
kept = np.ones(256 << 20, np.uint8)
try:
    np.ones(512 << 20, np.uint8)
except MemoryError:
    print("refused")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "refused\n"
