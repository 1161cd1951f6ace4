"""What genes are called, and what their names tell."""

from importlib import resources

import numpy as np
import pytest

from worker.matrices.features import (
    are_genes,
    from_columns,
)
from worker.matrices.matrix import Genes, Strings
from worker.matrices.mitochondria import mitochondrial
from worker.matrices.species import SPECIES_OF_PREFIX, SpeciesOfIds, species_of_genome

ENSEMBL = ("ENSG00000198888", "ENSG00000141510")


def _strings(*texts: str) -> Strings:
    return np.array(texts, dtype=object)


@pytest.mark.parametrize(
    ("columns", "index", "ids", "symbols"),
    [
        ({"feature_name": ("MT-ND1", "")}, ENSEMBL, ENSEMBL, ("MT-ND1", ENSEMBL[1])),
        ({"gene_ids": ENSEMBL}, ("MT-ND1", "TP53"), ENSEMBL, ("MT-ND1", "TP53")),
        ({}, ("MT-ND1", "TP53"), ("MT-ND1", "TP53"), ("MT-ND1", "TP53")),
        ({"Gene": ENSEMBL, "gene_names": ("a", "b")}, None, ENSEMBL, ("a", "b")),
        ({"Gene": ("a", "b"), "ensembl_ids": ENSEMBL}, None, ENSEMBL, ("a", "b")),
        ({"Gene": ("a", "b")}, None, ("a", "b"), ("a", "b")),
        ({"Gene": ENSEMBL}, None, ENSEMBL, ENSEMBL),
        ({"gene_ids": ENSEMBL, "gene_symbols": ("a", "b")}, ("0", "1"), ENSEMBL, ("a", "b")),
    ],
)
def test_ids_and_symbols_are_told_apart(
    columns: dict[str, tuple[str, ...]], index: tuple[str, ...] | None, ids: tuple[str, ...], symbols: tuple[str, ...]
) -> None:
    found = from_columns(
        {name: _strings(*column) for name, column in columns.items()}, _strings(*index) if index else None
    )

    assert found.ids.tolist() == list(ids)
    assert found.symbols.tolist() == list(symbols)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("Gene Expression", "Antibody Capture", "CRISPR Guide Capture"), (True, False, False)),
        (("protein_coding", "lncRNA", "spike-in"), (True, True, False)),
        (("gene", "gene", "transcript"), (True, True, False)),
        (("Gene Expression", "protein_coding", ""), (True, False, False)),
    ],
)
def test_features_are_genes_by_their_kind(kinds: tuple[str, ...], expected: tuple[bool, ...]) -> None:
    names = _strings("a", "b", "c")
    features = from_columns({"feature_types": _strings(*kinds)}, names)

    assert are_genes(features).tolist() == list(expected)


@pytest.mark.parametrize(
    ("genome", "expected"),
    [
        ("GRCh38", "homo_sapiens"),
        ("hg19_chr21", "homo_sapiens"),
        ("mm10", "mus_musculus"),
        ("Mmul_10", "macaca_mulatta"),
        ("Rnor_6.0", "rattus_norvegicus"),
        ("another", None),
    ],
)
def test_genomes_tell_their_species(genome: str, expected: str | None) -> None:
    assert species_of_genome(genome) == expected


def test_ids_of_two_species_tell_none() -> None:
    assert SpeciesOfIds(_strings(*ENSEMBL)).single == "homo_sapiens"
    assert SpeciesOfIds(_strings(*ENSEMBL, "ENSMUSG00000064336", "ENSMUSG00000064337")).single is None
    assert SpeciesOfIds(_strings("TP53", "GAPDH", "ENSG00000141510")).single is None


MIXED = ("GRCh38_ENSG00000198888", "GRCh38_ENSG00000141510", "mm10___ENSMUSG00000064336", "mm10___ENSMUSG00000051951")


@pytest.mark.parametrize(
    "ids", [MIXED, tuple(name.split("_")[-1] for name in MIXED), ("hg19_A", "hg19_B", "mm10_a", "mm10_b")]
)
def test_a_mixture_of_species_is_said_with_numbers(ids: tuple[str, ...]) -> None:
    assert SpeciesOfIds(_strings(*ids)).single is None
    assert SpeciesOfIds(_strings(*ids)).several == (
        "The genes are 2 of homo_sapiens and 2 of mus_musculus: all are taken together, of no single species."
    )


@pytest.mark.parametrize("ids", [ENSEMBL, MIXED[:2], ("a", "b"), ()])
def test_genes_of_one_species_or_of_none_that_is_known_are_no_mixture(ids: tuple[str, ...]) -> None:
    assert SpeciesOfIds(_strings(*ids)).several is None


@pytest.mark.parametrize(
    ("ids", "symbols", "species", "expected"),
    [
        (("1", "2", "3"), ("MT-ND1", "MTOR", "mt-Co1"), "homo_sapiens", [True, False, True]),
        (MIXED, ("GRCh38_MT-ND1", "GRCh38_TP53", "mm10___mt-Tf", "mm10___Xkr4"), None, [True, False, True, False]),
        (MIXED, MIXED, None, [True, False, True, False]),
        (("1", "2"), ("mt:CoI", "Act5C"), "drosophila_melanogaster", [True, False]),
        (("1", "2", "3"), ("ND1", "COX1", "NDUFA1"), "macaca_mulatta", [True, True, False]),
        (("ENSRNOG00000030644", "ENSRNOG00000009523"), ("a", "b"), "rattus_norvegicus", [True, False]),
        (("WBGene00010964", "WBGene00000822"), ("ctc-1", "csq-1"), "caenorhabditis_elegans", [True, False]),
        (("ENSG00000198888.2", "ENSG00000141510"), ("a", "b"), "homo_sapiens", [True, False]),
        (("ENSMUSG00000064336", "x"), ("a", "b"), None, [True, False]),
        (("ENSMUSG00000064336", "x"), ("a", "b"), "homo_sapiens", None),
        (("1", "2"), ("TP53", "MTOR"), "homo_sapiens", None),
    ],
)
def test_mitochondrial_genes_are_found_by_symbol_or_id(
    ids: tuple[str, ...], symbols: tuple[str, ...], species: str | None, expected: list[bool] | None
) -> None:
    found = mitochondrial(Genes(_strings(*ids), _strings(*symbols)), species)

    assert (None if found is None else found.tolist()) == expected


def test_every_species_with_a_known_mitochondrial_genome_has_its_genes_of_it() -> None:
    """22 tRNAs, 2 rRNAs and 13 proteins; the worm has no ATP8, and the fly's origin of replication is listed."""
    table = resources.files("worker.matrices").joinpath("gene_tables", "mitochondrial.tsv").read_text("utf-8")
    ids = _strings(*(line.partition("\t")[0] for line in table.splitlines()))

    found = {species: mitochondrial(Genes(ids, ids), species) for species in SPECIES_OF_PREFIX.values()}

    counts = {species: 0 if genes is None else int(genes.sum()) for species, genes in found.items()}
    usual = dict.fromkeys(SPECIES_OF_PREFIX.values(), 37)
    assert counts == usual | {"drosophila_melanogaster": 38, "caenorhabditis_elegans": 36, "callithrix_jacchus": 0}
