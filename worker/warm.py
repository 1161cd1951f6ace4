"""Imported by the process that children are forked from: heavy imports and compiled kernels, paid for once.

A small made-up archive goes all the way, so that what is imported, compiled or cached at first use is there when a
project comes. One thread only: a pool of threads that exists before a fork hangs every child that uses it after.
"""

import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

import worker.cli  # the parent's main module, which multiprocessing imports in every child
import worker.job  # noqa: F401 - what every child needs
from shared.manifest import Input
from worker.build import Request, build
from worker.fetch import Fetched

Counts = npt.NDArray[np.int64]

CELLS: Final = 60
GENES: Final = 120


def _made_up() -> Counts:
    """Counts of genes (rows) in cells, mostly 0 as real ones; half of the cells have more of half of the genes."""
    counts = np.random.default_rng(0).poisson(0.08, (GENES, CELLS))
    counts[: GENES // 2, : CELLS // 2] *= 3
    return counts


def _archive(counts: Counts, path: Path) -> None:
    entries = [f"{gene + 1} {cell + 1} {counts[gene, cell]}" for cell, gene in np.argwhere(counts.T)]
    header = f"%%MatrixMarket matrix coordinate integer general\n{GENES} {CELLS} {len(entries)}\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("matrix.mtx", header + "\n".join(entries) + "\n")
        archive.writestr("genes.tsv", "".join(f"id-{n}\tMT-{n}\n" for n in range(GENES)))
        archive.writestr("barcodes.tsv", "".join(f"cell-{n}\n" for n in range(CELLS)))


def _table(counts: Counts, path: Path) -> None:
    rows = [["gene", *(f"cell-{n}" for n in range(CELLS))]]
    rows += [[f"MT-{gene}", *map(str, values)] for gene, values in enumerate(counts)]
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def _warm(write: Callable[[Counts, Path], None], name: str) -> None:
    with tempfile.TemporaryDirectory(prefix="dpss-warm-") as folder, threadpool_limits(1):
        path = Path(folder) / name
        write(_made_up(), path)
        known = Input(uri="", version="", size_bytes=0, sha256="")
        build(Request("warm", "", ("png",)), [Fetched(path, known)], Path(folder), lambda _: None)


_warm(_archive, "warm.zip")
if __name__ == "__main__":  # compiled and kept, for the few projects that need it, and not loaded for the others
    _warm(_table, "warm.tsv")
