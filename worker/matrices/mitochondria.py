"""Which genes are mitochondrial."""

from typing import Final

import numpy as np
import numpy.typing as npt

from worker.matrices.matrix import Genes

_SYMBOL_PREFIXES: Final = ("mt-", "mt:")
"""Human ``MT-``, mouse and zebrafish ``mt-``, fly ``mt:``; any case."""

_PROTEINS = "198695 198712 198727 198763 198786 198804 198840 198886 198888 198899 198938 212907 228253"
_RIBOSOMAL = "210082 211459"
_TRANSFER = (
    "209082 210049 210077 210100 210107 210112 210117 210127 210135 210140 210144"
    " 210151 210154 210156 210164 210174 210176 210184 210191 210194 210195 210196"
)
_HUMAN: Final = frozenset(f"ENSG00000{number}" for number in f"{_PROTEINS} {_RIBOSOMAL} {_TRANSFER}".split())
_MOUSE: Final = frozenset(f"ENSMUSG000000{number}" for number in (*range(64336, 64362), *range(64363, 64373), 65947))
"""The 37 genes of each mitochondrial genome (Ensembl: GRCh38 and GRCm39, chromosome MT)."""
_IDS: Final = {"homo_sapiens": _HUMAN, "mus_musculus": _MOUSE}


def mitochondrial(genes: Genes, species: str | None) -> npt.NDArray[np.bool_] | None:
    """Which genes are mitochondrial, (genes,), by symbol or Ensembl id; None if none is.

    ``species`` narrows the ids to its own; None takes both human and mouse ids.
    """
    known = _IDS.get(species, frozenset()) if species else _HUMAN | _MOUSE
    by_symbol = np.array([symbol.casefold().startswith(_SYMBOL_PREFIXES) for symbol in genes.symbols], np.bool_)
    by_id = np.array([gene_id.partition(".")[0] in known for gene_id in genes.ids], np.bool_)
    found = by_symbol | by_id
    return found if found.any() else None
