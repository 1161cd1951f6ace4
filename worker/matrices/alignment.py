"""One list of genes for several matrices: each matrix's genes find their place in the union."""

import numba
import numpy as np
import numpy.typing as npt

from worker.matrices.blocks import ordered
from worker.matrices.matrix import CountBlock, Genes

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
        seen: dict[str, int] = {}
        mapping = np.empty(len(genes), np.int32)
        for position, (gene_id, symbol) in enumerate(zip(genes.ids, genes.symbols, strict=True)):
            occurrence = seen.get(gene_id, 0)
            seen[gene_id] = occurrence + 1
            place = self._places.setdefault((gene_id, occurrence), len(self._places))
            if place == len(self._symbols):
                self._symbols.append(symbol)
            mapping[position] = place
        return mapping

    @property
    def genes(self) -> Genes:
        """The union so far."""
        return Genes(
            np.array([gene_id for gene_id, _ in self._places], dtype=object), np.array(self._symbols, dtype=object)
        )


def remap(block: CountBlock, mapping: npt.NDArray[np.int32]) -> CountBlock:
    """The same counts with gene ``i`` at ``mapping[i]``; LEFT_OUT drops its entries. Genes ascend within cells."""
    if np.array_equal(mapping, np.arange(len(mapping))):
        return ordered(block)
    indptr = np.empty_like(block.indptr)
    indices, values = np.empty_like(block.indices), np.empty_like(block.values)
    kept = _relabel(block, mapping, CountBlock(indptr, indices, values))
    return ordered(CountBlock(indptr, indices[:kept], values[:kept]))


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
