"""The page of all projects: what it shows of each, and how it is rendered."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from shared.pages import rendering, words

State = Literal["published", "outdated", "failed", "publishing", "unreadable"]
STATES: Final[dict[State, tuple[str, str]]] = {
    "published": ("Published", "good"),
    "outdated": ("Published, newer failed", "caution"),
    "failed": ("Failed", "bad"),
    "publishing": ("Being published", ""),
    "unreadable": ("Cannot be read", "bad"),
}
"""What people read, and its style."""
_DATA: Final = re.compile(rb'<script type="application/json" id="projects">(.*?)</script>', re.DOTALL)
SHOWN_ROWS: Final = 50
"""On the page at once, however many projects there are."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the index shows of a project; ``page``: whether it has one to go to.

    ``date`` is that of its figures, or of its failure where it has none; ``alerts`` counts warnings and errors.
    ``seen`` tells whether the records that it was made of have changed since.
    """

    project: str
    state: State
    page: bool = False
    date: str = ""
    cells: int = 0
    species: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    alerts: int = 0
    reason: str = ""
    error: str = ""
    seen: str = ""

    def record(self) -> dict[str, Any]:
        """For the page's script: without what is empty, species as people write them."""
        filled = {name: value for name, value in asdict(self).items() if value}
        return filled | ({"species": [words.species(name) for name in self.species]} if self.species else {})


def page(rows: Collection[Row], made: datetime) -> bytes:
    """The index of ``rows``: the newest first, and the first of them legible without its script."""
    newest = sorted(sorted(rows, key=lambda row: row.project), key=lambda row: row.date, reverse=True)
    records = [row.record() for row in newest]
    return rendering.render(
        "producer",
        "index",
        made=made,
        records=records,
        first=newest[:SHOWN_ROWS],
        blank=Row("", "published", page=True),
        shown_rows=SHOWN_ROWS,
        states=STATES,
        species=_all(records, "species"),
        libraries=_all(records, "libraries"),
    )


def rows_of(page: bytes) -> list[Row]:
    """The rows that a page was made of; none of what is no such page."""
    found = _DATA.search(page)
    try:
        return TypeAdapter(list[Row]).validate_json(found[1]) if found else []
    except ValidationError:
        return []


def _all(records: Collection[dict[str, Any]], name: str) -> list[str]:
    return sorted({value for record in records for value in record.get(name, ())}, key=str.casefold)
