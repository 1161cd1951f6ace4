"""Both pages in a real browser: what a reader sees, with eyes, keyboard or screen reader, on a phone or a desk."""

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from producer.index_page import SHOWN_ROWS, Row
from tests.browser import WIDTHS
from tests.manifests import HOSTILE, hostile
from tests.pages.conftest import Open, Shelf, rows

MANY = 10_000
MOST_ELEMENTS = 1_500
"""In the index, however many projects there are: what a browser has to lay out."""
A4_WIDTH, A4_HEIGHT = 718, 1_047
"""CSS pixels of a sheet, less a margin of a centimetre."""

every_look = pytest.mark.parametrize(("width", "scheme"), [(width, s) for width in WIDTHS for s in ("light", "dark")])


LINES = """cell => {
  const range = document.createRange();
  range.selectNodeContents(cell);
  return range.getClientRects().length;
}"""
"""That the text of an element takes."""


@pytest.fixture(scope="module")
def many(shelf: Shelf) -> str:
    """The address of an index of very many projects."""
    return shelf.index(*rows(MANY))


@pytest.fixture(scope="module")
def few(shelf: Shelf) -> str:
    """The address of an index of a handful."""
    return shelf.index(*rows(5))


@every_look
def test_a_project_shows_its_pictures_and_keeps_no_reader_out(
    visit: Open, project: str, width: str, scheme: str
) -> None:
    with visit(project, width=width, scheme=scheme) as seen:
        assert seen.load_pictures() == []
        assert seen.page.locator("img").count() == 3
        assert seen.overflow() <= 0
        assert seen.violations() == []
        seen.keep(f"project-{width}-{scheme}")


@every_look
def test_an_index_keeps_no_reader_out(visit: Open, shelf: Shelf, width: str, scheme: str) -> None:
    with visit(shelf.index(*rows(15)), width=width, scheme=scheme) as seen:
        assert seen.overflow() <= 0
        assert seen.violations() == []
        seen.keep(f"index-{width}-{scheme}")


def test_ten_thousand_projects_are_fifty_rows_to_lay_out(visit: Open, many: str) -> None:
    with visit(many) as seen:
        expect(seen.page.locator("#rows tr")).to_have_count(SHOWN_ROWS)
        expect(seen.page.get_by_role("status")).to_have_text("10,000 of 10,000 projects, 1 to 50 shown")
        assert seen.page.locator("*").count() < MOST_ELEMENTS
        seen.page.get_by_label("Search").fill("project-0")
        expect(seen.page.locator("#rows tr")).to_have_count(SHOWN_ROWS)
        assert seen.page.locator("*").count() < MOST_ELEMENTS


def test_search_and_filters_narrow_the_list_and_say_how_far(visit: Open, many: str) -> None:
    with visit(many) as seen:
        status = seen.page.get_by_role("status")
        seen.page.get_by_label("Search").fill("PROJECT-0123 HOMO")
        expect(status).to_have_text("3 of 10,000 projects")
        expect(seen.page.locator("#rows tr th")).to_have_text(["project-01230", "project-01236", "project-01233"])
        seen.page.get_by_label("Search").fill("")
        seen.page.get_by_label("Species").select_option("Mus musculus")
        seen.page.get_by_label("Library").select_option("SS2")
        seen.page.get_by_label("State").select_option("Published, newer failed")
        expect(status).to_have_text("333 of 10,000 projects, 1 to 50 shown")
        seen.page.get_by_label("Search").fill("corrupt_matrix")
        expect(status).to_have_text("333 of 10,000 projects, 1 to 50 shown")
        seen.page.get_by_label("Search").fill("nowhere")
        expect(status).to_have_text("0 of 10,000 projects")
        expect(seen.page.locator("#rows tr")).to_have_count(0)


def test_columns_sort_both_ways_and_say_so(visit: Open, many: str) -> None:
    with visit(many) as seen:
        first = seen.page.locator("#rows tr").first
        head = seen.page.get_by_role("columnheader", name="Cells")
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", "descending")
        expect(head.get_by_role("button")).to_have_accessible_name("Cells")  # the arrow is for the eye
        expect(first.locator("[data-is=cells]")).to_have_text("9,999")
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", "ascending")
        expect(first).to_contain_text("Failed")
        seen.page.get_by_role("columnheader", name="Project").get_by_role("button").click()
        expect(first).to_contain_text("project-00000")
        expect(head).not_to_have_attribute("aria-sort", "ascending")


