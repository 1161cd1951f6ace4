"""Nothing that was started here outlives what started it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.processes import Processes, wait
from tests.local.process_tree import alive, descendants, eventually

STUBBORN_FAMILY = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
time.sleep(600)
"""
KEEPER = """
import sys, time
from pathlib import Path
from infra.local.processes import Processes
import os
with Processes(os.environ, Path(sys.argv[1])) as processes:
    processes.start("sleeper", ["python", "-c", "print('up', flush=True); import time; time.sleep(600)"])
    time.sleep(600)
"""


def said(log: Path, word: str) -> bool:
    return log.exists() and word in log.read_text()


def test_at_the_end_of_the_block_even_a_deaf_grandchild_is_gone(tmp_path: Path) -> None:
    with Processes(os.environ, tmp_path) as processes:
        process = processes.start("family", ["python", "-c", STUBBORN_FAMILY])
        eventually(lambda: said(process.log, "deaf"))
        family = descendants(process.popen.pid) | {process.popen.pid}
        assert len(family) == 2
    eventually(lambda: not alive(family))  # the kernel was told; it takes its time


def test_what_a_process_said_last_and_its_exit_code_are_told(tmp_path: Path) -> None:
    with Processes(os.environ, tmp_path) as processes:
        process = processes.start("unlucky", ["python", "-c", "raise SystemExit('no such luck')"])
        assert wait([process], 30)
        assert process.failed
        assert process.last_words().startswith("unlucky ended with exit code 1")
        assert "no such luck" in process.last_words()


def test_standard_output_goes_where_it_is_sent_and_the_rest_to_the_log(tmp_path: Path) -> None:
    code = "import sys; print('a table'); print('a word', file=sys.stderr)"
    with (tmp_path / "out").open("w+") as out, Processes(os.environ, tmp_path) as processes:
        process = processes.start("speaker", ["python", "-c", code], out)
        assert wait([process], 30)
    assert (tmp_path / "out").read_text() == "a table\n"
    assert process.log.read_text() == "a word\n"


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL] if sys.platform == "linux" else [])
def test_the_kernel_ends_them_with_a_parent_that_could_not_say_goodbye(ending: signal.Signals, tmp_path: Path) -> None:
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, str(tmp_path)])
    eventually(lambda: said(tmp_path / "sleeper.log", "up"))
    children = descendants(keeper.pid)
    assert children
    keeper.send_signal(ending)
    keeper.wait()
    eventually(lambda: not alive(children))
