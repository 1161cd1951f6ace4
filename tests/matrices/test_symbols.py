"""Symbols from a table that is shipped, for files that have ids alone."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from worker.matrices.features import Features
from worker.matrices.matrix import Strings
from worker.matrices.symbols import with_symbols


def _strings(*texts: str) -> Strings:
    return np.array(texts, dtype=object)


@pytest.mark.parametrize(
    ("gene_id", "symbol"),
    [
        ("ENSG00000141510", "TP53"),
        ("ENSG00000141510.18", "TP53"),
        ("ENSG00000198888", "MT-ND1"),
        ("ENSMUSG00000064351", "mt-Co1"),
        ("ENSG00000296732", "ENSG00000296732"),
        ("ENSG00000000001", "ENSG00000000001"),
        ("ENSDARG00000063895", "ENSDARG00000063895"),
        ("ERCC-00002", "ERCC-00002"),
    ],
)
def test_an_id_gets_its_symbol_and_what_is_not_known_keeps_its_id(gene_id: str, symbol: str) -> None:
    ids = _strings("ENSG00000075624", gene_id)

    found, note = with_symbols(Features(ids, ids))

    assert found.ids.tolist() == ids.tolist()
    assert found.symbols.tolist() == ["ACTB", symbol]
    assert note is not None


def test_the_sentence_counts_what_was_found_and_names_the_sources() -> None:
    ids = _strings("ENSG00000141510", "ENSMUSG00000064351", "ENSG00000000001", "gfp")
    kinds = _strings("a", "b", "c", "d")

    found, note = with_symbols(Features(ids, ids, kinds))

    assert note == (
        "The file has ids and no symbols: those of 2 of its 4 features are from GENCODE 48 and GENCODE M37."
    )
    assert found.kinds is kinds


@pytest.mark.parametrize(
    ("ids", "symbols"),
    [
        (("ENSG00000141510", "ENSG00000075624"), ("p53", "ENSG00000075624")),
        (("TP53", "ACTB"), ("TP53", "ACTB")),
        (("ENSDARG00000063895",), ("ENSDARG00000063895",)),
        ((), ()),
    ],
)
def test_a_file_with_symbols_of_its_own_or_of_another_species_is_left_alone(
    ids: tuple[str, ...], symbols: tuple[str, ...]
) -> None:
    features = Features(_strings(*ids), _strings(*symbols))

    assert with_symbols(features) == (features, None)


def test_ids_that_differ_in_their_version_alone_are_no_symbols() -> None:
    found, _ = with_symbols(Features(_strings("ENSG00000141510.18"), _strings("ENSG00000141510")))

    assert found.symbols.tolist() == ["TP53"]


def test_the_tables_are_in_the_wheel(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]

    subprocess.run(command, cwd=root, check=True, capture_output=True)

    (wheel,) = tmp_path.glob("*.whl")
    names = {Path(name).name for name in zipfile.ZipFile(wheel).namelist() if "/gene_tables/" in name}
    assert {"homo_sapiens.tsv.gz", "mus_musculus.tsv.gz", "mitochondrial.tsv", "LICENSE", "README.md"} <= names
