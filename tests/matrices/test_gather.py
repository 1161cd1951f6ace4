"""Cells are sorted by species and library construction; nothing is dropped, and what was decided is said."""

from pathlib import Path

import pytest

from shared.errors import UnsupportedFormatError
from shared.manifest import fingerprint
from shared.messages import MatrixReference
from tests.matrices.building import CELLS, FEATURES, MARKET, zipped
from tests.matrices.test_beside import counts_of, fetched, gathered
from worker.fetch import Fetched
from worker.gather import MAX_UNKNOWN_METHODS, Gathered
from worker.matrices.market_text import TEXT_BYTES

IDS = CELLS.decode().split()


def labelled(folder: Path, labels: list[str], of_source: tuple[str, ...] = ()) -> Gathered:
    """Four cells with these labels, in a matrix of which the source says ``of_source``."""
    table = "cellkey\tlibrary_construction_method\n" + "".join(
        f"{cell}\t{label}\n" for cell, label in zip(IDS, labels, strict=True)
    )
    matrix, *tables = fetched(folder, {"matrix.mtx": MARKET, "genes.tsv": FEATURES, "cells.tsv": table.encode()})
    known = matrix.input.model_copy(update={"library_construction": of_source})
    return gathered(folder, [Fetched(matrix.path, known), *tables])


def cells_of(found: Gathered) -> dict[str, list[str]]:
    """Cell ids by library construction group."""
    return {cells.library: cells.cells.ids.tolist() for group in found.groups for cells in group.libraries}


def test_a_mixed_matrix_is_split_and_an_unknown_method_is_a_group_of_its_own(tmp_path: Path) -> None:
    found = labelled(tmp_path, ["10X v2 sequencing", "smart-seq2 ", "", "My-own seq"])

    assert cells_of(found) == {
        "10X": [IDS[0]],
        "SS2": [IDS[1]],
        "unspecified": [IDS[2]],
        "My-own-seq": [IDS[3]],
    }


def test_the_authors_types_go_with_their_cells_and_those_of_other_files_have_none(tmp_path: Path) -> None:
    typed = b"cellkey\tcell_type\tlibrary_construction_method\n" + b"".join(
        b"%s\t%s\t%s\n" % row
        for row in zip(CELLS.split(), (b"T", b"unknown", b"B", b"T"), (b"10x", b"10x", b"SS2", b"SS2"), strict=True)
    )
    (tmp_path / "other").mkdir()
    files = [
        *fetched(tmp_path, {"matrix.mtx": MARKET, "genes.tsv": FEATURES, "cells.tsv": typed}),
        *fetched(
            tmp_path / "other", {"matrix.mtx": MARKET, "genes.tsv": FEATURES, "cells.tsv": CELLS}, "s3://bucket/other"
        ),
    ]

    (group,) = gathered(tmp_path, files).groups

    types = {cells.library: cells.cells.types for cells in group.libraries}
    assert {library: None if told is None else told.tolist() for library, told in types.items()} == {
        "10X": ["T", ""],
        "SS2": ["B", "T"],
        "unspecified": [""] * 4,
    }


def test_cells_without_a_label_are_of_the_method_that_the_source_names(tmp_path: Path) -> None:
    found = labelled(tmp_path, ["", "nan", "Smart-seq2", "unknown"], ("10x 3' v2",))

    assert cells_of(found) == {"10X": [IDS[0], IDS[1], IDS[3]], "SS2": [IDS[2]]}


@pytest.mark.parametrize("excess", [0, 1])
def test_more_unknown_methods_than_there_can_be_are_taken_together_and_that_is_said(
    excess: int, tmp_path: Path
) -> None:
    n_cells = MAX_UNKNOWN_METHODS + excess + 1
    lines = [b"%%MatrixMarket matrix coordinate integer general", b"3 %d %d" % (n_cells, n_cells)]
    market = b"\n".join([*lines, *(b"1 %d 1" % (n + 1) for n in range(n_cells)), b""])
    labels = ["10x", *(f"sample {n}" for n in range(n_cells - 1))]
    cells = "cellkey\tassay\n" + "".join(f"c{n}\t{label}\n" for n, label in enumerate(labels))

    found = gathered(
        tmp_path, fetched(tmp_path, {"matrix.mtx": market, "genes.tsv": FEATURES, "cells.tsv": cells.encode()})
    )

    groups = cells_of(found)
    assert sorted(cell for ids in groups.values() for cell in ids) == sorted(f"c{n}" for n in range(n_cells))
    said = [sentence for sentence in found.inputs[0].reading if "no known method" in sentence]
    if excess:
        assert set(groups) == {"10X", "unspecified"}
        assert said[0].startswith(f"{MAX_UNKNOWN_METHODS + 1} library construction labels are of no known method")
    else:
        assert len(groups) == MAX_UNKNOWN_METHODS + 1
        assert not said


