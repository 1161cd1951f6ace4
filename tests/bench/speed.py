"""``make bench``: from an archive to eight figures, the worker beside a plain scanpy script, on the same files.

Four ways, in turns, so that a noisy machine is noisy for all: scanpy in a process of its own from its start; scanpy
once more in that process, when everything is imported and compiled; ours in a child forked from a warmed process, as a
worker does; ours as ``dpss-worker render`` from the start of its process. What numba keeps on disk is compiled before.
"""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

import click

from tests.bench.findings import Finding, conclude
from tests.bench.interruption import unwound
from tests.bench.population import SAMPLE, SAMPLE_CELLS
from tests.bench.processes import Cost, all_output, folder_of_one_run, next_line, started
from tests.bench.synthetic import CACHE, ensure
from tests.bench.warm import READY

if TYPE_CHECKING:
    from subprocess import Popen

DEFAULT_CELLS: Final = (SAMPLE_CELLS, 30_000)
SCANPY, SCANPY_WARM, WORKER, RENDER = "scanpy's process", "scanpy warm", "a warm worker", "dpss-worker render"
WAYS: Final = (SCANPY, SCANPY_WARM, WORKER, RENDER)
PROMISED: Final = {
    (3_000, SCANPY): 6.0,
    (3_000, SCANPY_WARM): 2.0,
    (30_000, SCANPY): 6.0,
    (100_000, SCANPY): 6.0,
}
"""At how many times the speed of a way a warm worker is promised to be, by the number of cells."""
PROMISED_MEMORY: Final = {100_000: 8.0}
"""How many times its memory scanpy is promised to need."""


@dataclass(frozen=True, slots=True)
class Round:
    """What each way cost once."""

    costs: dict[str, Cost]

    def ratio(self, way: str, ours: str) -> float:
        """How many times the seconds of ``ours`` the ``way`` took."""
        return self.costs[way].seconds / self.costs[ours].seconds


def scanpy_twice(matrix: Path) -> dict[str, Cost]:
    """The script from the start of its process, and once more in the same."""
    with folder_of_one_run() as out:
        begin = time.monotonic()
        with started("tests.bench.scanpy_script", [str(matrix), out, "--times", "2"]) as process:
            first, second = (json.loads(next_line(process)) for _ in range(2))
    return {
        SCANPY: Cost(first["ended"] - begin, first["peak_mib"]),
        SCANPY_WARM: Cost(second["ended"] - second["began"], second["peak_mib"]),
    }


def rendered(matrix: Path) -> dict[str, Cost]:
    """``dpss-worker render``, a process of its own."""
    with folder_of_one_run() as out:
        begin = time.monotonic()
        with started("worker.cli", ["render", str(matrix), "--out", out, "--json"]) as process:
            manifest = json.loads(all_output(process))
        return {RENDER: Cost(time.monotonic() - begin, manifest["peak_rss_mib"])}


def worked(matrix: Path, warm: "Popen[str]") -> dict[str, Cost]:
    """A child of the warmed process."""
    with folder_of_one_run() as out:
        assert warm.stdin
        warm.stdin.write(json.dumps({"matrix": str(matrix), "out": out}) + "\n")
        warm.stdin.flush()
        answer = json.loads(next_line(warm))
    return {WORKER: Cost(answer["seconds"], answer["peak_mib"])}


def rounds(matrix: Path, number: int, warm: "Popen[str]") -> Iterator[Round]:
    """What each way cost, ``number`` times over; every other time in the opposite order."""
    ways = [scanpy_twice, lambda path: worked(path, warm), rendered]
    for turn in range(number):
        costs: dict[str, Cost] = {}
        for way in ways[:: -1 if turn % 2 else 1]:
            costs |= way(matrix)
        for name in WAYS:
            _progress(f"  round {turn + 1}, {name}: {costs[name].seconds:.1f} s, {costs[name].peak_mib:,.0f} MiB")
        yield Round(costs)


def found(n_cells: int, measured: Sequence[Round]) -> tuple[list[Finding], list[Finding]]:
    """Ratios, and seconds and memory of each way: medians of the rounds, ratios within each."""
    memory = {way: median(each.costs[way].peak_mib for each in measured) for way in WAYS}
    ratios = [
        Finding(
            f"{n_cells:,} cells: {way} / {ours}, seconds",
            median(each.ratio(way, ours) for each in measured),
            at_least=PROMISED.get((n_cells, way)) if ours == WORKER else None,
            note=f"{memory[way]:,.0f} / {memory[ours]:,.0f} MiB",
        )
        for ours in (WORKER, RENDER)
        for way in (SCANPY, SCANPY_WARM)
    ]
    share = memory[SCANPY] / memory[WORKER]
    ratios.append(
        Finding(f"{n_cells:,} cells: {SCANPY} / {WORKER}, memory", share, at_least=PROMISED_MEMORY.get(n_cells))
    )
    seconds = [
        Finding(
            f"{n_cells:,} cells: {way}, seconds",
            median(each.costs[way].seconds for each in measured),
            note=f"{memory[way]:,.0f} MiB; {', '.join(f'{each.costs[way].seconds:.1f}' for each in measured)}",
        )
        for way in WAYS
    ]
    return ratios, seconds


def _progress(text: str) -> None:
    click.echo(text, err=True)


@click.command(context_settings={"show_default": True})
@click.argument("cells", nargs=-1, type=click.IntRange(1))
@click.option("--rounds", "number", default=3, type=click.IntRange(1))
@click.option("--folder", default=CACHE, type=click.Path(path_type=Path, file_okay=False), help="Where matrices are.")
@click.option("--json", "as_json", is_flag=True)
def main(cells: Sequence[int], number: int, folder: Path, *, as_json: bool) -> None:
    """Print ratios with peak memory beside, then seconds, of matrices of so many CELLS; 1 where a promise is broken.

    3000 is pbmc3k, which is real; others are made.  [default: 3000 30000]
    """
    with unwound():
        sample = Path(str(SAMPLE))
        matrices = {
            n_cells: sample if n_cells == SAMPLE_CELLS else ensure(n_cells, folder).path
            for n_cells in cells or DEFAULT_CELLS
        }
        _progress("compiling what numba keeps on disk")
        scanpy_twice(sample)
        rendered(sample)
        ratios, seconds = list[Finding](), list[Finding]()
        with started("tests.bench.warm", []) as warm:
            assert next_line(warm) == READY
            for n_cells, matrix in matrices.items():
                _progress(f"{matrix.name}, {n_cells:,} cells")
                more_ratios, more_seconds = found(n_cells, list(rounds(matrix, number, warm)))
                ratios += more_ratios
                seconds += more_seconds
        conclude([*ratios, *seconds], as_json=as_json)


if __name__ == "__main__":
    main()
