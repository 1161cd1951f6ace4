"""Which features are genes, what they are called, and what their ids say of the species."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.messages import SPECIES_PATTERN
from worker.matrices.matrix import Genes, Strings

ID_COLUMNS: Final = (
    "featurekey",
    "gene_ids",
    "gene_id",
    "ensembl_ids",
    "ensembl_id",
    "ensembl_gene_id",
    "feature_id",
    "accession",
    "ensembl",
    "id",
)
SYMBOL_COLUMNS: Final = (
    "featurename",
    "feature_name",
    "gene_names",
    "gene_name",
    "gene_symbols",
    "gene_symbol",
    "symbol",
    "symbols",
    "hgnc_symbol",
    "mgi_symbol",
    "gene_short_name",
    "gene",
    "name",
)
TYPE_COLUMNS: Final = ("feature_types", "feature_type", "feature_biotype", "featuretype")
"""Names that matrix services, Cell Ranger, scanpy, CELLxGENE and loom give these columns, case folded."""

GENE_EXPRESSION: Final = "gene expression"
NO_GENES: Final = frozenset(
    {
        "antibody capture",
        "antigen capture",
        "chromatin accessibility",
        "crispr guide capture",
        "custom",
        "multiplexing capture",
        "peaks",
        "spike-in",
        "transcript",
        "vdj",
        "vdj-b",
        "vdj-t",
    }
)
"""Kinds of feature in Cell Ranger's and CELLxGENE's files that are no genes, case folded."""

_GENOME = r"(?:GRCh|hg|GRCm|mm)\d+_+"
"""What Cell Ranger puts before genes' names where its reference has several genomes (``GRCh38_``, ``mm10___``)."""
_GENOME_PREFIX = re.compile(_GENOME)
_STABLE_ID = re.compile(rf"(?:{_GENOME})?(ENS[A-Z]{{0,4}}G\d{{11}}|FBgn\d{{7}}|WBGene\d{{8}})(\.\d+)?$")
SPECIES_OF_PREFIX: Final = {
    "ENSG": "homo_sapiens",
    "ENSMUSG": "mus_musculus",
    "ENSRNOG": "rattus_norvegicus",
    "ENSDARG": "danio_rerio",
    "ENSMMUG": "macaca_mulatta",
    "ENSMFAG": "macaca_fascicularis",
    "ENSMICG": "microcebus_murinus",
    "ENSCJAG": "callithrix_jacchus",
    "ENSGGOG": "gorilla_gorilla",
    "ENSPTRG": "pan_troglodytes",
    "ENSOCUG": "oryctolagus_cuniculus",
    "ENSSSCG": "sus_scrofa",
    "FBgn": "drosophila_melanogaster",
    "WBGene": "caenorhabditis_elegans",
}
"""Prefixes of Ensembl's stable ids, https://www.ensembl.org/info/genome/stable_ids/prefixes.html"""
_TAXA: Final = {
    "NCBITaxon:9606": "homo_sapiens",
    "NCBITaxon:10090": "mus_musculus",
    "NCBITaxon:10116": "rattus_norvegicus",
    "NCBITaxon:7955": "danio_rerio",
    "NCBITaxon:9544": "macaca_mulatta",
    "NCBITaxon:9541": "macaca_fascicularis",
    "NCBITaxon:30608": "microcebus_murinus",
    "NCBITaxon:9483": "callithrix_jacchus",
    "NCBITaxon:9593": "gorilla_gorilla",
    "NCBITaxon:9595": "gorilla_gorilla",
    "NCBITaxon:9598": "pan_troglodytes",
    "NCBITaxon:9986": "oryctolagus_cuniculus",
    "NCBITaxon:9823": "sus_scrofa",
    "NCBITaxon:7227": "drosophila_melanogaster",
    "NCBITaxon:6239": "caenorhabditis_elegans",
}
"""The species that CELLxGENE takes (schema 7.1); 9595 is the western lowland gorilla, a subspecies."""
_COMMON_NAMES: Final = {
    "human": "homo_sapiens",
    "mouse": "mus_musculus",
    "rat": "rattus_norvegicus",
    "zebrafish": "danio_rerio",
    "gorilla_gorilla_gorilla": "gorilla_gorilla",
}
_GENOMES: Final = {
    "grch": "homo_sapiens",
    "hg": "homo_sapiens",
    "grcm": "mus_musculus",
    "mm": "mus_musculus",
    "mratbn": "rattus_norvegicus",
    "rn": "rattus_norvegicus",
    "rnor": "rattus_norvegicus",
    "danrer": "danio_rerio",
    "grcz": "danio_rerio",
    "mmul": "macaca_mulatta",
    "sscrofa": "sus_scrofa",
    "bdgp": "drosophila_melanogaster",
    "dm": "drosophila_melanogaster",
    "ce": "caenorhabditis_elegans",
    "wbcel": "caenorhabditis_elegans",
}
"""How assemblies' names begin (GRCh38, hg19, GRCm39, mm10, Rnor_6.0), before a number."""
_MOSTLY: Final = 0.9
_SEVERAL: Final = 0.05
"""Of the genes: fewer of another species are additions (transgenes)."""
_LOOKED_AT: Final = 2_000


