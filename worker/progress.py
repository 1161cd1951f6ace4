"""What a person at a keyboard sees of ``render``: a bar on a terminal, log lines elsewhere, and a closing word."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shared import keys, telemetry
from shared.manifest import Manifest

STAGES = (
    "fetch",
    "read",
    "quality",
    "variable_genes",
    "components",
    "neighbors",
    "clusters",
    "markers",
    "embedding",
    "tables",
    "figures",
    "write",
)
"""In the order they come; those from quality on come again for each library."""


@contextmanager
def stage_progress() -> Iterator[Callable[[str], None]]:
    """A function to be told each stage as it begins."""
    console = Console(stderr=True)
    if not console.is_terminal:
        log = telemetry.logger("render")
        yield lambda stage: log.info("stage", stage=stage)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description:<16}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("start", total=len(STAGES))
        yield lambda stage: bar.update(task, description=stage.replace("_", " "), completed=STAGES.index(stage))


def describe(manifest: Manifest, out: Path) -> str:
    """What was made, in a few lines."""
    lines = []
    for entity in manifest.entities:
        for library in entity.libraries:
            cells, clusters = library.statistics["cells"], library.statistics["clusters"]
            found = f", {clusters} clusters" if clusters else ""
            lines.append(f"{out / entity.entity / library.library}: {cells:,} cells{found}")
            lines += [f"  {figure.name}: {figure.alt}" for figure in library.figures]
            lines += [f"  {skipped.name}: skipped, {skipped.reason}" for skipped in library.skipped]
    return "\n".join([*lines, str(out / keys.manifest(manifest.project_id)), str(out / keys.page(manifest.project_id))])
