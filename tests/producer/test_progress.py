"""Progress on stderr."""

import os
import pty
import subprocess
import sys
from collections.abc import Callable

from structlog.testing import capture_logs

from infra.local.stack import Stack
from producer.progress import LOG_ITEMS, LOG_SECONDS, watched


def test_items_pass_unchanged_and_are_logged_by_number_or_time() -> None:
    times = [0.0]
    with capture_logs() as logs:
        passed = 0
        for item in watched(range(LOG_ITEMS + 3), "projects", clock=lambda: times[-1]):
            assert item == passed
            passed += 1
            if passed == LOG_ITEMS + 2:
                times.append(float(LOG_SECONDS))
    assert passed == LOG_ITEMS + 3
    assert [log["count"] for log in logs] == [LOG_ITEMS, LOG_ITEMS + 2]
    assert logs[0]["event"] == "5,000 projects"


def test_on_a_terminal_a_line_moves(stack: Stack, put: Callable[..., str]) -> None:
    put("p1.h5ad")
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "producer.cli", "run", "--source", "canned"],
            env=os.environ | stack.environ() | {"TERM": "xterm"},
            stdout=subprocess.PIPE,
            stderr=theirs,
            check=True,
        )
        told = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "0 projects" in told
    assert b"enqueued" in done.stdout
