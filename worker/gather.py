"""The cells of a project's matrices, sorted by species and library construction group, one store each."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from shared import keys, library_construction
from shared.companions import is_table_name
from shared.manifest import Input
from worker.fetch import Fetched
from worker.landing import named_place
from worker.matrices.alignment import GeneUnion, remap
from worker.matrices.beside import tables_of
from worker.matrices.market import EntriesOutOfOrderError
from worker.matrices.matrix import Cells, CountBlock, Genes, Matrix, OpenedFile, Strings
from worker.matrices.opening import NoMatrixError, is_bare, member_of, open_matrix
from worker.matrices.store import Store, StoreWriter

MAX_UNKNOWN_METHODS: Final = 16
"""Labels that name no known method: each is a group of its own, but so many are samples' names or free text."""


@dataclass(frozen=True, slots=True)
class LibraryCells:
    """The cells of one library construction group, and their counts on disk; types are empty where nobody tells."""

    library: str
    genes: Genes
    cells: Cells
    store: Store


@dataclass(frozen=True, slots=True)
class Group:
    """A project, or one species of it."""

    entity: str
    species: str | None
    libraries: tuple[LibraryCells, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that was read; ``inputs`` say how."""

    groups: tuple[Group, ...]
    inputs: tuple[Input, ...]


class _Pile:
    """The cells of one species and library so far, on disk."""

    def __init__(self, folder: Path) -> None:
        self.union = GeneUnion()
        self._writer = StoreWriter(folder)
        self._cell_ids: list[Strings] = []
        self._cell_types: list[Strings] = []

    def append(self, block: CountBlock, cell_ids: Strings, cell_types: Strings) -> None:
        self._writer.append(block)
        self._cell_ids.append(cell_ids)
        self._cell_types.append(cell_types)

    def close(self, library: str) -> LibraryCells:
        genes = self.union.genes
        cells = Cells(np.concatenate(self._cell_ids), types=np.concatenate(self._cell_types))
        return LibraryCells(library, genes, cells, self._writer.close(len(genes)))


class _Piles:
    """A pile for each species and library, begun when its first cell comes."""

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._piles: dict[tuple[str | None, str], _Pile] = {}

    def __getitem__(self, place: tuple[str | None, str]) -> _Pile:
        if place not in self._piles:
            self._piles[place] = _Pile(self._scratch / f"store-{len(self._piles)}")
        return self._piles[place]

    def close(self, species: str | None) -> tuple[LibraryCells, ...]:
        places = sorted(library for filed_under, library in self._piles if filed_under == species)
        return tuple(self._piles[species, library].close(library) for library in places)


def gather(project_id: str, fetched: Sequence[Fetched], scratch: Path) -> Gathered:
    """Read every matrix, each cell to the store of its species and library construction group."""
    opened = _opened(fetched, scratch)
    folder = Path(tempfile.mkdtemp(dir=scratch, prefix="stores-"))
    try:
        return _sorted(project_id, opened, folder)
    except EntriesOutOfOrderError:  # seen only deep in a file; next time its matrix is regrouped by cell
        shutil.rmtree(folder)
        _find_disorder([matrix for _, file in opened for matrix in file.matrices])
        folder.mkdir()
        return _sorted(project_id, opened, folder)


def _find_disorder(matrices: Sequence[Matrix]) -> None:
    """Read matrices to where their disorder shows, that they know it: to begin anew for each of many takes too long."""
    for matrix in matrices if len(matrices) > 1 else ():
        with suppress(EntriesOutOfOrderError):
            for _ in matrix.blocks():
                pass


def _opened(fetched: Sequence[Fetched], scratch: Path) -> list[tuple[Input, OpenedFile]]:
    """Each file with its matrices; those that list the genes or cells of a bare matrix have none.

    Nor have those that are surely no matrix, of which at least one has to be there.
    """
    members = [member_of(item.path, named_place(item.input.uri)) for item in fetched]
    bare = [member for member in members if is_bare(member)]
    folders = {member.path.parent for member in bare}
    opened: list[tuple[Input, OpenedFile]] = []
    no_matrices: list[NoMatrixError] = []
    for number, (item, member) in enumerate(zip(fetched, members, strict=True)):
        room = scratch / f"unpacked-{number}"
        room.mkdir()
        if member in bare:
            alone = sum(other.path.parent == member.path.parent for other in bare) == 1
            found = [member_of(table.path, named_place(table.input.uri)) for table in item.found]
            file = open_matrix(item.path, room, tables_of(member, [*members, *found], alone=alone))
        elif member.path.parent in folders and is_table_name(member.path):
            file = OpenedFile("table beside a MatrixMarket file")
        else:
            try:
                file = open_matrix(item.path, room)
            except NoMatrixError as error:
                no_matrices.append(error)
                file = OpenedFile("no matrix", reading=(f"Not read: {error}.",))
        opened.append((_with_found(item), file))
    if no_matrices and not any(file.matrices for _, file in opened):
        raise no_matrices[0]
    return opened


def _with_found(item: Fetched) -> Input:
    """What is known of a file, and a sentence on each table that was found beside it.

    These are no inputs of their own: a manifest's fingerprint has to be that of the message, which names none.
    """
    found = tuple(
        f"{table.input.uri} was found beside it (version {table.input.version}, {table.input.size_bytes:,} bytes,"
        f" sha256 {table.input.sha256})."
        for table in item.found
    )
    return item.input.model_copy(update={"reading": found})


def _sorted(project_id: str, opened: Sequence[tuple[Input, OpenedFile]], scratch: Path) -> Gathered:
    piles = _Piles(scratch)
    species_of: dict[str | None, str | None] = {}
    unclear = _unclear_groups(matrix for _, file in opened for matrix in file.matrices)
    for known, matrix, filed_under in _filed(opened):
        species_of[filed_under] = species_of.get(filed_under) or filed_under or matrix.species
        _read(matrix, _libraries(matrix, known.library_construction, unclear), filed_under, piles)
    groups = tuple(
        Group(keys.entity(project_id, filed_under), species, piles.close(filed_under))
        for filed_under, species in species_of.items()
    )
    return Gathered(groups, tuple(_described(known, file, unclear) for known, file in opened))


def _filed(opened: Sequence[tuple[Input, OpenedFile]]) -> Iterator[tuple[Input, Matrix, str | None]]:
    """Each matrix with the species it is filed under.

    That is the species its source names. Where the source is silent it is the project alone, unless the files
    themselves tell several species apart.
    """
    unnamed = _told_apart(matrix for known, file in opened if not known.species for matrix in file.matrices)
    for known, file in opened:
        several = _told_apart(file.matrices)
        for matrix in file.matrices:
            if known.species and not several:
                yield known, matrix, known.species
            else:
                yield known, matrix, (matrix.species or known.species) if several or unnamed else None


def _told_apart(matrices: Iterable[Matrix]) -> bool:
    """Whether they name more than one species."""
    return len({matrix.species for matrix in matrices} - {None}) > 1


def _read(matrix: Matrix, sorting: "_Sorting", filed_under: str | None, piles: _Piles) -> None:
    mappings: dict[int, npt.NDArray[np.int32]] = {}
    ids = matrix.cells.ids
    types = np.full(len(ids), "", dtype=object) if matrix.cells.types is None else matrix.cells.types
    start = 0
    for block in matrix.blocks():
        cells = slice(start, start + block.n_cells)
        codes = sorting.codes[cells]
        for code in np.unique(codes):
            pile = piles[filed_under, sorting.libraries[code]]
            if code not in mappings:
                mappings[code] = pile.union.add(matrix.genes)
            rows = np.flatnonzero(codes == code)
            pile.append(remap(_rows(block, rows), mappings[code]), ids[cells][rows], types[cells][rows])
        start = cells.stop


@dataclass(frozen=True, slots=True)
class _Sorting:
    """The library construction groups of a matrix, and each cell's index among them, (cells,)."""

    libraries: list[str]
    codes: npt.NDArray[np.int64]


def _libraries(matrix: Matrix, source_labels: Sequence[str], unclear: frozenset[str]) -> _Sorting:
    """A cell's own label counts first, then what the source says of the whole matrix if that is one group."""
    of_source = {library_construction.method(label).group for label in source_labels}
    fallback = of_source.pop() if len(of_source) == 1 else library_construction.UNSPECIFIED
    own = matrix.cells.library_labels
    if own is None:
        return _Sorting([fallback], np.zeros(len(matrix.cells), np.int64))
    label_codes, labels = pd.factorize(own)
    groups = [library_construction.method(str(label)).group for label in labels]
    silent = unclear | {library_construction.UNSPECIFIED}
    groups = [fallback if group in silent else group for group in groups]
    libraries = sorted(set(groups))
    return _Sorting(libraries, np.array([libraries.index(group) for group in groups])[label_codes])


def _unclear_groups(matrices: Iterable[Matrix]) -> frozenset[str]:
    """The groups of unknown methods where a project has more than MAX_UNKNOWN_METHODS of them, else none."""
    labels = {str(label) for matrix in matrices for label in set(_labels(matrix))}
    methods = [library_construction.method(label) for label in labels]
    unknown = {method.group for method in methods if method.umi is None} - {library_construction.UNSPECIFIED}
    return frozenset(unknown) if len(unknown) > MAX_UNKNOWN_METHODS else frozenset()


def _labels(matrix: Matrix) -> Sequence[str] | Strings:
    own = matrix.cells.library_labels
    return () if own is None else own


def _rows(block: CountBlock, rows: npt.NDArray[np.intp]) -> CountBlock:
    """The cells ``rows`` of ``block``."""
    if len(rows) == block.n_cells:
        return block
    lengths = np.diff(block.indptr)[rows]
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    entries = np.repeat(block.indptr[rows] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return CountBlock(indptr, block.indices[entries], block.values[entries])


def _described(known: Input, file: OpenedFile, unclear: frozenset[str]) -> Input:
    several = len(file.matrices) > 1
    reading = tuple(
        f"{matrix.name}: {sentence}" if several and matrix.name else sentence
        for matrix in file.matrices
        for sentence in (*matrix.reading, *_taken_together(matrix, unclear))
    )
    return known.model_copy(update={"format": file.format, "reading": (*known.reading, *file.reading, *reading)})


def _taken_together(matrix: Matrix, unclear: frozenset[str]) -> Iterator[str]:
    found = sum(library_construction.method(label).group in unclear for label in set(_labels(matrix)))
    if found:
        yield (
            f"{found:,} library construction labels are of no known method, more than {MAX_UNKNOWN_METHODS} in the"
            " project: their cells are taken together as if they had none."
        )
