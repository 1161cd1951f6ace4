"""A process as the one that a worker forks its children from, and a child of it for each line of its stdin.

A line is JSON with ``matrix`` and ``out``; the answer has ``seconds`` from fork to end, and the child's ``peak_mib``.
"""

import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path

import click

from worker.child import PARENT_PID, die_with_parent
from worker.limits import THREADS

READY = "ready"


def main() -> None:
    """Warm up, say so, and work until stdin ends."""
    os.environ.update(THREADS | os.environ | {PARENT_PID: str(os.getpid())})
    import worker.warm  # noqa: F401, PLC0415 - its libraries read the environment as they are imported

    click.echo(READY)
    for line in sys.stdin:
        asked = json.loads(line)
        begin = time.perf_counter()
        if not (child := os.fork()):
            _work(Path(asked["matrix"]), Path(asked["out"]))
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - begin
        if status:
            sys.exit(f"the child ended with {os.waitstatus_to_exitcode(status)}")
        click.echo(json.dumps({"seconds": seconds, "peak_mib": _peak_mib(usage)}))


def _work(matrix: Path, out: Path) -> None:
    from worker.render import project_id_of, render  # noqa: PLC0415 - imported by worker.warm

    try:
        die_with_parent()
        render(matrix, project_id_of(matrix), out, ("png",), lambda _: None)
    except BaseException:  # noqa: BLE001 - a child returns to nobody
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _peak_mib(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss / (1_024 if sys.platform == "linux" else 1_048_576)


if __name__ == "__main__":
    main()
