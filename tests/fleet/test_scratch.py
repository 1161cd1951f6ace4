"""A scratch folder that is full: a small file system of its own, which no other process sees."""

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.fleet.conftest import Command, Site, eventually, site
from tests.tiny import Tiny

ROOM_MIB = 24
CELLS = 30_000


@pytest.fixture(scope="module")
def private_mount() -> list[str]:
    """The command that gives a process mounts of its own; skips where the machine allows nobody to have them."""
    command = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    tried = subprocess.run([*command, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"neither root nor user namespaces may mount here: {tried.stderr.decode().strip()}")
    return command


@pytest.fixture(scope="module")
def place(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One attempt a message."""
    with site(endpoint, tmp_path_factory.mktemp("small"), max_receive_count=1) as place:
        yield place


@pytest.fixture(scope="module")
def worker(place: Site, private_mount: list[str]) -> Iterator[Command]:
    """A worker with little room, that has to survive being out of it."""
    mount = 'mount -t tmpfs -o size="$1" tmpfs "$DPSS_SCRATCH_DIR" && shift && exec "$@"'
    within = (*private_mount, "sh", "-c", mount, "sh", f"{ROOM_MIB}m")
    with place.fleet.worker(within=within) as worker:
        eventually(lambda: place.server.calls("ReceiveMessage"), "the first poll")
        yield worker
        assert worker.process.poll() is None


def counts(pancreas: bytes) -> bytes:
    """A matrix of equal counts, too large for a byte, that takes a hundred times as much room when it is not packed."""
    made = io.BytesIO(pancreas)
    with h5py.File(made, "r+") as file:
        genes = int(file["X"].attrs["shape"][1])
        packed = {"chunks": (10_000,), "compression": "gzip"}
        for name in ("data", "indices", "indptr"):
            del file["X"][name]
        file["X"].create_dataset("data", data=np.full(CELLS * genes, 300, np.float32), **packed)
        file["X"].create_dataset("indices", data=np.tile(np.arange(genes, dtype=np.int32), CELLS), **packed)
        file["X"].create_dataset("indptr", data=np.arange(CELLS + 1) * genes, **packed)
        file["X"].attrs["shape"] = (CELLS, genes)
        del file["obs/index"]
        file["obs"]["index"] = np.array([f"cell-{number}" for number in range(CELLS)], "S")
    return made.getvalue()


def left_in_scratch(place: Site, worker: Command) -> set[str]:
    """What lies in the worker's own folder, as it sees it."""
    (folder,) = Path(f"/proc/{worker.process.pid}/root{place.scratch}").iterdir()
    return {path.name for path in folder.iterdir()}


def is_full_and_clean_again(place: Site, worker: Command, project_id: str, contents: bytes) -> dict[str, str]:
    """The dead letter of a project that does not fit, after which there is what there was before."""
    before = left_in_scratch(place, worker)
    place.send(project_id, contents)
    letter = place.letter(project_id)
    place.wait_until_settled()
    assert letter["dpss.reason"] == "scratch_full"
    assert "DPSS_SCRATCH_DIR" in letter["dpss.error"]
    assert left_in_scratch(place, worker) == before
    return letter


def test_a_matrix_that_does_not_fit_is_not_even_fetched(place: Site, worker: Command) -> None:
    letter = is_full_and_clean_again(place, worker, "large", b"\0" * (ROOM_MIB << 19))
    assert letter["dpss.stage"] == "fetch"
    assert "of 13 MB wants 3 times that" in letter["dpss.error"]
    assert not place.server.sent(lambda request: request.method == "GET" and "/large." in request.path)


def test_a_project_that_fills_the_scratch_folder_leaves_it_as_it_was(
    place: Site, worker: Command, tiny: dict[str, Tiny]
) -> None:
    packed = counts(tiny["pancreas"].contents)
    assert len(packed) * 3 < ROOM_MIB << 19
    letter = is_full_and_clean_again(place, worker, "growing", packed)
    assert letter["dpss.stage"] == "read"
    assert "No space left on device" in letter["dpss.error"]
    place.send("small", tiny["lung"].contents)
    place.wait_until_settled()
    assert place.published("small")
