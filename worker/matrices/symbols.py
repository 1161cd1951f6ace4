"""Symbols for genes that a file names by stable ids alone: human and mouse, from tables of GENCODE that are shipped.

What they are made of, and how: ``gene_tables/README.md``.
"""

import gzip
from functools import cache
from importlib import resources
from typing import Final

import numpy as np

from worker.matrices.features import Features, prefix_of

_TABLES: Final = {"ENSG": ("homo_sapiens.tsv.gz", "GENCODE 48"), "ENSMUSG": ("mus_musculus.tsv.gz", "GENCODE M37")}
"""By the prefix of the ids: the file, and where it is from."""
_TELLING_CHARACTERS: Final = 3


def with_symbols(features: Features) -> tuple[Features, str | None]:
    """The features with symbols for human and mouse ids, and a sentence on it; the same, and None, if they have some.

    What the tables do not know (retired ids, genes without a name, other features) keeps its id.
    """
    pairs = zip(features.ids, features.symbols, strict=True)
    if any(_unversioned(symbol) != _unversioned(name) and prefix_of(name) for name, symbol in pairs):
        return features, None
    names = list(zip(features.ids, features.symbols, map(prefix_of, features.ids), strict=True))
    tables = {prefix: _table(prefix) for *_, prefix in names if prefix in _TABLES}
    found = [tables[prefix].get(_unversioned(name)) if prefix in tables else None for name, _, prefix in names]
    n_found = sum(symbol is not None for symbol in found)
    if not n_found:
        return features, None
    symbols = np.array([symbol or known for symbol, (_, known, _) in zip(found, names, strict=True)], dtype=object)
    sources = " and ".join(source for prefix, (_, source) in _TABLES.items() if prefix in tables)
    note = (
        f"The file has ids and no symbols: those of {n_found:,} of its {len(features):,} features are from {sources}."
    )
    return Features(features.ids, symbols, features.kinds, features.genomes), note


def _unversioned(name: str) -> str:
    return name.partition(".")[0]


@cache
def _table(prefix: str) -> dict[str, str]:
    """Symbols by id."""
    packed = resources.files("worker.matrices").joinpath("gene_tables", _TABLES[prefix][0]).read_bytes()
    return dict(line.split("\t") for line in gzip.decompress(packed).decode().splitlines())


@cache
def known_symbols() -> frozenset[str]:
    """The symbols of human and mouse genes, case folded; without those of one or two letters, which may be anything."""
    symbols = (symbol.casefold() for prefix in _TABLES for symbol in _table(prefix).values())
    return frozenset(symbol for symbol in symbols if len(symbol) >= _TELLING_CHARACTERS)