@dataclass(frozen=True, slots=True)
class Features:
    """The rows of a matrix, (features,) each: ids and symbols; kinds and genomes where the file tells."""

    ids: Strings
    symbols: Strings
    kinds: Strings | None = None
    genomes: Strings | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def genes(self, chosen: npt.NDArray[np.bool_]) -> Genes:
        """Those chosen."""
        return Genes(self.ids[chosen], self.symbols[chosen])


def are_genes(features: Features) -> npt.NDArray[np.bool_]:
    """Which features are genes: those of kind "Gene Expression" where there are any, else all but known others."""
    if features.kinds is None:
        return np.ones(len(features), np.bool_)
    kinds = np.array([str(kind).strip().casefold() for kind in features.kinds], dtype=object)
    expression = kinds == GENE_EXPRESSION
    return expression if expression.any() else ~np.isin(kinds, list(NO_GENES))


def from_columns(columns: Mapping[str, Strings], index: Strings | None = None) -> Features:
    """Features from a table's columns, told by their names, and its index if it has one.

    An index of stable ids is the ids; any other index is the symbols where a column holds ids.
    """
    folded = {name.casefold(): column for name, column in columns.items()}
    named = [folded[name] for name in SYMBOL_COLUMNS if name in folded]
    if index is not None:
        named.append(index)
    stable = next((column for column in reversed(named) if looks_stable(column)), None)
    ids = _first(folded, ID_COLUMNS) if stable is None else stable
    ids = index if ids is None else ids
    symbols = next((column for column in named if column is not ids), ids)
    ids = symbols if ids is None else ids
    if ids is None or symbols is None:
        raise KeyError("no column of gene ids or symbols")
    return Features(ids, filled(symbols, ids), _first(folded, TYPE_COLUMNS), folded.get("genome"))


def filled(symbols: Strings, ids: Strings) -> Strings:
    """The symbols, with the id where there is none."""
    return np.where(symbols == "", ids, symbols).astype(object)


def is_feature_column(name: str) -> bool:
    """Whether a column says what a feature is."""
    return name.casefold() in (*ID_COLUMNS, *SYMBOL_COLUMNS, *TYPE_COLUMNS, "genome")


def _first(columns: Mapping[str, Strings], names: Sequence[str]) -> Strings | None:
    return next((columns[name] for name in names if name in columns), None)


def looks_stable(names: Strings) -> bool:
    """Whether most of them are stable ids of a gene database."""
    looked_at = names[:_LOOKED_AT]
    return sum(bool(_STABLE_ID.match(name)) for name in looked_at) > len(looked_at) / 2


def prefix_of(name: str) -> str:
    """The part of a stable id that tells its species (``ENSMUSG``); empty for other names."""
    match = _STABLE_ID.match(name)
    return match[1].rstrip("0123456789") if match else ""


def without_genome(name: str) -> str:
    """The name of a gene without the genome that Cell Ranger puts before it."""
    return _GENOME_PREFIX.sub("", name, count=1) if _GENOME_PREFIX.match(name) else name


def species_of_ids(ids: Strings) -> str | None:
    """The species that the ids' prefixes tell; None where they do not agree, or are of another kind."""
    counts = _species_counts(ids)
    species, count = max(counts.items(), key=lambda item: item[1], default=(None, 0))
    told = counts.total()
    return species if told * 2 >= len(ids) and count >= _MOSTLY * told else None


def several_species(ids: Strings) -> str | None:
    """A sentence where the ids are of more than one species, as in a mixture of human and mouse cells."""
    found = {name or "others": count for name, count in _species_counts(ids).items() if count >= _SEVERAL * len(ids)}
    if len(found) <= 1:
        return None
    listed = " and ".join(f"{count:,} of {name}" for name, count in sorted(found.items()))
    return f"The genes are {listed}: all are taken together, of no single species."


def _species_counts(ids: Strings) -> Counter[str | None]:
    """Genes by the species of their stable id, or else of the genome before their name; None is another species."""
    prefixes = Counter(prefix_of(name) or _genome_before(name) for name in ids)
    counts: Counter[str | None] = Counter()
    for prefix, count in prefixes.items():
        if prefix:
            counts[SPECIES_OF_PREFIX.get(prefix) or species_of_genome(prefix)] += count
    return counts


def _genome_before(name: str) -> str:
    match = _GENOME_PREFIX.match(name)
    return match[0] if match else ""


def species_of_genome(genome: str) -> str | None:
    """The species that an assembly's name tells (``GRCh38``, ``mm10_chr19``)."""
    match = re.match(r"([a-z]+)_?\d", genome.strip().casefold())
    return _GENOMES.get(match[1]) if match else None


def species_name(label: str) -> str | None:
    """A species as keys write it (``homo_sapiens``), from a name or an NCBI taxon; None where it is neither."""
    label = label.strip()
    if label in _TAXA:
        return _TAXA[label]
    name = re.sub(r"\W+", "_", label.casefold()).strip("_")
    name = _COMMON_NAMES.get(name, name)
    unknown = name in {"", "nan", "none", "unknown", "unspecified"} or name.startswith("ncbitaxon")
    return None if unknown or not re.match(SPECIES_PATTERN, name) else name
