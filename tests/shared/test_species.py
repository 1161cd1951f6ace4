"""Species by any name."""

import pytest

from shared.species import species_name


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Homo sapiens", "homo_sapiens"),
        ("NCBITaxon:9606", "homo_sapiens"),
        ("NCBITaxon:9595", "gorilla_gorilla"),
        ("Gorilla gorilla gorilla", "gorilla_gorilla"),
        ("Mouse", "mus_musculus"),
        ("Callithrix jacchus", "callithrix_jacchus"),
        ("NCBITaxon:1", None),
        ("nan", None),
        ("N/A", None),
        ("not applicable", None),
        ("null", None),
        ("9606", "homo_sapiens"),
        ("ncbitaxon:10090", "mus_musculus"),
        ("", None),
    ],
)
def test_species_are_written_as_keys_have_them(label: str, expected: str | None) -> None:
    assert species_name(label) == expected
