"""``python -m tests.fuzz.search TARGET FOLDER…``: one target's search, by libFuzzer, in a process of its own."""

import sys
import tempfile
from pathlib import Path

import atheris

from tests.fuzz.interpreted import interpret_kernels

interpret_kernels()
with atheris.instrument_imports(include=["worker.matrices", "zipfile", "tarfile"], enable_loader_override=False):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Search until libFuzzer's own limits, which are among the arguments."""
    target = TARGETS[sys.argv.pop(1)]

    def once(data: bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="fuzz-") as room:
            target(data, Path(room))

    atheris.Setup(sys.argv, once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
