"""``make bench-read``: an archive read to the store, beside ``scipy.io.mmread`` and beside inflating its matrix alone.

Each in a process of its own that has read the sample before, so that nothing is imported or compiled while it is timed;
in turns. ``mmread`` gives coordinates in memory, the least that a user of scipy needs; the store is checked counts on
disk with their sums. Inflating is isal's reader in one thread, and what is inflated is thrown away.
"""

import gzip
import multiprocessing
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Final

import click
from isal import igzip
from scipy import io

from shared.manifest import Input
from tests.bench.findings import Finding, conclude
from tests.bench.interruption import unwound
from tests.bench.population import SAMPLE
from tests.bench.processes import Cost, own_peak_mib
from tests.bench.synthetic import CACHE, ensure
from worker import heap
from worker.fetch import Fetched
from worker.gather import gather

DEFAULT_CELLS: Final = (30_000,)
INFLATED_BYTES: Final = 1_048_576
FASTER_THAN_MMREAD: Final = 4.0
TIMES_INFLATING: Final = 3.0
"""Promised: how many times faster than mmread, and at most how many times as long as inflating."""


def to_store(archive: Path) -> None:
    """Every count checked, summed and stored, in a process prepared as workers are."""
    heap.keep_freed()
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        known = Input(uri=archive.name, version="", size_bytes=archive.stat().st_size, sha256="")
        gather("bench", [Fetched(archive, known)], Path(scratch))


def by_mmread(archive: Path) -> None:
    """Coordinates in memory."""
    with _matrix(archive) as member, gzip.open(member) as text:
        io.mmread(text, spmatrix=False)


def inflated(archive: Path) -> None:
    """Nothing but the text."""
    with _matrix(archive) as member, igzip.IGzipFile(fileobj=member) as text:  # type: ignore[no-untyped-call]
        while text.read(INFLATED_BYTES):
            pass


@contextmanager
def _matrix(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/matrix.mtx.gz"))
        with archive.open(name) as member:
            yield member


WAYS: Final = (to_store, by_mmread, inflated)


def cost(way: Callable[[Path], None], archive: Path) -> Cost:
    """Of reading it in this process, with nothing left to import or compile."""
    way(Path(str(SAMPLE)))
    begin = time.perf_counter()
    way(archive)
    return Cost(time.perf_counter() - begin, own_peak_mib())


def measured(archive: Path, rounds: int) -> list[dict[str, Cost]]:
    """What each way cost, ``rounds`` times over; every other time in the opposite order."""
    results = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, max_tasks_per_child=1) as processes:
        for turn in range(rounds):
            costs = {}
            for way in WAYS[:: -1 if turn % 2 else 1]:
                costs[way.__name__] = found = processes.submit(cost, way, archive).result()
                click.echo(f"{archive.name}, {way.__name__}: {found.seconds:.2f} s", err=True)
            results.append(costs)
    return results


def findings(n_cells: int, results: Sequence[dict[str, Cost]]) -> list[Finding]:
    """Ratios, then seconds; medians of the rounds."""
    ours, scipys, least = (way.__name__ for way in WAYS)
    memory = {way: median(costs[way].peak_mib for costs in results) for way in results[0]}

    def ratio(of: str, to: str) -> float:
        return median(costs[of].seconds / costs[to].seconds for costs in results)

    return [
        Finding(
            f"{n_cells:,} cells: mmread / reading to the store, seconds",
            ratio(scipys, ours),
            at_least=FASTER_THAN_MMREAD,
            note=f"{memory[scipys]:,.0f} / {memory[ours]:,.0f} MiB",
        ),
        Finding(
            f"{n_cells:,} cells: reading to the store / inflating alone, seconds",
            ratio(ours, least),
            at_most=TIMES_INFLATING,
            note=f"{memory[ours]:,.0f} / {memory[least]:,.0f} MiB",
        ),
        *(
            Finding(f"{n_cells:,} cells: {way}, seconds", median(costs[way].seconds for costs in results))
            for way in results[0]
        ),
    ]


@click.command(context_settings={"show_default": True})
@click.argument("cells", nargs=-1, type=click.IntRange(1))
@click.option("--rounds", default=5, type=click.IntRange(1))
@click.option("--folder", default=CACHE, type=click.Path(path_type=Path, file_okay=False), help="Where matrices are.")
@click.option("--json", "as_json", is_flag=True)
def main(cells: Sequence[int], rounds: int, folder: Path, *, as_json: bool) -> None:
    """Print how fast matrices of so many CELLS are read, and beside what; exit 1 where a promise is broken.

    [default: 30000]
    """
    with unwound():
        found = []
        for n_cells in cells or DEFAULT_CELLS:
            found += findings(n_cells, measured(ensure(n_cells, folder).path, rounds))
        conclude(found, as_json=as_json)


if __name__ == "__main__":
    main()
