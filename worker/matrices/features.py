"""Which features are genes, and what they are called."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

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


def genome_before(name: str) -> str:
    """The genome that Cell Ranger puts before a gene's name; empty for other names."""
    match = _GENOME_PREFIX.match(name)
    return match[0] if match else ""
