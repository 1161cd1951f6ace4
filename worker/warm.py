"""Imported by the process that children are forked from: heavy imports and compiled kernels, paid for once.

A small made-up matrix goes all the way, so that what is imported, compiled or cached at first use is there when a
project comes. One thread only: a pool of threads that exists before a fork hangs every child that uses it after.
"""

import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from threadpoolctl import threadpool_limits

import worker.job  # noqa: F401 - what every child needs
from worker.figures.drawing import draw
from worker.figures.tables import write_tables
from worker.matrices.matrix import CountBlock, Genes
from worker.matrices.store import StoreWriter
from worker.stats.summarize import summarize
from worker.stats.summary import Subject

CELLS: Final = 60
GENES: Final = 120


def _made_up() -> CountBlock:
    counts = np.random.default_rng(0).poisson(1.0, (CELLS, GENES)).astype(np.float32)
    counts[: CELLS // 2, : GENES // 2] *= 3
    cells, genes = np.nonzero(counts)
    indptr = np.searchsorted(cells, np.arange(CELLS + 1))
    return CountBlock(indptr, genes.astype(np.int32), counts[cells, genes])


def _warm() -> None:
    names = np.array([f"gene {number}" for number in range(GENES)], dtype=object)
    genes = Genes(names, names)
    with tempfile.TemporaryDirectory(prefix="dpss-warm-") as folder, threadpool_limits(1):
        writer = StoreWriter(Path(folder) / "store")
        writer.append(_made_up())
        mito = np.arange(GENES) < 2  # noqa: PLR2004 - any two
        cell_ids = np.arange(CELLS).astype(str).astype(object)
        summary = summarize(writer.close(GENES), genes, mito, cell_ids, Subject("warm", None, "10X"), lambda _: None)
        draw(summary, Path(folder), ("png",))
        write_tables(summary, Path(folder))


_warm()
