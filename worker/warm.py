"""Imported by the process that children are forked from: heavy imports and compiled kernels, paid for once.

A small made-up archive goes all the way, so that what is imported, compiled or cached at first use is there when a
project comes. One thread only: a pool of threads that exists before a fork hangs every child that uses it after.
"""

import tempfile
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

import worker.cli  # the parent's main module, which multiprocessing imports in every child
import worker.job  # noqa: F401 - what every child needs
from shared.manifest import Input
from worker.build import Request, build
from worker.fetch import Fetched

CELLS: Final = 60
GENES: Final = 120


def _made_up(path: Path) -> None:
    """An archive of counts in which half of the cells have more of half of the genes."""
    counts = np.random.default_rng(0).poisson(1.0, (CELLS, GENES))
    counts[: CELLS // 2, : GENES // 2] *= 3
    entries = [f"{gene + 1} {cell + 1} {counts[cell, gene]}" for cell, gene in np.argwhere(counts)]
    header = f"%%MatrixMarket matrix coordinate integer general\n{GENES} {CELLS} {len(entries)}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("matrix.mtx", header + "\n".join(entries) + "\n")
        archive.writestr("genes.tsv", "".join(f"id-{n}\tMT-{n}\n" for n in range(GENES)))
        archive.writestr("barcodes.tsv", "".join(f"cell-{n}\n" for n in range(CELLS)))


def _warm() -> None:
    with tempfile.TemporaryDirectory(prefix="dpss-warm-") as folder, threadpool_limits(1):
        path = Path(folder) / "warm.zip"
        _made_up(path)
        known = Input(uri="", version="", size_bytes=0, sha256="")
        build(Request("warm", "", ("png",)), [Fetched(path, known)], Path(folder), lambda _: None)


_warm()
