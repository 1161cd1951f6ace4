"""A project's page, as markup: what it says and links to, and that nothing in a manifest becomes markup."""

from itertools import pairwise
from pathlib import Path

from shared.manifest import Manifest
from tests.manifests import FIGURES, HOSTILE, MADE, PREFIX, hostile, manifest
from tests.markup import Element, Markup, hash_source
from worker.page import page, write_page


def parsed(shown: Manifest, prefix: str = PREFIX, *, indexed: bool = True) -> Markup:
    return Markup.of(page(shown, prefix, indexed=indexed))


def test_a_page_says_all_that_the_manifest_does() -> None:
    text = parsed(manifest()).text()
    for said in (
        "2,700 cells",
        "2026-11-22 03:04 UTC",
        "Homo sapiens",
        "Median mitochondrial share 2.03 %",
        "Doublet rate 0.5",
        "41 %",
        "Usually below 20 %.",
        ": no gene varies",
        "s3://bucket/p.mtx.zip",
        "8.7 MB",
        "abc123",
        "Raw counts: all values are whole numbers.",
        "The newest of three.",
        "Leiden resolution 1.0",
        "A processor",
        "Fetch 1.25 s",
        "461.5 MiB",
        "Seed 0",
        "the same bytes of statistics and tables",
    ):
        assert said in text
    assert "clustered as a sketch" not in text


def test_figures_are_shown_in_their_first_format_with_their_words_and_size_and_linked_in_all() -> None:
    found = parsed(manifest())
    pictures = found.all("img")
    assert [picture.attributes["src"] for picture in pictures] == [f"../p.homo_sapiens/10X/{n}.png" for n in FIGURES]
    assert pictures[0].attributes == {
        "src": "../p.homo_sapiens/10X/violin.png",
        "alt": "What violin shows of 2,700 cells.",
        "width": "1200",
        "height": "840",
        "loading": "lazy",
    }
    assert "../p.homo_sapiens/10X/umap.svg" in found.values("href")
    assert "What violin shows of 2,700 cells." in [paragraph.text for paragraph in found.all("p")]


def test_a_figure_that_the_page_has_never_heard_of_gets_a_title_made_of_its_name() -> None:
    assert [heading.text for heading in parsed(manifest()).all("h4")] == [
        "Genes, counts and mitochondrial share",
        "UMAP",
        "Barcode rank",
    ]


def test_the_worst_alert_comes_first() -> None:
    text = parsed(manifest()).text()
    assert text.index("Error: High") < text.index("Warning: Few") < text.index("Info: Small")


def test_every_link_is_relative_and_leads_to_what_the_manifest_names() -> None:
    found = parsed(manifest(species=None))
    links = {href for href in found.values("href") if not href.startswith(("#", "data:"))}
    assert links == {
        "../index.html",
        "manifest.json",
        "10X/markers.tsv",
        "10X/umap.svg",
        *(f"10X/{name}.png" for name in FIGURES),
    }
    anchors = {href[1:] for href in found.values("href") if href.startswith("#")}
    assert anchors <= set(found.values("id"))


def test_a_page_in_a_folder_of_its_own_links_to_no_index() -> None:
    assert "../index.html" not in parsed(manifest(prefix=""), "", indexed=False).values("href")


def test_nothing_in_a_manifest_becomes_markup() -> None:
    quiet, loud = parsed(manifest()), parsed(hostile())
    assert {element.tag for element in loud.elements} <= {element.tag for element in quiet.elements}
    assert [each.attributes["src"] for each in loud.all("img")] == [loud.all("a")[5].attributes["href"]]
    assert not [name for each in loud.elements for name in each.attributes if name.startswith("on")]
    assert [heading.text for heading in loud.all("h1")] == [HOSTILE]
    assert loud.text().count("<script>alert(1)</script>") > 20
    assert "49" not in loud.text()


def test_names_in_links_are_quoted() -> None:
    told = manifest().model_dump()
    figures = told["entities"][0]["libraries"][0]["figures"]
    told["entities"][0]["libraries"][0]["figures"] = [figures[0] | {"key": f"{PREFIX}a:b?c#d%/10X/ü.png"}]
    (picture,) = parsed(Manifest.model_validate(told)).all("img")
    assert picture.attributes["src"] == "../a%3Ab%3Fc%23d%25/10X/%C3%BC.png"


def test_the_policy_allows_the_style_that_is_there_and_no_script() -> None:
    found = parsed(manifest())
    (style,) = found.all("style")
    assert found.policy()["style-src"] == hash_source(style.text)
    assert found.policy()["default-src"] == found.policy()["script-src"] == "'none'"
    assert found.all("script") == []
    assert found.values("style") == []


def test_headings_are_in_order() -> None:
    levels = [int(each.tag[1]) for each in parsed(manifest()).elements if is_heading(each)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_figures_heading_comes_before_the_picture_that_it_is_of() -> None:
    kinds = [each.tag for each in parsed(manifest()).elements if each.tag in {"figure", "h4", "img", "figcaption"}]
    assert kinds == ["figure", "h4", "img", "figcaption"] * len(FIGURES)


def test_a_table_says_what_it_is_of() -> None:
    (caption,) = parsed(manifest()).all("caption")
    assert "tables to download" in caption.text


def is_heading(element: Element) -> bool:
    return element.tag in {"h1", "h2", "h3", "h4", "h5", "h6"}


def test_the_oldest_of_manifests_makes_a_page() -> None:
    oldest = (
        '{"project_id": "p", "generated_at": "2026-01-01T00:00:00Z", "inputs": [], "fingerprint": "", "entities": []}'
    )
    assert "0 cells" in parsed(Manifest.model_validate_json(oldest)).text()


def test_the_page_of_a_sketch_says_so() -> None:
    told = manifest().model_dump()
    told["entities"][0]["libraries"][0]["statistics"]["sketch_cells"] = 200_000
    text = parsed(Manifest.model_validate(told)).text()
    assert "Cells clustered as a sketch 200,000" in text
    assert "every other cell joined" in text


def test_a_page_lies_beside_its_manifest(tmp_path: Path) -> None:
    write_page(manifest("q"), PREFIX, tmp_path, indexed=True)
    assert str(MADE.year) in (tmp_path / "q/index.html").read_text()