def test_canned_tables_beside_a_canned_matrix_are_inputs_and_the_fingerprint_is_the_messages(tmp_path: Path) -> None:
    """To the producer ``p.genes.tsv.gz`` is a key as any other, whose species is called genes."""
    items = fetched(tmp_path, {"p.barcodes.tsv": CELLS, "p.genes.tsv": FEATURES, "p.mtx": MARKET})
    named = [
        Fetched(item.path, item.input.model_copy(update={"species": species}))
        for item, species in zip(items, ("barcodes", "genes", None), strict=True)
    ]

    found = gathered(tmp_path, named)

    assert [group.entity for group in found.groups] == ["project"]
    message = [MatrixReference(**item.input.model_dump(include={"uri", "version", "species"})) for item in named]
    assert fingerprint(found.inputs) == fingerprint(message)


@pytest.mark.parametrize("turned", [False, True])
def test_a_species_that_one_file_tells_is_that_of_the_project_whatever_their_order(
    tmp_path: Path, *, turned: bool
) -> None:
    (tmp_path / "ids").mkdir()
    (tmp_path / "symbols").mkdir()
    told = b"".join(b"ENSG%011d\tG%d\n" % (n, n) for n in range(3))
    files = [
        *fetched(tmp_path / "ids", {"matrix.mtx": MARKET, "genes.tsv": told, "barcodes.tsv": CELLS}, "s3://b/a"),
        *fetched(
            tmp_path / "symbols", {"matrix.mtx": MARKET, "genes.tsv": b"A\nB\nC\n", "barcodes.tsv": CELLS}, "s3://b/c"
        ),
    ]

    found = gathered(tmp_path, files[::-1] if turned else files)

    assert [group.species for group in found.groups] == ["homo_sapiens"]


def test_text_that_is_no_matrix_is_passed_over_beside_one_that_is(tmp_path: Path) -> None:
    counts, notes = b"gene,a,b\nTP53,1,2\nACTB,3,0\n", b"cell,type\na,T cell\nb,B cell\n"

    found = gathered(tmp_path, fetched(tmp_path, {"counts.csv": counts, "cell_info.csv": notes}))

    assert counts_of(found).toarray().tolist() == [[1, 3], [2, 0]]
    assert found.inputs[1].format == "no matrix"
    assert found.inputs[1].reading[0].startswith("Not read: input-1: text that is no table of numbers")


def test_text_that_is_no_matrix_is_refused_alone(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFormatError, match="text that is no table of numbers"):
        gathered(tmp_path, fetched(tmp_path, {"cell_info.csv": b"cell,type\na,T cell\n"}))


def test_several_matrices_whose_order_is_lost_late_are_all_regrouped(tmp_path: Path) -> None:
    """The last entry of each belongs to its first cell, more than a block of text after that cell's others."""
    n_entries = TEXT_BYTES // len(b"1 1 1\n") + 100
    market = b"%%MatrixMarket matrix coordinate integer general\n3 4 " + b"%d\n" % (n_entries + 2)
    market += b"1 1 1\n" + b"2 3 1\n" * n_entries + b"3 1 2\n"
    members = {
        f"{run}/{name}": content
        for run in ("a", "b", "c")
        for name, content in (("matrix.mtx", market), ("genes.tsv", FEATURES), ("barcodes.tsv", CELLS))
    }
    archive = zipped(tmp_path / "a.zip", members)

    found = counts_of(gathered(tmp_path, fetched(tmp_path, {"a.mtx.zip": archive.read_bytes()})))

    assert found.toarray().tolist() == [[1, 0, 2], [0, 0, 0], [0, n_entries, 0], [0, 0, 0]] * 3
