"""What became of each sample, from its figures, failure record and dead letter, and whether it was to be."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from rich.markup import escape
from rich.table import Table

from infra.local.samples import Project
from shared import keys
from shared.manifest import Manifest, parse_failure

Ending = Literal["published", "dead letter", "blacklisted", "not finished"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a project ended; ``manifest`` is what is published, be it of an earlier run; ``reason`` why it failed."""

    project: Project
    manifest: Manifest | None
    reason: str | None
    error: str | None

    @property
    def ending(self) -> Ending:
        """In one word."""
        if self.reason:
            return "dead letter"
        if self.manifest:
            return "published"
        return "blacklisted" if self.project.blacklisted else "not finished"

    @property
    def as_expected(self) -> bool:
        """Whether it ended as a sample of its kind should."""
        return (self.ending, self.reason) == (_expected_ending(self.project), self.project.failure)

    @property
    def seconds(self) -> float | None:
        """From receiving the message to its figures being ready to publish."""
        return round(sum(self.manifest.timing.values()), 1) if self.manifest else None

    def libraries(self) -> Iterator[dict[str, Any]]:
        """Species, library, cells and figures of each part that was published."""
        for entity in self.manifest.entities if self.manifest else ():
            for library in entity.libraries:
                yield {
                    "species": entity.species,
                    "library": library.library,
                    "cells": library.statistics.get("cells"),
                    "figures": len(library.figures),
                }

    def record(self) -> dict[str, Any]:
        """For programs."""
        return {
            "project_id": self.project.id,
            "title": self.project.title,
            "ending": self.ending,
            "as_expected": self.as_expected,
            "seconds": self.seconds,
            "libraries": list(self.libraries()),
            "reason": self.reason,
            "error": self.error,
        }


def _expected_ending(project: Project) -> Ending:
    if project.blacklisted:
        return "blacklisted"
    return "dead letter" if project.failure else "published"


def outcomes(projects: Sequence[Project], figures: Path, letters: Sequence[Mapping[str, Any]]) -> list[Outcome]:
    """How each project ended, from the figures kept below ``figures`` and the dead letters."""
    epitaphs = {_project_of(letter["body"]): letter["attributes"] for letter in letters}
    return [_outcome(project, figures, epitaphs.get(project.id, {})) for project in projects]


def _outcome(project: Project, figures: Path, epitaph: Mapping[str, Any]) -> Outcome:
    failure = parse_failure(_bytes(figures / keys.failure(project.id)))
    told = {name: attribute.get("StringValue") for name, attribute in epitaph.items()}
    return Outcome(
        project=project,
        manifest=_manifest(figures / keys.manifest(project.id)),
        reason=failure.reason if failure else told.get("dpss.reason"),
        error=failure.error if failure else told.get("dpss.error"),
    )


def _project_of(body: str) -> str | None:
    try:
        message = json.loads(body)
    except ValueError:
        return None
    return message.get("project_id") if isinstance(message, dict) else None


def _manifest(path: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(_bytes(path))
    except ValidationError:
        return None


def _bytes(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def table(found: Sequence[Outcome]) -> Table:
    """All of them for a person."""
    made = Table(show_edge=False)
    for heading in ("project", "species", "library"):
        made.add_column(heading)
    for heading in ("cells", "figures", "seconds"):
        made.add_column(heading, justify="right")
    made.add_column("outcome", ratio=1)
    for row in [row for outcome in found for row in _rows(outcome)]:
        made.add_row(*row)
    return made


def _rows(outcome: Outcome) -> Iterator[list[str]]:
    """A row for each library; project, seconds and outcome stand on the first."""
    text = f"{outcome.reason}: {outcome.error}" if outcome.reason else outcome.ending
    mark = escape(text if outcome.as_expected else f"UNEXPECTED {text}")
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    parts = [
        [part["species"] or "-", part["library"], f"{part['cells']:,}", str(part["figures"])]
        for part in outcome.libraries()
    ]
    for number, part in enumerate(parts or [[""] * 4]):
        yield [outcome.project.title, *part, seconds, mark] if number == 0 else ["", *part, "", ""]
