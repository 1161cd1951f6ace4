"""One list of genes for several matrices: each matrix's genes find their place in the union."""

from collections import Counter
from collections.abc import Sequence

import numba
import numpy as np
import numpy.typing as npt

from worker.matrices.blocks import ordered
from worker.matrices.matrix import CountBlock, Genes, Strings

LEFT_OUT = np.int32(-1)
"""The place of a feature that is no gene."""


class GeneUnion:
    """The genes of all matrices, in the order they are first met.

    A gene is told by its id and the occurrence of that id in its matrix, so that duplicated ids stay apart.
    """

    def __init__(self) -> None:
        self._places: dict[tuple[str, int], int] = {}
        self._symbols: list[str] = []

    def add(self, genes: Genes) -> npt.NDArray[np.int32]:
        """The place in the union of each of ``genes``, (genes,); the first matrix with a gene gives its symbol."""
        places = self._places
        known = len(places)
        keys = zip(genes.ids, _occurrences(genes.ids), strict=True)
        mapping = np.array([places.setdefault(key, len(places)) for key in keys], np.int32)
        self._symbols.extend(genes.symbols[mapping >= known])
        return mapping

    @property
    def genes(self) -> Genes:
        """The union so far."""
        return Genes(
            np.array([gene_id for gene_id, _ in self._places], dtype=object), np.array(self._symbols, dtype=object)
        )


def _occurrences(ids: Strings) -> Sequence[int]:
    """How often each id came before."""
    if len(set(ids)) == len(ids):
        return [0] * len(ids)
    seen: Counter[str] = Counter()
    occurrences = []
    for gene_id in ids:
        occurrences.append(seen[gene_id])
        seen[gene_id] += 1
    return occurrences


def remap(block: CountBlock, mapping: npt.NDArray[np.int32]) -> CountBlock:
    """The same counts with gene ``i`` at ``mapping[i]``; LEFT_OUT drops its entries."""
    if _keeps(mapping):
        return block
    indptr = np.empty_like(block.indptr)
    indices, values = np.empty_like(block.indices), np.empty_like(block.values)
    kept = _relabel(block, mapping, CountBlock(indptr, indices, values))
    return ordered(CountBlock(indptr, indices[:kept], values[:kept]))


@numba.njit(cache=True, nogil=True)
def _keeps(mapping: npt.NDArray[np.int32]) -> bool:
    """Whether every gene keeps its place."""
    for gene in range(len(mapping)):  # noqa: SIM110 - a generator is not compiled
        if mapping[gene] != gene:
            return False
    return True


@numba.njit(cache=True, nogil=True)
def _relabel(block: CountBlock, mapping: npt.NDArray[np.int32], to: CountBlock) -> int:
    kept = 0
    to.indptr[0] = 0
    for cell in range(len(block.indptr) - 1):
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            gene = mapping[block.indices[entry]]
            if gene != LEFT_OUT:
                to.indices[kept], to.values[kept] = gene, block.values[entry]
                kept += 1
        to.indptr[cell + 1] = kept
    return kept
