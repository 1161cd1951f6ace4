"""A server that shares no interpreter with what is measured."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SERVER = """
import sys
from infra.local.emulator import emulator
with emulator() as address:
    print(address, flush=True)
    sys.stdin.read()
"""


@contextmanager
def server() -> Iterator[str]:
    """The embedded SQS and S3 in a process of its own."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()
