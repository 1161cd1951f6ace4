"""Untidy labels, tidy groups."""

import pytest

from shared.library_construction import method


@pytest.mark.parametrize(
    ("label", "group"),
    [
        ("10X v2 sequencing", "10X"),
        ("10x 3' v3", "10X"),
        ("EFO:0009310", "10X"),
        ("  10X 3' V3 sequencing ", "10X"),
        ("Smart-seq2", "SS2"),
        ("smart-seq2 ", "SS2"),
        ("efo:0008931", "SS2"),
        ("Smart-seq", "Smart-seq"),
        ("Drop-seq", "Drop-seq"),
        ("DroNc-Seq ", "DroNc-seq"),
        ("scATAC-seq", "scATAC-seq"),
        ("10X Visium", "Visium"),
        ("single cell library construction", "unspecified"),
        ("", "unspecified"),
        ("nan", "unspecified"),
        ("A brand/new µ-method ", "A-brand-new-method"),
        ("../..", "unspecified"),
    ],
)
def test_a_label_or_id_means_a_group(label: str, group: str) -> None:
    assert method(label).group == group


def test_full_length_methods_count_reads() -> None:
    assert method("Smart-seq2").umi is False
    assert method("10x 3' v2").umi is True
    assert method("something else").umi is None


def test_what_measures_no_expression_is_known_and_what_is_unknown_may() -> None:
    assert not method("EFO:0030007").rna
    assert method("10x multiome").rna
    assert method("something else").rna
