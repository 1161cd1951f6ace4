"""Counts by cell on disk: written once, read back in blocks, with the sums taken on the way.

Three bytes an entry where counts are small: the gene in two, the count in one. Larger counts, and those with fractions,
stand beside them as float32; every block has a checksum.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from shared.errors import InternalError
from worker.matrices import scratch
from worker.matrices.blocks import Indices, Values, pointers
from worker.matrices.matrix import CountBlock

STORED_ENTRIES: Final = 524_288
"""Fewest entries of a stored block, but for the last; it ends with a cell."""
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
        self._page = _Page(narrow=True)
        self._n_cells = 0
        self._extents: list[Extent] = []
        self._cell_counts: list[npt.NDArray[np.float64]] = []
        self._cell_genes: list[npt.NDArray[np.int32]] = []
        self._genes = _Sums(np.zeros(0, np.float64), np.zeros(0, np.int64))

    def append(self, block: CountBlock) -> None:
        """Take a block; ScratchFullError where there is no room."""
        self._genes = self._genes.over(int(block.indices.max(initial=-1)) + 1)
        if self._page.narrow and len(self._genes.counts) > NARROW_GENES:
            self._write()
            self._page = _Page(narrow=False)
        self._cell_genes.append(np.diff(block.indptr).astype(np.int32))
        first = 0
        while first < block.n_cells:
            full = block.indptr[first] + STORED_ENTRIES - self._page.n_entries
            last = min(int(np.searchsorted(block.indptr, full)), block.n_cells)
            cells = CountBlock(block.indptr[first : last + 1], block.indices, block.values)
            self._cell_counts.append(self._page.take(cells, self._genes))
            first = last
            if self._page.n_entries >= STORED_ENTRIES:
                self._write()

    def close(self, n_genes: int) -> Store:
        """What was appended, over ``n_genes`` genes."""
        self._write()
        genes = self._genes.over(n_genes)
        return Store(
            self._path,
            tuple(self._extents),
            np.concatenate([np.zeros(0, np.float64), *self._cell_counts]),
            np.concatenate([np.zeros(0, np.int32), *self._cell_genes]),
            genes.counts,
            genes.cells,
        )

    def _write(self) -> None:
        page = self._page
        if not page.n_cells:
            return
        parts, spelled = page.packed()
        checksum = 0
        with scratch.writing(self._path.parent), self._path.open("ab") as file:
            offset = file.tell()
            for part in parts:
                file.write(part)
                checksum = isal_zlib.crc32(part, checksum)
            n_bytes = file.tell() - offset
        cells = slice(self._n_cells, self._n_cells + page.n_cells)
        self._extents.append(Extent(offset, n_bytes, checksum, cells, page.n_entries, page.narrow, spelled))
        self._n_cells = cells.stop
        page.clear()


class _Sums(NamedTuple):
    """Of each gene, (genes,): the sum of its counts and the cells that have any."""

    counts: npt.NDArray[np.float64]
    cells: npt.NDArray[np.int64]

    def over(self, n_genes: int) -> "_Sums":
        """The same over at least so many genes."""
        more = n_genes - len(self.counts)
        if more <= 0:
            return self
        return _Sums(np.append(self.counts, np.zeros(more)), np.append(self.cells, np.zeros(more, np.int64)))


class _Page:
    """A block in the making: what is taken is packed at once, in memory that is used again for the next.

    ``places`` and ``spelled`` are the values that do not fit in their byte.
    """

    def __init__(self, *, narrow: bool) -> None:
        self.narrow = narrow
        self.n_cells = 0
        self.n_entries = 0
        self._n_spelled = 0
        self._genes = np.empty(0, "<u2" if narrow else "<i4")
        self._bytes = np.empty(0, np.uint8)
        self._places = np.empty(0, np.int32)
        self._spelled = np.empty(0, np.float32)

    def take(self, cells: CountBlock, sums: _Sums) -> npt.NDArray[np.float64]:
        """The cells' sums, (cells,); those of genes are added to ``sums``."""
        n_entries = self.n_entries + int(cells.indptr[-1] - cells.indptr[0])
        self._make_room(n_entries)
        totals = np.empty(cells.n_cells)
        to = (self._genes, self._bytes, self._places, self._spelled)
        self._n_spelled = _pack(cells, to, self.n_entries, self._n_spelled, totals, sums)
        self.n_cells += cells.n_cells
        self.n_entries = n_entries
        return totals

    def packed(self) -> tuple[list[memoryview], int | None]:
        """What is to be written, and how many values are spelled out in it; None if all are."""
        genes, bytes_ = self._genes[: self.n_entries], self._bytes[: self.n_entries]
        places, spelled = self._places[: self._n_spelled], self._spelled[: self._n_spelled]
        if self._n_spelled * SPELLED_SHARE <= self.n_entries:
            return [part.data for part in (places, spelled, genes, bytes_)], self._n_spelled
        values = bytes_.astype(np.float32)
        values[places] = spelled
        return [values.data, genes.data], None

    def clear(self) -> None:
        """Begin the next."""
        self.n_cells = self.n_entries = self._n_spelled = 0

    def _make_room(self, n_entries: int) -> None:
        if n_entries > len(self._genes):
            size = max(n_entries, 2 * STORED_ENTRIES)
            for array in (self._genes, self._bytes, self._places, self._spelled):
                array.resize(size, refcheck=False)


@numba.njit(cache=True, nogil=True)
def _pack(
    cells: CountBlock,
    to: tuple[npt.NDArray[np.integer], npt.NDArray[np.uint8], Indices, Values],
    n_packed: int,
    n_spelled: int,
    totals: npt.NDArray[np.float64],
    sums: _Sums,
) -> int:
    """Append genes and values to ``to``, of which so many stand there already; 0 for a value that is no byte.

    How many values are spelled out now.
    """
    genes, as_bytes, places, spelled = to
    for cell in range(len(totals)):
        total = 0.0
        for entry in range(cells.indptr[cell], cells.indptr[cell + 1]):
            gene, value = np.uint32(cells.indices[entry]), cells.values[entry]
            total += value
            sums.counts[gene] += value
            sums.cells[gene] += 1
            byte = np.uint8(min(value, np.float32(255)))
            if np.float32(byte) != value:
                byte = np.uint8(0)
                places[n_spelled], spelled[n_spelled] = n_packed, value
                n_spelled += 1
            genes[n_packed], as_bytes[n_packed] = gene, byte
            n_packed += 1
        totals[cell] = total
    return n_spelled
