"""What all formats have in common: features that are no genes stay out, every value is checked, empty is an error."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from shared.errors import CorruptMatrixError, EmptyMatrixError
from worker.matrices.alignment import LEFT_OUT, remap
from worker.matrices.blocks import ordered
from worker.matrices.counts import CountCheck, refuse_impossible
from worker.matrices.features import Features, are_genes
from worker.matrices.matrix import Cells, CountBlock, Genes, Strings
from worker.matrices.species import SpeciesOfIds
from worker.matrices.symbols import with_symbols

RawBlocks = Callable[[], Iterator[CountBlock]]
"""Blocks of consecutive cells over all features, whose genes need not ascend and may repeat (repeats are summed)."""


class CountedMatrix:
    """A Matrix over ``features``; ``reading`` says all there is to say once ``blocks`` has been read to its end."""

    def __init__(
        self,
        *,
        place: str,
        features: Features,
        cells: Cells,
        raw_blocks: RawBlocks,
        species: str | None = None,
        notes: Sequence[str] = (),
        name: str = "",
    ) -> None:
        features, from_table = with_symbols(features)
        chosen = are_genes(features)
        self._place = place
        self._name = name
        self._cells = cells
        self._raw_blocks = raw_blocks
        self._genes = features.genes(chosen)
        told = SpeciesOfIds(self._genes.ids)
        self._notes = [*notes, *filter(None, (from_table, told.several))]
        self._conclusion: tuple[str, ...] = ()
        self._mapping = np.where(chosen, np.cumsum(chosen) - 1, LEFT_OUT).astype(np.int32)
        if not len(cells) or not len(features):
            raise EmptyMatrixError(f"{place}: {len(features):,} genes by {len(cells):,} cells: nothing to summarise")
        if not chosen.all():
            self._note_left_out(features.kinds, int((~chosen).sum()))
        self._species = species or self._guessed(told.single)

    @property
    def name(self) -> str:
        """Where it lies in its file."""
        return self._name

    @property
    def genes(self) -> Genes:
        """The features that are genes."""
        return self._genes

    @property
    def cells(self) -> Cells:
        """The cells."""
        return self._cells

    @property
    def species(self) -> str | None:
        """What the file says, or the ids of its genes."""
        return self._species

    @property
    def reading(self) -> tuple[str, ...]:
        """What was decided; the last sentence comes when all values have been seen."""
        return (*self._notes, *self._conclusion)

    def blocks(self) -> Iterator[CountBlock]:
        """All cells; at the end NoRawCountsError or EmptyMatrixError if the values were no counts, or none."""
        check = CountCheck(self._place, self._genes, self._cells)
        n_cells = 0
        for raw in self._raw_blocks():
            in_order = ordered(raw)
            if in_order is not raw:
                self._refuse_negative(raw, n_cells)
            block = remap(in_order, self._mapping)
            check.see(block)
            n_cells += block.n_cells
            yield block
        if n_cells != len(self._cells):
            raise CorruptMatrixError(f"{self._place}: counts of {n_cells:,} cells, but {len(self._cells):,} are named")
        if not check.n_entries:
            raise EmptyMatrixError(
                f"{self._place}: {len(self._genes):,} genes by {n_cells:,} cells, all counts are zero"
            )
        self._conclusion = (check.conclude(),)

    def _refuse_negative(self, raw: CountBlock, first_cell: int) -> None:
        """Before entries of one cell and gene are summed, as that may hide one."""
        if raw.values.min(initial=0) < 0:
            entry = int(np.argmin(raw.values))
            cell = first_cell + int(np.searchsorted(raw.indptr, entry, side="right")) - 1
            refuse_impossible(float(raw.values[entry]), f"{self._place}: cell {self._cells.ids[cell]}")

    def _note_left_out(self, kinds: Strings | None, n_left_out: int) -> None:
        left_out = sorted({str(kind) for kind in (() if kinds is None else kinds[self._mapping == LEFT_OUT])})
        if not len(self._genes):
            raise EmptyMatrixError(f"{self._place}: no feature is a gene, all are {', '.join(left_out)}")
        self._notes.append(f"{n_left_out:,} features that are no genes were left out ({', '.join(left_out)}).")

    def _guessed(self, guess: str | None) -> str | None:
        if guess:
            self._notes.append(f"The file does not name its species; the genes' ids are of {guess}.")
        return guess
