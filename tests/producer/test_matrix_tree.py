"""Files in trees whose levels may be missing."""

import json

import pytest

from producer.sources.matrix_tree import files_of
from tests.conftest import DATA
from tests.portals.azul import entry, tree, uuid


def test_levels_may_be_missing() -> None:
    one, two, three = entry(1, "a.loom"), entry(2, "b.loom"), entry(3, "c.loom")
    found = files_of(
        {"libraryConstructionApproach": {"Smart-seq2": [one]}},
        {"genusSpecies": {"Mus musculus": [two]}},
        [three],
        {},
        None,
    )
    assert [(file.entry.name, file.species, file.libraries) for file in found.files] == [
        ("a.loom", set(), {"Smart-seq2"}),
        ("b.loom", {"Mus musculus"}, set()),
        ("c.loom", set(), set()),
    ]


def test_a_file_under_many_leaves_is_one_file_and_its_versions_are_two() -> None:
    first, second = entry(1, "a.loom"), entry(1, "a.loom", version="2025")
    found = files_of(tree(first), tree(first, species="Mus musculus", library="Smart-seq2"), tree(second))
    assert [(file.entry.version[:4], sorted(file.species)) for file in found.files] == [
        ("2021", ["Homo sapiens", "Mus musculus"]),
        ("2025", ["Homo sapiens"]),
    ]


def test_entries_of_a_real_answer_of_2025_are_read() -> None:
    entries = json.loads((DATA / "portals" / "azul_file_entries.json").read_text())
    found = files_of(tree(*entries))
    assert [file.entry.name for file in found.files] == ["GSM5820681_Hs_OAT_12-1.dge.tsv.gz", ""]
    assert found.files[1].entry.azul_mirror_uri == (
        "s3://humancellatlas/file/789621de2f56693776f928839f212b599e675590281e1a257a89874c46227db8.sha256"
    )


@pytest.mark.parametrize("broken", [{"name": "no uuid"}, "a text", None, {"uuid": ""}, {"uuid": uuid(9), "version": 7}])
def test_an_entry_that_is_malformed_is_told_and_the_others_are_read(broken: object) -> None:
    found = files_of(tree(broken, entry(1, "a.loom")))
    assert [file.entry.name for file in found.files] == ["a.loom"]
    (told,) = found.malformed
    assert told.reason.startswith("its entry is malformed (")


@pytest.mark.parametrize("broken", ["text", 7, {"genusSpecies": "Homo sapiens"}, {"genusSpecies": {"Homo sapiens": 7}}])
def test_what_is_no_tree_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="no tree"):
        files_of(broken)


def test_a_tree_without_end_is_refused() -> None:
    deep: object = []
    for _ in range(500):
        deep = {"organ": {"blood": deep}}
    with pytest.raises(ValueError, match="no tree"):
        files_of(deep)
