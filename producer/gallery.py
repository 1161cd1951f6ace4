"""The index of all projects, made of what lies below the figure prefix: manifests, failure records, claims, pages."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
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
from shared import __version__, keys
from shared.errors import AccessDeniedError, one_line
from shared.manifest import FailureRecord, Manifest
from shared.messages import PROJECT_ID_PATTERN, now

ERROR_CHARACTERS: Final = 200
"""Of an error in the index: the failure record has all of it."""


SEEN_CHARACTERS: Final = 16
"""Of a digest of records, for each project in the index."""


@dataclass(frozen=True, slots=True)
class Records:
    """A project below the prefix: the ETags of its records, and of its page, by their names."""

    project_id: str
    tags: dict[str, str]

    @property
    def seen(self) -> str:
        """Changes where one of the records does, and with the version of this program."""
        told = [__version__, *(f"{name} {tag}" for name, tag in sorted(self.tags.items()) if not _is_page(name))]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()[:SEEN_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a refresh: the index's address and size, projects by state, and each that could not be read."""

    uri: str
    bytes: int
    states: Counter[index_page.State]
    unreadable: tuple[tuple[str, str], ...]


def refresh(figures: FigureBucket, *, live: bool) -> Written:
    """Write the index anew; ``live`` allows a moving line on a terminal. Only records that changed are read again.

    Raises SourceUnavailableError where not all could be looked at (the index then stays as it was), PublishFailedError
    where the index could not be written, AccessDeniedError in either case, SettingsError without a bucket.
    """
    rows, unreadable = list[index_page.Row](), list[tuple[str, str]]()
    known = _known(figures)
    read = ordered(lambda each: _row(each, figures, known), _projects(figures.objects()), workers=READERS)
    for row, problem in watched(read, "projects", live=live):
        rows.append(row)
        if problem:
            unreadable.append((row.project, problem))
    body = index_page.page(rows, now())
    uri = figures.write_page(keys.INDEX, body)
    return Written(uri, len(body), Counter(row.state for row in rows), tuple(unreadable))


def _known(figures: FigureBucket) -> dict[str, index_page.Row]:
    """The rows of the index that is there, by project; those that could not be read are read again."""
    try:
        rows = index_page.rows_of(figures.read(keys.INDEX) or b"")
    except AccessDeniedError:
        return {}
    return {row.project: row for row in rows if row.state != "unreadable"}


def _projects(objects: Iterable[tuple[str, str]]) -> Iterator[Records]:
    """What lies in a project's folder are neighbours in S3's order."""
    for folder, inside in groupby(objects, key=lambda each: each[0].partition("/")[0]):
        if re.fullmatch(PROJECT_ID_PATTERN, folder):
            records = {keys.manifest(folder), keys.failure(folder), keys.claim(folder)}
            present = {name: tag for name, tag in inside if name in records or _is_page(name)}
            if present.keys() & records:
                yield Records(folder, present)


def _is_page(name: str) -> bool:
    return name == keys.page(name.partition("/")[0])


def _row(records: Records, figures: FigureBucket, known: Mapping[str, index_page.Row]) -> tuple[index_page.Row, str]:
    """What the index shows of a project, and what of it could not be read."""
    project_id = records.project_id
    row = index_page.Row(project_id, "publishing", page=keys.page(project_id) in records.tags, seen=records.seen)
    before = known.get(project_id)
    if before and before.seen == row.seen:
        return replace(before, page=row.page and before.state != "failed"), ""
    for name, tell in ((keys.manifest(project_id), _published), (keys.failure(project_id), _failed)):
        try:
            body = figures.read(name) if name in records.tags else None
            row = row if body is None else tell(row, body)
        except AccessDeniedError as error:
            return _unreadable(row), error.line
        except (ValueError, OverflowError) as error:  # of the model; of numbers and times that nobody can print
            return _unreadable(row), one_line(f"{name}: {_problem(error)}")
    return row, ""


def _problem(error: Exception) -> str:
    return error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)


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
