"""What became of each sample is told from what it left."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from infra.local.outcome import Outcome, outcomes, table
from infra.local.samples import PROJECTS, Project
from shared.manifest import Entity, FailureRecord, Library, Manifest

GOOD = Project("good", "A good one", ())
BAD = Project("bad", "A bad one", (), failure="corrupt_matrix")
BARRED = Project("barred", "A barred one", (), blacklisted=True)
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def publish(figures: Path, project: Project) -> None:
    library = Library(library="10X", statistics={"cells": 2700})
    manifest = Manifest(
        project_id=project.id,
        generated_at=WHEN,
        inputs=(),
        fingerprint="f",
        entities=(Entity(entity=project.id, species="homo_sapiens", libraries=(library,)),),
        timing={"read": 1.25, "figures": 2.0},
    )
    (figures / project.id).mkdir()
    (figures / project.id / "manifest.json").write_bytes(manifest.body())


def fail(figures: Path, project: Project, reason: str) -> None:
    record = FailureRecord(fingerprint="f", reason=reason, error="line 3 [of 9] ends", stage="read", failed_at=WHEN)
    (figures / project.id).mkdir(exist_ok=True)
    (figures / project.id / "failure.json").write_bytes(record.body())


def one(project: Project, figures: Path, *letters: dict[str, Any]) -> Outcome:
    [outcome] = outcomes([project], figures, letters)
    return outcome


def test_a_manifest_means_published_with_its_cells_and_seconds(tmp_path: Path) -> None:
    publish(tmp_path, GOOD)
    outcome = one(GOOD, tmp_path)
    assert (outcome.ending, outcome.as_expected, outcome.seconds) == ("published", True, 3.2)
    assert list(outcome.libraries()) == [{"species": "homo_sapiens", "library": "10X", "cells": 2700, "figures": 0}]


def test_a_failure_record_stands_above_the_manifest_of_an_earlier_success(tmp_path: Path) -> None:
    publish(tmp_path, GOOD)
    fail(tmp_path, GOOD, "corrupt_matrix")
    outcome = one(GOOD, tmp_path)
    assert (outcome.ending, outcome.reason, outcome.as_expected) == ("dead letter", "corrupt_matrix", False)


def test_a_dead_letter_without_a_record_tells_its_reason(tmp_path: Path) -> None:
    letter = {"body": '{"project_id": "good"}', "attributes": {"dpss.reason": {"StringValue": "crashed"}}}
    no_message = {"body": "?", "attributes": {}}
    assert one(GOOD, tmp_path, no_message, letter).reason == "crashed"


@pytest.mark.parametrize(
    ("project", "reason", "expected"),
    [
        (GOOD, None, False),
        (BAD, "corrupt_matrix", True),
        (BAD, "no_raw_counts", False),
        (BAD, None, False),
        (BARRED, None, True),
        (BARRED, "corrupt_matrix", False),
    ],
)
def test_only_the_ending_a_sample_stands_for_is_expected(
    project: Project, reason: str | None, tmp_path: Path, *, expected: bool
) -> None:
    if reason:
        fail(tmp_path, project, reason)
    assert one(project, tmp_path).as_expected is expected


def test_the_table_has_every_project_and_points_at_what_was_not_expected(tmp_path: Path) -> None:
    publish(tmp_path, PROJECTS[0])
    fail(tmp_path, PROJECTS[1], "corrupt_matrix")
    out = io.StringIO()
    Console(file=out, width=150).print(table(outcomes(PROJECTS, tmp_path, [])))
    text = out.getvalue()
    assert all(project.title in text for project in PROJECTS)
    assert "2,700" in text
    assert "UNEXPECTED corrupt_matrix: line 3 [of 9] ends" in text