def test_each_column_sorts_by_what_stands_in_it(visit: Open, many: str) -> None:
    ends = {
        "date": ("2026-11-01", "2026-11-28"),
        "species": ("", "Mus musculus"),
        "libraries": ("", "10X, SS2"),
        "state": ("Failed", "Published, newer failed"),
    }
    with visit(many) as seen:
        for column, (lowest, highest) in ends.items():
            cell = seen.page.locator(f"#rows tr:first-child [data-is={column}]")
            shown = cell.locator(".badge") if column == "state" else cell
            for end in (lowest, highest):
                seen.page.locator(f"[data-sort={column}] button").click()
                expect(shown).to_have_text(end)


def test_the_list_is_turned_page_by_page(visit: Open, many: str) -> None:
    with visit(many) as seen:
        seen.page.get_by_role("columnheader", name="Project").get_by_role("button").click()
        expect(seen.page.get_by_role("button", name="Previous")).to_be_disabled()
        seen.page.get_by_role("button", name="Next").click()
        expect(seen.page.locator("#rows tr").first).to_contain_text("project-00050")
        expect(seen.page.get_by_role("status")).to_have_text("10,000 of 10,000 projects, 51 to 100 shown")
        expect(seen.page.get_by_role("table")).to_be_focused()
        seen.page.get_by_role("button", name="Previous").click()
        expect(seen.page.locator("#rows tr").first).to_contain_text("project-00000")
        seen.page.get_by_role("button", name="Next").click()
        seen.page.get_by_label("State").select_option("Failed")
        expect(seen.page.get_by_role("status")).to_have_text("2,000 of 10,000 projects, 1 to 50 shown")
        seen.page.get_by_label("State").select_option("All")
        seen.page.get_by_label("Search").fill("project-0000")
        expect(seen.page.get_by_role("status")).to_have_text("10 of 10,000 projects")
        expect(seen.page.get_by_role("button", name="Next")).to_be_hidden()


def test_a_project_is_found_and_opened_from_the_index_and_leads_back(visit: Open, project: str) -> None:
    with visit(project) as seen:
        seen.page.get_by_role("link", name="All projects").click()
        seen.page.get_by_label("Search").fill("p")
        seen.page.keyboard.press("Enter")
        seen.page.get_by_role("link", name="p", exact=True).click()
        expect(seen.page).to_have_url(project)


def test_who_comes_back_from_a_project_finds_the_list_as_the_filters_say(visit: Open, many: str) -> None:
    with visit(many) as seen:
        seen.page.get_by_label("Search").fill("project-0012")
        seen.page.get_by_label("Species").select_option("Mus musculus")
        expect(seen.page.get_by_role("status")).to_have_text("2 of 10,000 projects")
        seen.page.goto("about:blank")
        seen.page.go_back()
        expect(seen.page.get_by_label("Search")).to_have_value("project-0012")
        expect(seen.page.get_by_role("status")).to_have_text("2 of 10,000 projects")


@pytest.mark.parametrize("width", WIDTHS)
def test_long_names_break_and_what_is_not_known_is_left_out(visit: Open, shelf: Shelf, width: str) -> None:
    long = Row("p" * 128, "outdated", page=True, species=("s" * 64,), libraries=("L" * 64, "M" * 64), reason="timeout")
    with visit(shelf.index(long), width=width) as seen:
        assert seen.overflow() <= 0
        assert seen.page.locator("#rows p").all_inner_texts() == ["timeout"]


def test_a_long_reason_leaves_the_other_columns_room_for_a_word(visit: Open, shelf: Shelf) -> None:
    known = Row("8e27c9f1-0b6a-4d7e-b2c3-64a1f58e9103", "published", page=True, cells=1_124, date="2026-11-23")
    known = replace(known, species=("homo_sapiens", "mus_musculus"), libraries=("unspecified",))
    failed = Row("failed", "failed", reason="no_raw_counts", error="send a file with raw counts in X or raw.X; " * 9)
    with visit(shelf.index(known, failed)) as seen:
        library = seen.page.get_by_role("cell", name="unspecified", exact=True)
        assert library.evaluate(LINES) == 1


