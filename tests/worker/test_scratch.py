"""The worker's own folder: there while it lives, swept by another when it was killed."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.errors import SettingsError
from worker.health import WORKER_FOLDER
from worker.scratch import project_folder, worker_folder

OWNER = """
import sys
from pathlib import Path
from worker.scratch import worker_folder
with worker_folder(Path(sys.argv[1])) as folder:
    (folder / "matrix").write_text("half a matrix")
    print(folder, flush=True)
    sys.stdin.read()
"""


@contextmanager
def owner(scratch: Path) -> Iterator[tuple["subprocess.Popen[str]", Path]]:
    """Another process that has a folder below ``scratch`` until its stdin ends."""
    command = [sys.executable, "-c", OWNER, str(scratch)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield process, Path(process.stdout.readline().rstrip("\n"))
        finally:
            process.kill()


def test_the_folder_is_gone_when_the_worker_ends(tmp_path: Path) -> None:
    with worker_folder(tmp_path) as folder:
        (folder / "matrix").touch()
        assert folder.parent == tmp_path
        assert folder.name.startswith(WORKER_FOLDER)
    assert not list(tmp_path.iterdir())


def test_the_folder_of_a_killed_worker_is_swept_by_the_next_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    with owner(tmp_path) as (killed, left), owner(tmp_path) as (living, kept):
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert (left / "matrix").exists()
        with worker_folder(tmp_path) as own:
            assert set(tmp_path.iterdir()) == {kept, own}
            assert (kept / "matrix").exists()
        assert set(tmp_path.iterdir()) == {kept}
        living.communicate("")
        assert living.returncode == 0
        assert not list(tmp_path.iterdir())


def test_what_others_keep_in_the_same_place_is_left_alone(tmp_path: Path) -> None:
    theirs = [tmp_path / f"{WORKER_FOLDER}notes", tmp_path / "matrices"]
    for folder in theirs:
        folder.mkdir()
    with worker_folder(tmp_path):
        pass
    assert set(tmp_path.iterdir()) == set(theirs)


def test_a_place_that_cannot_be_written_to_is_a_setting_to_change(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingsError, match="DPSS_SCRATCH_DIR"), worker_folder(file):
        pass


async def _used(folder: Path) -> Path:
    async with project_folder(folder) as made:
        (made / "store").touch()
        assert made.parent == folder
        return made


def test_a_project_leaves_nothing(tmp_path: Path) -> None:
    made = asyncio.run(_used(tmp_path))
    assert not made.exists()
