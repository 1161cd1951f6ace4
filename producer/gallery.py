"""The index of all projects, made of what lies below the figure prefix: manifests, failure records, claims, pages."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, Literal

from pydantic import ValidationError

from producer import index_page
from producer.plan import READERS
from producer.progress import watched
from producer.published import FigureBucket
from producer.window import ordered
from shared import keys
from shared.errors import AccessDeniedError, one_line
from shared.manifest import FailureRecord, Manifest
from shared.messages import PROJECT_ID_PATTERN, now

ERROR_CHARACTERS: Final = 200
"""Of an error in the index: the failure record has all of it."""


@dataclass(frozen=True, slots=True)
class Records:
    """A project below the prefix, and which of its records and its page are there."""

    project_id: str
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a refresh: the index's address and size, projects by state, and each that could not be read."""

    uri: str
    bytes: int
    states: Counter[index_page.State]
    unreadable: tuple[tuple[str, str], ...]


def refresh(figures: FigureBucket, *, live: bool) -> Written:
    """Write the index anew; ``live`` allows a moving line on a terminal.

    Raises SourceUnavailableError where not all could be looked at (the index then stays as it was), PublishFailedError
    where the index could not be written, AccessDeniedError in either case, SettingsError without a bucket.
    """
    rows, unreadable = list[index_page.Row](), list[tuple[str, str]]()
    read = ordered(lambda each: _row(each, figures), _projects(figures.names()), workers=READERS)
    for row, problem in watched(read, "projects", live=live):
        rows.append(row)
        if problem:
            unreadable.append((row.project, problem))
    body = index_page.page(rows, now())
    uri = figures.write_page(keys.INDEX, body)
    return Written(uri, len(body), Counter(row.state for row in rows), tuple(unreadable))


def _projects(names: Iterable[str]) -> Iterator[Records]:
    """What lies in a project's folder are neighbours in S3's order."""
    for folder, inside in groupby(names, key=lambda name: name.partition("/")[0]):
        if re.fullmatch(PROJECT_ID_PATTERN, folder):
            records = {keys.manifest(folder), keys.failure(folder), keys.claim(folder)}
            present = frozenset(inside) & (records | {keys.page(folder)})
            if present & records:
                yield Records(folder, present)


def _row(records: Records, figures: FigureBucket) -> tuple[index_page.Row, str]:
    """What the index shows of a project, and what of it could not be read."""
    project_id = records.project_id
    row = index_page.Row(project_id, "publishing", page=keys.page(project_id) in records.names)
    for name, tell in ((keys.manifest(project_id), _published), (keys.failure(project_id), _failed)):
        try:
            body = figures.read(name) if name in records.names else None
            row = row if body is None else tell(row, body)
        except AccessDeniedError as error:
            return _unreadable(row), error.line
        except ValidationError as error:
            return _unreadable(row), one_line(f"{name}: {error.errors(include_url=False)[0]['msg']}")
    return row, ""


def _unreadable(row: index_page.Row) -> index_page.Row:
    """A published project whose failure record cannot be read is still published."""
    return replace(row, state="unreadable") if row.state == "publishing" else row


def _published(row: index_page.Row, body: bytes) -> index_page.Row:
    manifest = Manifest.model_validate_json(body)
    libraries = [library for entity in manifest.entities for library in entity.libraries]
    return replace(
        row,
        state="published",
        date=_date(manifest.generated_at),
        cells=int(sum(library.statistics.get("cells") or 0 for library in libraries)),
        species=tuple(dict.fromkeys(entity.species or "" for entity in manifest.entities)),
        libraries=tuple(dict.fromkeys(library.library for library in libraries)),
        alerts=sum(alert.level != "info" for library in libraries for alert in library.alerts),
    )


def _failed(row: index_page.Row, body: bytes) -> index_page.Row:
    """A failure is newer than the figures: the next success takes its record away."""
    record = FailureRecord.model_validate_json(body)
    state: Literal["outdated", "failed"] = "outdated" if row.state == "published" else "failed"
    told = replace(row, state=state, reason=record.reason, error=one_line(record.error, ERROR_CHARACTERS))
    return told if row.date else replace(told, date=_date(record.failed_at), page=False)


def _date(time: datetime) -> str:
    return f"{time.astimezone(UTC):%Y-%m-%d}"
