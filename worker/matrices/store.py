"""Counts by cell on disk: written once, read back in blocks, with the sums taken on the way.

Three bytes an entry where counts are small: the gene in two, the count in one. Larger counts, and those with fractions,
stand beside them as float32; every block has a checksum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numba
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from shared.errors import InternalError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, pointers
from worker.matrices.matrix import CountBlock

STORED_ENTRIES: Final = 524_288
"""Fewest entries of a stored block, but for the last: what is appended is put together, or cut between cells."""
NARROW_GENES: Final = 65_536
"""Genes that two bytes tell apart."""
SPELLED_SHARE: Final = 4
"""One entry in so many may be spelled out beside its byte (in eight); past that all values are kept as float32."""
_FILE: Final = "counts"


@dataclass(frozen=True, slots=True)
class Extent:
    """Where a block lies in the file and how it is kept; ``spelled`` values stand beside their bytes, None: all."""

    offset: int
    n_bytes: int
    checksum: int
    cells: slice
    n_entries: int
    narrow: bool
    spelled: int | None


@dataclass(frozen=True, slots=True)
class Store:
    """Counts of ``n_cells`` cells in ``path``, and their sums.

    ``cell_counts`` float64 (cells,) sum of counts; ``cell_genes`` int32 (cells,) genes with a count;
    ``gene_counts`` float64 (genes,) sum of counts; ``gene_cells`` int64 (genes,) cells with a count.
    """

    path: Path
    extents: tuple[Extent, ...]
    cell_counts: npt.NDArray[np.float64]
    cell_genes: npt.NDArray[np.int32]
    gene_counts: npt.NDArray[np.float64]
    gene_cells: npt.NDArray[np.int64]

    @property
    def n_cells(self) -> int:
        """Cells stored."""
        return len(self.cell_counts)

    @property
    def n_genes(self) -> int:
        """Genes that the indices run over."""
        return len(self.gene_counts)

    @property
    def n_nonzero(self) -> int:
        """Entries stored."""
        return int(self.gene_cells.sum())

    @property
    def cells(self) -> tuple[slice, ...]:
        """The cells of each block, in order."""
        return tuple(extent.cells for extent in self.extents)

    def block(self, number: int) -> CountBlock:
        """The counts of ``cells[number]``; may be asked for by several threads at once."""
        extent = self.extents[number]
        with self.path.open("rb", buffering=0) as file:
            file.seek(extent.offset)
            packed = file.read(extent.n_bytes)
        if len(packed) != extent.n_bytes or isal_zlib.crc32(packed) != extent.checksum:
            raise InternalError(f"{self.path}: block {number:,} of the store is not what was written")
        return CountBlock(pointers(self.cell_genes[extent.cells]), *_unpacked(extent, packed))

    def blocks(self) -> Iterator[CountBlock]:
        """All cells in the order they were appended."""
        return map(self.block, range(len(self.extents)))


def _unpacked(extent: Extent, packed: bytes) -> tuple[Indices, Values]:
    """Genes and values of a block; the spelled values come first in it, then what is narrower."""
    n, spelled = extent.n_entries, extent.spelled
    if spelled is None:
        return np.frombuffer(packed, _index_type(extent), n, 4 * n).astype(np.int32), np.frombuffer(packed, "<f4", n)
    places = np.frombuffer(packed, "<i4", spelled)
    genes_at = 8 * spelled
    genes = np.frombuffer(packed, _index_type(extent), n, genes_at).astype(np.int32)
    values = np.frombuffer(packed, np.uint8, n, len(packed) - n).astype(np.float32)
    values[places] = np.frombuffer(packed, "<f4", spelled, 4 * spelled)
    return genes, values


def _index_type(extent: Extent) -> str:
    return "<u2" if extent.narrow else "<i4"


class StoreWriter:
    """Takes blocks of consecutive cells; the genes may grow from one block to the next."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        with scratch.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(b"")
        self._waiting: list[CountBlock] = []
        self._n_waiting = 0
        self._n_cells = 0
        self._extents: list[Extent] = []
        self._cell_counts: list[npt.NDArray[np.float64]] = []
        self._cell_genes: list[npt.NDArray[np.int32]] = []
        self._gene_counts = np.zeros(0, np.float64)
        self._gene_cells = np.zeros(0, np.int64)

    def append(self, block: CountBlock) -> None:
        """Take a block; ScratchFullError where there is no room."""
        self._waiting.append(block)
        self._n_waiting += len(block.values)
        if self._n_waiting >= STORED_ENTRIES:
            self._write(_cut(_joined(self._waiting)))

    def close(self, n_genes: int) -> Store:
        """What was appended, over ``n_genes`` genes."""
        if self._waiting:
            self._write(_cut(_joined(self._waiting)))
        self._grow(n_genes)
        return Store(
            self._path,
            tuple(self._extents),
            np.concatenate([np.zeros(0, np.float64), *self._cell_counts]),
            np.concatenate([np.zeros(0, np.int32), *self._cell_genes]),
            self._gene_counts,
            self._gene_cells,
        )

    def _write(self, blocks: Iterator[CountBlock]) -> None:
        for block in blocks:
            self._write_block(block)
        self._waiting = []
        self._n_waiting = 0

    def _write_block(self, block: CountBlock) -> None:
        n_entries = len(block.values)
        self._grow(int(block.indices.max(initial=-1)) + 1)
        counts = np.empty(block.n_cells)
        bytes_, places = np.empty(n_entries, np.uint8), np.empty(n_entries, np.int32)
        spelled = _tally(block, counts, self._gene_counts, self._gene_cells, bytes_, places)
        plain = spelled * SPELLED_SHARE > n_entries
        narrow = len(self._gene_counts) <= NARROW_GENES
        genes = block.indices.astype("<u2" if narrow else "<i4")
        places = places[:spelled]
        parts = (block.values, genes) if plain else (places, block.values[places], genes, bytes_)
        packed = b"".join(np.ascontiguousarray(part).data for part in parts)
        cells = slice(self._n_cells, self._n_cells + block.n_cells)
        with scratch.writing(self._path.parent), self._path.open("ab") as file:
            offset = file.tell()
            file.write(packed)
        checksum = isal_zlib.crc32(packed)
        kept = None if plain else spelled
        self._extents.append(Extent(offset, len(packed), checksum, cells, n_entries, narrow, kept))
        self._cell_counts.append(counts)
        self._cell_genes.append(np.diff(block.indptr).astype(np.int32))
        self._n_cells = cells.stop

    def _grow(self, n_genes: int) -> None:
        more = n_genes - len(self._gene_counts)
        if more > 0:
            self._gene_counts = np.append(self._gene_counts, np.zeros(more))
            self._gene_cells = np.append(self._gene_cells, np.zeros(more, np.int64))


