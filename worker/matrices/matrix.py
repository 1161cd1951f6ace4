"""What every reader gives: a matrix told apart from its format, streamed by cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Strings = npt.NDArray[np.object_]
"""A one-dimensional array of str."""

BLOCK_ENTRIES = 2_000_000
"""Non-zeros a block aims at: 16 MB of values and indices, whatever the number of cells."""


@dataclass(frozen=True, slots=True)
class Genes:
    """The features that are genes: ids and symbols, (genes,) each; the id stands in where there is no symbol."""

    ids: Strings
    symbols: Strings

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Cells:
    """Cell ids, each cell's own library construction label, and its type by the authors; (cells,) each.

    None where the file has none.
    """

    ids: Strings
    library_labels: Strings | None = None
    types: Strings | None = None

    def __len__(self) -> int:
        return len(self.ids)


class CountBlock(NamedTuple):
    """Raw counts of consecutive cells in compressed rows; genes of a cell ascend and occur once; no stored zeros.

    A tuple of arrays, so that compiled code takes it as it is.
    ``indptr`` int64 (cells + 1,), ``indices`` int32 (entries,), ``values`` float32 (entries,).
    """

    indptr: npt.NDArray[np.int64]
    indices: npt.NDArray[np.int32]
    values: npt.NDArray[np.float32]

    @property
    def n_cells(self) -> int:
        """Cells in this block."""
        return len(self.indptr) - 1


class Matrix(Protocol):
    """One matrix of raw counts, its tables in memory and its counts on disk."""

    @property
    def name(self) -> str:
        """Where it lies in the file, for messages: a folder, a genome, a layer; may be empty."""

    @property
    def genes(self) -> Genes:
        """The genes, in the order of the blocks' indices."""

    @property
    def cells(self) -> Cells:
        """The cells, in the order of the blocks."""

    @property
    def species(self) -> str | None:
        """What the file says of its species (``homo_sapiens``), None where it is silent."""

    @property
    def reading(self) -> tuple[str, ...]:
        """What was decided about the file and why, a sentence each."""

    def blocks(self) -> Iterator[CountBlock]:
        """All cells, in order, in blocks of about BLOCK_ENTRIES; CorruptMatrixError names the place."""


@dataclass(frozen=True, slots=True)
class OpenedFile:
    """A file that was recognised: its format in a few words, the matrices in it, and what is to be said of it all."""

    format: str
    matrices: tuple[Matrix, ...] = ()
    reading: tuple[str, ...] = ()
