"""Progress is read from the logs that workers write."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from infra.local.progress import Follower, Line, Progress
from infra.local.samples import PROJECTS
from worker.failures import Bury, TryAgain


def test_a_line_that_is_still_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text('{"event": "received"}\nnot ours\n3\n{"event": "sta')
    follower = Follower(log)
    assert [event["event"] for event in follower.events()] == ["received"]
    with log.open("a") as growing:
        growing.write('ge"}\n')
    assert [event["event"] for event in follower.events()] == ["stage"]


@pytest.mark.parametrize(
    ("event", "state", "detail"),
    [
        ({"event": "received"}, "working", ""),
        ({"event": "stage", "stage": "variable_genes"}, "working", "variable genes"),
        ({"event": "published"}, "done", "published"),
        ({"event": "up_to_date"}, "done", "up to date"),
        ({"event": "failed", "fate": str(Bury()), "reason": "corrupt_matrix"}, "failed", "dead letter: corrupt_matrix"),
        ({"event": "failed", "fate": str(TryAgain(10)), "reason": "crashed"}, "waiting", "to be tried again: crashed"),
        ({"event": "released"}, "waiting", "released"),
        ({"event": "metrics"}, "working", ""),
    ],
)
def test_each_event_of_a_worker_moves_its_project_on(event: dict[str, str], state: str, detail: str) -> None:
    line = Line()
    line.hear({"event": "received"})
    line.hear(event)
    assert (line.state, line.detail) == (state, detail)


def test_without_a_terminal_a_project_has_one_line_for_each_change_and_none_for_a_stage(tmp_path: Path) -> None:
    log, out = tmp_path / "worker.log", io.StringIO()
    events = [{"event": "received"}, {"event": "stage", "stage": "read"}, {"event": "published"}]
    log.write_text("".join(json.dumps({**event, "project_id": PROJECTS[0].id}) + "\n" for event in events))
    progress = Progress(PROJECTS, [], [log], Console(file=out, width=200))
    with progress.shown():
        progress.look()
    title = PROJECTS[0].title
    assert out.getvalue().splitlines() == [f"working: {title}", f"done: {title}, published"]


def test_on_a_terminal_those_that_wait_and_those_taken_up_have_a_row(tmp_path: Path) -> None:
    log, out = tmp_path / "worker.log", io.StringIO()
    log.write_text(json.dumps({"event": "received", "project_id": PROJECTS[1].id}) + "\n")
    progress = Progress(PROJECTS, PROJECTS[:1], [log], Console(file=out, width=100, force_terminal=True))
    with progress.shown():
        progress.look()
    shown = out.getvalue()
    assert PROJECTS[0].title in shown
    assert PROJECTS[1].title in shown
    assert PROJECTS[2].title not in shown