def test_keys_reach_everything_on_an_index(visit: Open, few: str) -> None:
    with visit(few) as seen:
        heads = ["Project", "Species", "Library", "Cells", "Date", "State"]
        linked = [f"project-{number:05d}" for number in (3, 2, 1, 0)]
        controls = ["search", "species", "libraries", "state"]
        assert seen.reached_by_tab() == ["Skip to the content", *controls, *heads, *linked]


def test_keys_reach_everything_on_a_project(visit: Open, project: str) -> None:
    with visit(project) as seen:
        reached = seen.reached_by_tab()
        assert len(reached) == seen.page.locator("a").count()
        assert reached[0] == "Skip to the content"
        seen.page.keyboard.press("Tab")
        seen.page.keyboard.press("Enter")
        expect(seen.page.locator("main")).to_be_focused()


def test_without_scripts_the_first_rows_are_there_and_nothing_that_does_not_work(visit: Open, many: str) -> None:
    with visit(many, scripts=False) as seen:
        expect(seen.page.locator("#rows tr")).to_have_count(SHOWN_ROWS)
        expect(seen.page.get_by_text("Search, filters and sorting need JavaScript.")).to_be_visible()
        expect(seen.page.get_by_label("Search")).to_be_hidden()
        assert seen.page.get_by_role("button").count() == 0


def test_rows_say_and_link_the_same_with_a_script_and_without(visit: Open, few: str) -> None:
    with visit(few) as scripted, visit(few, scripts=False) as plain:
        rows_of = [seen.page.locator("#rows").aria_snapshot() for seen in (scripted, plain)]
        assert rows_of[0] == rows_of[1]
        assert "2 alerts" in rows_of[0]
        assert "/url: project-00003/index.html" in rows_of[0]
        assert "project-00004/index.html" not in rows_of[0]
        assert "corrupt_matrix" in rows_of[0]


def test_on_paper_a_dark_page_is_light_and_two_figures_fit_on_a_sheet(visit: Open, project: str) -> None:
    with visit(project, scheme="dark") as seen:
        seen.page.emulate_media(media="print")
        seen.page.set_viewport_size({"width": A4_WIDTH, "height": A4_HEIGHT})
        assert seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        expect(seen.page.get_by_role("navigation")).to_have_count(0)
        box = seen.page.locator("figure").first.bounding_box()
        assert box is not None
        assert box["height"] < A4_HEIGHT / 2


def test_markup_in_a_manifest_stays_text(visit: Open, shelf: Shelf) -> None:
    with visit(shelf.project(hostile())) as seen:
        expect(seen.page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
        assert seen.load_pictures() == []
        assert seen.violations() == []


def test_markup_in_a_record_stays_text_however_it_is_sorted_and_filtered(visit: Open, shelf: Shelf) -> None:
    row = Row(HOSTILE, "failed", page=True, species=(HOSTILE,), libraries=(HOSTILE,), reason=HOSTILE, error=HOSTILE)
    with visit(shelf.index(row)) as seen:
        seen.page.get_by_label("Library").select_option(HOSTILE)
        seen.page.get_by_role("columnheader", name="State").get_by_role("button").click()
        link = seen.page.locator("#rows a")
        expect(link).to_have_text(HOSTILE)
        assert seen.page.locator("img").count() == 0
        assert str(link.get_attribute("href")).endswith("%26lt%3B/index.html")


def test_a_script_that_is_not_the_pages_own_does_not_run(visit: Open, project: str) -> None:
    with visit(project) as seen:
        seen.page.evaluate("document.body.append(Object.assign(document.createElement('script'), {text: 'hit = 1'}))")
        assert seen.page.evaluate("typeof hit") == "undefined"
        assert all("Content Security Policy" in complaint for complaint in seen.complaints)
        assert seen.complaints
        seen.complaints.clear()
