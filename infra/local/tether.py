"""Become another program that ends with its parent: ``python -m infra.local.tether PARENT_PID COMMAND…``.

A program of its own rather than a ``preexec_fn``, which is not safe beside the emulator's threads.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""prctl(2), Linux."""


def main() -> None:
    """Ask the kernel to be killed with the parent, where it can, and become the command."""
    parent, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == int(parent):  # else it ended before it could be asked for
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
