"""How far each project is, from what the workers log: a live table on a terminal, a line a change elsewhere."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from infra.local.samples import Project

COLUMNS = 4
STYLES = {"waiting": "dim", "working": "bold cyan", "done": "green", "failed": "yellow"}


@dataclass(slots=True)
class Line:
    """Where a project stands; ``detail`` is its stage, or how it ended; ``began`` is of this process's clock."""

    state: str = "waiting"
    detail: str = ""
    began: float | None = None
    seconds: float = 0.0

    def hear(self, event: dict[str, Any]) -> None:
        """Take over what a log line says."""
        match event.get("event"):
            case "received":
                self.state, self.detail, self.began = "working", "", time.monotonic()
            case "stage":
                self.detail = str(event.get("stage", "")).replace("_", " ")
            case "published" | "up_to_date" as ending:
                self.state, self.detail = "done", ending.replace("_", " ")
            case "failed" if event.get("fate") == "dead letter":
                self.state, self.detail = "failed", f"dead letter: {event.get('reason', '')}"
            case "failed":
                self.state, self.detail = "waiting", f"to be tried again: {event.get('reason', '')}"
            case "released" | "superseded" as ending:
                self.state, self.detail = "waiting", ending
            case _:
                pass

    def tick(self) -> None:
        """Time goes on for what is being worked."""
        if self.state == "working" and self.began is not None:
            self.seconds = time.monotonic() - self.began


class Follower:
    """Reads a log of JSON lines as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def events(self) -> Iterator[dict[str, Any]]:
        """What was added since the last look; a line that is still being written is left for the next."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield from _parsed(line)


def _parsed(line: bytes) -> Iterator[dict[str, Any]]:
    """The event in ``line``; none where a library wrote something else."""
    try:
        event = json.loads(line)
    except ValueError:
        return
    if isinstance(event, dict):
        yield event


class Progress:
    """A line for each project that waits at first or is taken up later, fed by the workers' logs."""

    def __init__(
        self, projects: Sequence[Project], waiting: Sequence[Project], logs: Sequence[Path], console: Console
    ) -> None:
        self._titles = {project.id: project.title for project in projects}
        self._lines = {project.id: Line() for project in waiting}
        self._followers = [Follower(path) for path in logs]
        self._console = console

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the table until the block ends; nothing but lines where there is no terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(get_renderable=self._table, console=self._console, transient=True, refresh_per_second=4):
            yield

    def look(self) -> None:
        """Take over what was logged since the last look."""
        for event in [event for follower in self._followers for event in follower.events()]:
            project_id = str(event.get("project_id"))
            if project_id in self._titles:
                self._hear(self._lines.setdefault(project_id, Line()), self._titles[project_id], event)
        for line in self._lines.values():
            line.tick()

    def _hear(self, line: Line, title: str, event: dict[str, Any]) -> None:
        before = line.state
        line.hear(event)
        if line.state != before and not self._console.is_terminal:
            self._console.print(f"{line.state}: {title}{', ' if line.detail else ''}{line.detail}")

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for _ in range(COLUMNS):
            table.add_column(no_wrap=True)
        for project_id, line in self._lines.items():
            clock = f"{line.seconds:.0f} s" if line.began is not None else ""
            table.add_row(self._titles[project_id], f"[{STYLES[line.state]}]{line.state}[/]", clock, line.detail)
        return table