def _joined(blocks: list[CountBlock]) -> CountBlock:
    if len(blocks) == 1:
        return blocks[0]
    lengths = np.concatenate([np.diff(block.indptr) for block in blocks])
    indices, values = (np.concatenate(parts) for parts in zip(*((b.indices, b.values) for b in blocks), strict=True))
    return CountBlock(pointers(lengths), indices, values)


def _cut(block: CountBlock) -> Iterator[CountBlock]:
    """Pieces of whole cells, of one to two times STORED_ENTRIES each, as far as cells can be cut so."""
    pieces = max(1, len(block.values) // STORED_ENTRIES)
    aims = len(block.values) * np.arange(1, pieces) // pieces
    bounds = np.unique([0, *np.searchsorted(block.indptr, aims), block.n_cells])
    for start, stop in pairwise(bounds.tolist()):
        first, last = block.indptr[start], block.indptr[stop]
        yield CountBlock(block.indptr[start : stop + 1] - first, block.indices[first:last], block.values[first:last])


@numba.njit(cache=True, nogil=True)
def _tally(
    block: CountBlock,
    cell_counts: npt.NDArray[np.float64],
    gene_counts: npt.NDArray[np.float64],
    gene_cells: npt.NDArray[np.int64],
    as_bytes: npt.NDArray[np.uint8],
    places: Indices,
) -> int:
    """Take the sums of a block, and each value's byte, 0 where it does not fit in one: how many, and their places."""
    spelled = 0
    for cell in range(len(cell_counts)):
        total = 0.0
        for entry in range(block.indptr[cell], block.indptr[cell + 1]):
            gene, value = block.indices[entry], block.values[entry]
            total += value
            gene_counts[gene] += value
            gene_cells[gene] += 1
            byte = np.uint8(min(value, np.float32(255)))
            if np.float32(byte) != value:
                byte = np.uint8(0)
                places[spelled] = entry
                spelled += 1
            as_bytes[entry] = byte
        cell_counts[cell] = total
    return spelled
