"""The index as markup: what is legible without its script, and that nothing in a record becomes markup."""

import json
from typing import Any

from producer.index_page import SHOWN_ROWS, Row, page, rows_of
from tests.manifests import HOSTILE, MADE
from tests.markup import Markup, hash_source

PUBLISHED = Row(
    "b",
    "published",
    page=True,
    date="2026-11-22",
    cells=2_700,
    species=("homo_sapiens",),
    libraries=("10X",),
    alerts=2,
)
FAILED = Row("a", "failed", date="2026-11-20", reason="corrupt_matrix", error="cut short")
HOSTILE_ROW = Row(
    HOSTILE,
    "failed",
    page=True,
    date=HOSTILE,
    species=(HOSTILE,),
    libraries=(HOSTILE,),
    reason=HOSTILE,
    error=HOSTILE,
)


def parsed(*rows: Row) -> Markup:
    return Markup.of(page(rows, MADE))


def data(found: Markup, name: str) -> Any:
    (script,) = [each for each in found.all("script") if each.attributes.get("id") == name]
    assert script.attributes["type"] == "application/json"
    return json.loads(script.text)


def test_the_first_rows_are_legible_and_linked_without_a_script() -> None:
    found = parsed(FAILED, PUBLISHED)
    assert [link for link in found.values("href") if link.endswith("/index.html")][:1] == ["b/index.html"]
    text = found.text()
    for said in ("2,700", "Homo sapiens", "2 alerts", "corrupt_matrix", "cut short", "Published", "Failed"):
        assert said in text
    assert "2 of 2 projects" in text


def test_the_newest_come_first_and_those_of_a_day_by_name() -> None:
    rows = [
        Row("c", "failed", date="2026-11-01"),
        Row("b", "failed", date="2026-11-02"),
        Row("a", "failed", date="2026-11-01"),
    ]
    assert [record["project"] for record in data(parsed(*rows), "projects")] == ["b", "a", "c"]


def test_the_data_leave_out_what_is_empty() -> None:
    assert data(parsed(PUBLISHED, FAILED), "projects") == [
        {
            "project": "b",
            "state": "published",
            "page": True,
            "date": "2026-11-22",
            "cells": 2_700,
            "species": ["Homo sapiens"],
            "libraries": ["10X"],
            "alerts": 2,
        },
        {"project": "a", "state": "failed", "date": "2026-11-20", "reason": "corrupt_matrix", "error": "cut short"},
    ]


def test_of_many_projects_fifty_are_rows_and_all_are_data() -> None:
    found = parsed(*(Row(f"p{number}", "published", page=True) for number in range(1_000)))
    assert len(found.all("tr")) == SHOWN_ROWS + 2  # the head, and the template of a row
    assert len(data(found, "projects")) == 1_000
    assert "50 of 1,000 projects" in found.text()


def test_nothing_in_a_record_becomes_markup() -> None:
    found = parsed(HOSTILE_ROW)
    assert found.all("img") == []
    assert len(found.all("script")) == 3
    assert data(found, "projects")[0]["project"] == HOSTILE
    assert HOSTILE in [link.text for link in found.all("a")]
    assert not [name for each in found.elements for name in each.attributes if name.startswith("on")]


def test_the_policy_allows_the_style_and_the_script_that_are_there() -> None:
    found = parsed(PUBLISHED)
    (style,) = found.all("style")
    (script,) = [each for each in found.all("script") if "type" not in each.attributes]
    assert found.policy() == {
        "default-src": "'none'",
        "img-src": "'self' data: file:",
        "style-src": hash_source(style.text),
        "script-src": hash_source(script.text),
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_what_was_read_of_an_index_makes_the_same_one_again() -> None:
    unknown = Row("u", "published", date="2026-11-22", species=("",), libraries=("10X",))
    once = page([unknown, PUBLISHED, FAILED], MADE)
    assert page(rows_of(once), MADE) == once


def test_only_an_index_with_more_than_its_first_rows_speaks_of_others() -> None:
    assert "the others" not in parsed(PUBLISHED).text()
    assert "the others" in parsed(*(Row(f"p{number}", "published") for number in range(SHOWN_ROWS + 1))).text()


def test_an_index_of_nothing_is_a_page() -> None:
    assert "0 of 0 projects" in parsed().text()
