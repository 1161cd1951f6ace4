"""``make bench-atlas``: ``dpss-worker render`` on matrices up to an atlas's size: time by stage, and memory.

The matrices are made once and kept. Time per non-zero is that of the stages from ``read`` to ``components``, which look
at every count; the total is from the start of the process to its manifest.
"""

import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import click

from tests.bench.findings import Finding, conclude
from tests.bench.interruption import unwound
from tests.bench.population import SAMPLE, SAMPLE_CELLS
from tests.bench.processes import Cost, all_output, started
from tests.bench.synthetic import CACHE, Format, ensure, refuse_without_room

DEFAULT_CELLS: Final = (100_000, 1_300_000)
SCRATCH_BYTES_PER_CELL: Final = 12_000
"""Room that a run may need beside the matrix."""
COUNTING: Final = ("read", "quality", "variable_genes", "components")
"""The stages that look at every count."""
MOST_TIMES_PER_COUNT: Final = 1.3
"""Promised: time per non-zero of the largest matrix by that of the smallest."""
ATLAS_CELLS, ATLAS_SECONDS = 1_300_000, 360.0
"""Promised: an atlas from archive to manifest."""
PROMISED_MIB: Final = ((300_000, 1_024.0), (ATLAS_CELLS, 1_536.0))
"""Up to so many cells, peak memory."""


@dataclass(frozen=True, slots=True)
class Run:
    """One matrix rendered: its size, what it cost, and seconds by stage."""

    n_cells: int
    n_nonzero: int
    cost: Cost
    stages: dict[str, float]

    @property
    def per_million(self) -> float:
        """Seconds for each million non-zeros, of the stages that look at them."""
        return sum(self.stages[stage] for stage in COUNTING) / (self.n_nonzero / 1e6)


def rendered(n_cells: int, matrix: Path, folder: Path) -> Run:
    """The matrix rendered in a process of its own; what it makes is not kept."""
    folder.mkdir(parents=True, exist_ok=True)
    refuse_without_room(folder, SCRATCH_BYTES_PER_CELL * n_cells)
    with tempfile.TemporaryDirectory(dir=folder, prefix="rendered-") as out:
        begin = time.monotonic()
        with started("worker.cli", ["render", str(matrix), "--out", out, "--json"], heard=True) as process:
            manifest = json.loads(all_output(process))
        seconds = time.monotonic() - begin
    return Run(n_cells, _nonzeros(manifest), Cost(seconds, manifest["peak_rss_mib"]), manifest["timing"])


def _nonzeros(manifest: Any) -> int:
    return sum(library["statistics"]["nonzeros"] for entity in manifest["entities"] for library in entity["libraries"])


def findings(runs: Sequence[Run]) -> list[Finding]:
    """Promises first, then seconds by stage."""
    smallest, largest = min(runs, key=lambda run: run.n_cells), max(runs, key=lambda run: run.n_cells)
    per_count = Finding(
        f"time per non-zero, {largest.n_cells:,} / {smallest.n_cells:,} cells",
        largest.per_million / smallest.per_million,
        at_most=MOST_TIMES_PER_COUNT,
    )
    return [
        *([per_count] if largest.n_cells > smallest.n_cells else []),
        *(finding for run in runs for finding in _of_run(run)),
        *(
            Finding(f"{run.n_cells:,} cells: {stage}, seconds", seconds)
            for run in runs
            for stage, seconds in run.stages.items()
        ),
    ]


def _of_run(run: Run) -> list[Finding]:
    name = f"{run.n_cells:,} cells"
    limit = next((mib for cells, mib in PROMISED_MIB if run.n_cells <= cells), None)
    return [
        Finding(
            f"{name}: from archive to manifest, seconds",
            run.cost.seconds,
            at_most=ATLAS_SECONDS if run.n_cells <= ATLAS_CELLS else None,
        ),
        Finding(f"{name}: peak memory, MiB", run.cost.peak_mib, at_most=limit),
        Finding(
            f"{name}: read to components, seconds per million non-zeros",
            run.per_million,
            note=f"{run.n_nonzero:,} non-zeros",
        ),
    ]


@click.command(context_settings={"show_default": True})
@click.argument("cells", nargs=-1, type=click.IntRange(1))
@click.option("--format", "kind", default="mtx.zip", type=click.Choice(get_args(Format)))
@click.option(
    "--folder",
    default=CACHE,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where matrices are kept, and scratch is for a while: 7 GB and 16 GB for 1.3 million cells.",
)
@click.option("--json", "as_json", is_flag=True)
def main(cells: Sequence[int], kind: Format, folder: Path, *, as_json: bool) -> None:
    """Print time and memory of matrices of so many CELLS; exit 1 where a promise is broken.

    [default: 100000 1300000]
    """
    with unwound():
        runs = []
        rendered(SAMPLE_CELLS, Path(str(SAMPLE)), folder)  # so that what numba keeps on disk is compiled
        for n_cells in cells or DEFAULT_CELLS:
            matrix = ensure(n_cells, folder, kind).path
            click.echo(f"rendering {matrix.name}, {matrix.stat().st_size / 1e6:,.0f} MB", err=True)
            runs.append(rendered(n_cells, matrix, folder))
        conclude(findings(runs), as_json=as_json)


if __name__ == "__main__":
    main()
