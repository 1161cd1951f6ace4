"""The container's health check, as a process beside workers' loops that are processes too."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from worker.health import BEAT_SECONDS, SILENT_SECONDS, Heartbeat

PATIENCE_SECONDS = 60

LOOP = """
import asyncio, sys
from pathlib import Path
from worker.health import Heartbeat

async def turn():
    heartbeat = Heartbeat(Path(sys.argv[1]))
    while True:
        heartbeat.beat()
        await asyncio.sleep(0.01)

asyncio.run(turn())
"""

PROBE = """
import json, sys
before = set(sys.modules)
import worker.health
print(json.dumps(sorted(set(sys.modules) - before)))
"""


@contextmanager
def loop(folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that turns and beats in ``folder``."""
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", LOOP, str(folder)]) as process:
        try:
            yield process
        finally:
            process.kill()


def check(scratch: Path, **environ: str) -> "subprocess.CompletedProcess[str]":
    """The health check of workers in ``scratch``, with nothing inherited."""
    return subprocess.run(
        [sys.executable, "-m", "worker.health"],
        env={"DPSS_SCRATCH_DIR": str(scratch)} | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def wait_for_beat(folder: Path, since: float = 0) -> None:
    """Return once the loop has beaten after ``since``, in seconds since the epoch."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        beats = [file.stat().st_mtime for file in folder.glob("alive")]
        if beats and beats[0] > since:
            return
        time.sleep(0.01)
    pytest.fail("the loop did not beat")


def silence(folder: Path, seconds: float) -> None:
    """Make the last beat as old as that."""
    then = time.time() - seconds
    os.utime(folder / "alive", (then, then))


def test_a_worker_whose_loop_turns_is_well(tmp_path: Path) -> None:
    folder = tmp_path / "dpss-worker-a"
    with loop(folder):
        wait_for_beat(folder)
        verdict = check(tmp_path)
    assert (verdict.returncode, verdict.stdout, verdict.stderr) == (0, "", "")


def test_a_loop_that_stands_still_is_noticed_and_one_that_goes_on_is_well_again(tmp_path: Path) -> None:
    folder = tmp_path / "dpss-worker-a"
    with loop(folder) as process:
        wait_for_beat(folder)
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        silence(folder, SILENT_SECONDS + 1)
        since = time.strftime("%Y-%m-%dT%H:%M", time.gmtime((folder / "alive").stat().st_mtime))
        frozen = check(tmp_path)
        process.send_signal(signal.SIGCONT)
        wait_for_beat(folder, time.time() - SILENT_SECONDS / 2)
        thawed = check(tmp_path)
    assert frozen.returncode == 1
    assert frozen.stderr.startswith(f"the worker's loop is silent since {since}")
    assert frozen.stderr.count("\n") == 1
    assert thawed.returncode == 0


def test_a_turn_that_takes_long_but_less_than_the_limit_is_well(tmp_path: Path) -> None:
    (tmp_path / "dpss-worker-a").mkdir()
    Heartbeat(tmp_path / "dpss-worker-a").beat()
    silence(tmp_path / "dpss-worker-a", SILENT_SECONDS - PATIENCE_SECONDS)
    assert check(tmp_path).returncode == 0


def test_what_a_killed_worker_left_does_not_count_and_does_not_harm(tmp_path: Path) -> None:
    killed, living = tmp_path / "dpss-worker-a", tmp_path / "dpss-worker-b"
    with loop(killed):
        wait_for_beat(killed)
    silence(killed, 3_600)
    assert check(tmp_path).returncode == 1
    with loop(living):
        wait_for_beat(living)
        assert check(tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["nothing", "dpss-worker-that-never-turned", "another-program"])
def test_where_no_worker_is_there_is_none_that_is_well(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    verdict = check(tmp_path)
    assert verdict.returncode == 1
    assert verdict.stderr == f"no worker: no dpss-worker-*/alive in {tmp_path}\n"


def test_a_beat_of_the_future_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "dpss-worker-a").mkdir()
    Heartbeat(tmp_path / "dpss-worker-a").beat()
    silence(tmp_path / "dpss-worker-a", -3_600)
    assert check(tmp_path).returncode == 1


@pytest.mark.parametrize("variable", ["TMPDIR", "TEMP", "TMP"])
def test_without_a_setting_workers_are_looked_for_where_temporary_files_go(tmp_path: Path, variable: str) -> None:
    (tmp_path / "dpss-worker-a").mkdir()
    Heartbeat(tmp_path / "dpss-worker-a").beat()
    verdict = subprocess.run(
        [sys.executable, "-m", "worker.health"], env={variable: str(tmp_path)}, check=False, timeout=PATIENCE_SECONDS
    )
    assert verdict.returncode == 0


def test_a_loop_that_turns_fast_touches_the_file_once_a_second(tmp_path: Path) -> None:
    now = 1_000.0
    heartbeat = Heartbeat(tmp_path, clock=lambda: now)
    heartbeat.beat()
    silence(tmp_path, 60)
    untouched = (tmp_path / "alive").stat().st_mtime
    now += BEAT_SECONDS * 0.9
    heartbeat.beat()
    assert (tmp_path / "alive").stat().st_mtime == untouched
    now += BEAT_SECONDS * 0.2
    heartbeat.beat()
    assert (tmp_path / "alive").stat().st_mtime > untouched + 30


def test_a_beat_without_a_place_for_it_is_no_error(tmp_path: Path) -> None:
    now = 1_000.0
    heartbeat = Heartbeat(tmp_path / "dpss-worker-a", clock=lambda: now)
    heartbeat.beat()
    (tmp_path / "dpss-worker-a").mkdir()
    now += BEAT_SECONDS
    heartbeat.beat()
    assert check(tmp_path).returncode == 0


def test_the_check_imports_the_standard_library_alone(tmp_path: Path) -> None:
    probe = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, cwd=tmp_path)
    packages = {module.partition(".")[0] for module in json.loads(probe.stdout)}
    assert packages - sys.stdlib_module_names == {"worker"}
    assert not packages & {"asyncio", "logging", "tempfile"}
