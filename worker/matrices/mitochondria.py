"""Which genes are mitochondrial."""

from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from worker.matrices.features import prefix_of, without_genome
from worker.matrices.matrix import Genes
from worker.matrices.species import SPECIES_OF_PREFIX

_SYMBOL_PREFIXES: Final = ("mt-", "mt:")
"""Human ``MT-``, mouse and zebrafish ``mt-``, rat ``Mt-``, fly ``mt:``; any case."""
_PROTEINS = ("atp6", "atp8", "cox1", "cox2", "cox3", "cytb", "nd1", "nd2", "nd3", "nd4", "nd4l", "nd5", "nd6")
_BARE_SYMBOLS: Final = frozenset(_PROTEINS)
"""What Ensembl and RefSeq call them in species whose symbols have no prefix (macaque, pig, marmoset)."""


def mitochondrial(genes: Genes, species: str | None) -> npt.NDArray[np.bool_] | None:
    """Which genes are mitochondrial, (genes,), by symbol or stable id; None if none is.

    ``species`` narrows the ids to its own; None takes those of all species (``gene_tables/README.md``).
    """
    known = _ids()
    wanted = known.get(species, frozenset()) if species else frozenset[str]().union(*known.values())
    symbols = [without_genome(symbol).casefold() for symbol in genes.symbols]
    by_symbol = [symbol.startswith(_SYMBOL_PREFIXES) or symbol in _BARE_SYMBOLS for symbol in symbols]
    by_id = [without_genome(gene_id).partition(".")[0] in wanted for gene_id in genes.ids]
    found = np.array(by_symbol, np.bool_) | np.array(by_id, np.bool_)
    return found if found.any() else None


@cache
def _ids() -> dict[str, frozenset[str]]:
    """The genes of each species' mitochondrial genome."""
    table = resources.files("worker.matrices").joinpath("gene_tables", "mitochondrial.tsv").read_text("utf-8")
    ids = [line.partition("\t")[0] for line in table.splitlines()]
    return {
        species: frozenset(gene_id for gene_id in ids if prefix_of(gene_id) == prefix)
        for prefix, species in SPECIES_OF_PREFIX.items()
    }
