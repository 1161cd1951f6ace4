"""The embedded SQS and S3 in a process of its own, so that nothing else waits for it."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from infra.local.emulator import emulator


@contextmanager
def served() -> Iterator[str]:
    """Start it; gives its address. It ends with the block, or with this process."""
    command = [sys.executable, "-m", "tests.chaos.server"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()


def main() -> None:
    """Say the address, and serve until standard input ends."""
    with emulator() as address:
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
