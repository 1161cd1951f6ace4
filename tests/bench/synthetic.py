"""``python -m tests.bench.synthetic``: matrices of any size with known types, written as they are drawn.

``mtx.zip`` is an archive as the HCA Matrix Service made them (stored members ``matrix.mtx.gz``, genes by cells in the
order of cells, ``genes.tsv.gz``, ``cells.tsv.gz``), ``h5ad`` has the same counts as CSR in gzipped chunks. How counts
are made is told in ``tests.bench.population``. In memory are a few blocks of cells at a time, and nine
bytes of every cell. The same cells and seed give the same bytes, whatever the number of threads.
"""

import shutil
import sys
import tempfile
import uuid
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import IO, Any, Final, Literal, get_args

import click
import h5py
import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from numba import njit

from tests.bench.interruption import unwound
from tests.bench.population import BLOCK_CELLS, TYPES, Block, Floats, Genes, Integers, Population

Format = Literal["mtx.zip", "h5ad"]
Text = npt.NDArray[np.uint8]

CACHE: Final = Path(".bench")
"""Where made files stay, below the folder that a command is run in."""
RECIPE: Final = 1
"""Raised when the same seed gives other bytes than before, so that files made earlier are not taken for new ones."""
STRING: Final = h5py.string_dtype()
STRINGS: Final = {"encoding-type": "string-array", "encoding-version": "0.2.0"}
ARRAY: Final = {"encoding-type": "array", "encoding-version": "0.2.0"}
"""https://anndata.readthedocs.io/en/stable/fileformat-prose.html"""
THREADS: Final = 2
LINE_BYTES: Final = 24
"""Room for ``32738 99999999 99999.0`` and the line's end."""
CHUNK_ENTRIES: Final = 65_536
"""Of an HDF5 dataset; about as many as h5py takes of its own accord for datasets of this size."""
COPIED_BYTES: Final = 1_048_576
METHOD: Final = "library_preparation_protocol.library_construction_method"
LIBRARY: Final = {f"{METHOD}.ontology": "EFO:0009310", f"{METHOD}.ontology_label": "10X v2 sequencing"}
"""The commonest method, in the HCA's columns."""
TRUE_TYPE: Final = "true_type"
BYTES_PER_CELL: Final = 6_000
"""Of a finished file, at most."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A made-up matrix on disk; the true type of each cell, int8 (cells,), is beside it as .npy, and in its cells."""

    path: Path
    types: Path


@dataclass(frozen=True, slots=True)
class CellTable:
    """What is known of the cells once all are drawn: type, genes with a count and sum of counts, (cells,) each."""

    types: npt.NDArray[np.int8]
    n_genes: Integers
    n_counts: Integers

    @classmethod
    def empty(cls, n_cells: int) -> "CellTable":
        """For cells still to be drawn."""
        return cls(np.empty(n_cells, np.int8), np.empty(n_cells, np.int32), np.empty(n_cells, np.int32))

    def note(self, block: Block) -> None:
        """Fill in the cells of a block."""
        cells = slice(block.first_cell, block.first_cell + len(block.types))
        self.types[cells] = block.types
        self.n_genes[cells] = np.diff(block.indptr)
        self.n_counts[cells] = np.add.reduceat(block.counts, block.indptr[:-1])


def ensure(n_cells: int, folder: Path = CACHE, kind: Format = "mtx.zip", seed: int = 0) -> Synthetic:
    """The matrix of so many cells in ``folder``, made if it is not there yet."""
    name = f"synthetic-{RECIPE}-{seed}-{n_cells}"
    made = Synthetic(folder / f"{name}.{kind}", folder / f"{name}.types.npy")
    if made.path.exists() and made.types.exists():
        return made
    folder.mkdir(parents=True, exist_ok=True)
    refuse_without_room(folder, 2 * BYTES_PER_CELL * n_cells)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as room:
        draft, types = Path(room) / "matrix", Path(room) / "types.npy"
        write = write_archive if kind == "mtx.zip" else write_h5ad
        np.save(types, write(draft, n_cells, seed).types)
        types.replace(made.types)
        draft.replace(made.path)
    return made


def refuse_without_room(folder: Path, n_bytes: int) -> None:
    """End the command where the disk of ``folder`` has less room than that."""
    if (free := shutil.disk_usage(folder).free) < n_bytes:
        raise click.ClickException(
            f"{folder}: {n_bytes / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free; name a folder on another disk"
        )


def write_archive(path: Path, n_cells: int, seed: int) -> CellTable:
    """An archive of the HCA Matrix Service; the sizes in the matrix's header are a gzip member of their own.

    They are known last and stand first, so the entries lie beside ``path`` until then.
    """
    population, cells = Population(seed), CellTable.empty(n_cells)
    entries = path.with_suffix(".entries")
    with entries.open("wb") as file:
        _gzip_into(file, _lines(population, cells))
    sizes = f"{len(population.genes.ids)} {n_cells} {cells.n_genes.sum()}"
    header = f"%%MatrixMarket matrix coordinate real general\n{sizes}\n".encode()
    with zipfile.ZipFile(path, "w") as archive, entries.open("rb") as file:
        with _member(archive, seed, "matrix.mtx.gz") as member:
            _gzip_into(member, [header])
            shutil.copyfileobj(file, member, COPIED_BYTES)
        with _member(archive, seed, "genes.tsv.gz") as member:
            _gzip_into(member, _gene_rows(population.genes))
        with _member(archive, seed, "cells.tsv.gz") as member:
            _gzip_into(member, _cell_rows(cells, seed))
    entries.unlink()
    return cells


def _member(archive: zipfile.ZipFile, seed: int, name: str) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{uuid.UUID(int=seed, version=4)}.mtx/{name}")  # stored, and as old as zip can say
    return archive.open(info, "w", force_zip64=True)


def _gzip_into(file: IO[bytes], texts: Iterable[bytes | Text]) -> None:
    packer = isal_zlib.compressobj(level=1, wbits=31)
    for text in texts:
        file.write(packer.compress(text))
    file.write(packer.flush())


def _lines(population: Population, cells: CellTable) -> Iterator[Text]:
    """The entries as MatrixMarket; ``cells`` are filled in on the way."""

    def written(block: Block) -> tuple[Block, Text]:
        return block, _as_text(block.first_cell, block.indptr, block.genes, block.counts)

    for block, text in _in_order(population, len(cells.types), written):
        cells.note(block)
        yield text


def _gene_rows(genes: Genes) -> Iterator[bytes]:
    yield b"featurekey\tfeaturename\tfeaturetype\tchromosome\tfeaturestart\tfeatureend\tisgene\n"
    for identity, symbol in zip(genes.ids, genes.symbols, strict=True):
        yield f"{identity}\t{symbol}\tgene\t\t\t\tTrue\n".encode()


def _cell_rows(cells: CellTable, seed: int) -> Iterator[bytes]:
    yield "\t".join(("cellkey", "genes_detected", "total_umis", *LIBRARY, f"{TRUE_TYPE}\n")).encode()
    library = "\t".join(LIBRARY.values())
    columns = (cells.n_genes.tolist(), cells.n_counts.tolist(), cells.types.tolist())
    for name, n_genes, n_counts, kind in zip(_names(len(cells.types), seed), *columns, strict=True):
        yield f"{name}\t{n_genes}\t{n_counts}\t{library}\ttype {kind}\n".encode()


def _names(n_cells: int, seed: int) -> Iterator[str]:
    """An id for each cell, of 36 characters as the HCA's are."""
    random = np.random.default_rng([seed, n_cells])
    for _ in range(n_cells):
        yield str(uuid.UUID(bytes=random.bytes(16), version=4))


def write_h5ad(path: Path, n_cells: int, seed: int) -> CellTable:
    """An AnnData file with raw counts in X."""
    population, cells = Population(seed), CellTable.empty(n_cells)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("X")
        values, indices = _Column(matrix, "data", np.float32), _Column(matrix, "indices", np.int32)
        for block in _in_order(population, n_cells, lambda block: block):
            cells.note(block)
            values.append(block.counts)
            indices.append(block.genes)
        values.close()
        indices.close()
        ends = np.cumsum(cells.n_genes, dtype=np.int64)
        matrix["indptr"] = np.append(0, ends).astype(np.int32 if ends[-1] < 2**31 else np.int64)
        shape = np.array([n_cells, len(population.genes.ids)])
        matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        genes = _frame(file, "var", population.genes.ids, len(population.genes.ids), ("feature_name",))
        genes.create_dataset("feature_name", data=population.genes.symbols, dtype=STRING).attrs.update(STRINGS)
        numbers = {"genes_detected": cells.n_genes, "total_umis": cells.n_counts}
        names = _names(n_cells, seed)
        observed = _frame(file, "obs", names, n_cells, (*numbers, *LIBRARY, TRUE_TYPE))
        for name, column in numbers.items():
            observed.create_dataset(name, data=column).attrs.update(ARRAY)
        for name, label in LIBRARY.items():
            _categorical(observed, name, np.zeros_like(cells.types), [label])
        _categorical(observed, TRUE_TYPE, cells.types, [f"type {number}" for number in range(TYPES)])
    return cells


def _frame(file: h5py.File, name: str, index: Iterable[str], n: int, columns: Sequence[str]) -> h5py.Group:
    """A table whose columns are still to come."""
    frame = file.create_group(name)
    version = {"encoding-type": "dataframe", "encoding-version": "0.2.0"}
    frame.attrs.update({**version, "_index": "_index", "column-order": np.array(columns, object)})
    ids = frame.create_dataset("_index", (n,), STRING)
    ids.attrs.update(STRINGS)
    for first, batch in enumerate(batched(index, CHUNK_ENTRIES)):
        ids[first * CHUNK_ENTRIES : first * CHUNK_ENTRIES + len(batch)] = batch
    return frame


def _categorical(frame: h5py.Group, name: str, codes: npt.NDArray[np.int8], labels: list[str]) -> None:
    column = frame.create_group(name)
    column.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
    column.create_dataset("codes", data=codes).attrs.update(ARRAY)
    column.create_dataset("categories", data=labels, dtype=STRING).attrs.update(STRINGS)


class _Column:
    """A dataset that grows by whole chunks, packed here: isal is several times faster than HDF5's own filter."""

    def __init__(self, group: h5py.Group, name: str, dtype: type[np.float32 | np.int32]) -> None:
        options: dict[str, Any] = {"chunks": (CHUNK_ENTRIES,), "maxshape": (None,), "compression": "gzip"}
        self._dataset = group.create_dataset(name, (0,), dtype, **options)
        self._waiting = np.empty(0, dtype)
        self._length = 0

    def append(self, values: Floats | Integers) -> None:
        waiting = np.concatenate((self._waiting, values))
        whole = len(waiting) - len(waiting) % CHUNK_ENTRIES
        for first in range(0, whole, CHUNK_ENTRIES):
            self._write(waiting[first : first + CHUNK_ENTRIES])
        self._waiting = waiting[whole:]

    def _write(self, chunk: Any) -> None:
        offset = self._length
        self._length += len(chunk)
        self._dataset.resize((self._length,))
        padded = np.zeros(CHUNK_ENTRIES, chunk.dtype)
        padded[: len(chunk)] = chunk
        self._dataset.id.write_direct_chunk((offset,), isal_zlib.compress(padded, 1))

    def close(self) -> None:
        if len(self._waiting):
            self._write(self._waiting)


def _in_order[T](population: Population, n_cells: int, made: Callable[[Block], T]) -> Iterator[T]:
    """What is made of each block, in their order; ``THREADS`` draw, each a block ahead."""

    def drawn(number: int) -> T:
        return made(population.draw(number, n_cells))

    numbers = range(-(-n_cells // BLOCK_CELLS))
    label = f"drawing {n_cells:,} cells"
    with click.progressbar(numbers, label=label, file=sys.stderr) as bar, ThreadPoolExecutor(THREADS) as pool:
        ahead = deque[Future[T]]()
        for number in bar:
            ahead.append(pool.submit(drawn, number))
            if len(ahead) > 2 * THREADS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


@njit(cache=True, nogil=True)
def _as_text(first_cell: int, indptr: npt.NDArray[np.int64], genes: Integers, counts: Floats) -> Text:
    """``gene cell count.0`` lines, genes and cells counted from 1."""
    text = np.empty(LINE_BYTES * len(genes), np.uint8)
    end = 0
    for cell in range(len(indptr) - 1):
        for entry in range(indptr[cell], indptr[cell + 1]):
            end = _put(text, end, genes[entry] + 1, 32)
            end = _put(text, end, first_cell + cell + 1, 32)
            end = _put(text, end, int(counts[entry]), 46)
            text[end] = 48
            text[end + 1] = 10
            end += 2
    return text[:end]


@njit(cache=True, nogil=True)
def _put(text: Text, start: int, number: int, then: int) -> int:
    """The number's digits and a character from ``start``; where they end."""
    end, rest = start + 1, number
    while rest >= 10:
        rest //= 10
        end += 1
    for place in range(end - 1, start - 1, -1):
        text[place] = 48 + number % 10
        number //= 10
    text[end] = then
    return end + 1


@click.command(context_settings={"show_default": True})
@click.option("--cells", default=30_000, type=click.IntRange(1))
@click.option("--format", "kind", default="mtx.zip", type=click.Choice(get_args(Format)))
@click.option("--seed", default=0)
@click.option("--folder", default=CACHE, type=click.Path(path_type=Path, file_okay=False), help="Where it is kept.")
def main(cells: int, kind: Format, seed: int, folder: Path) -> None:
    """Make a matrix, unless it is there, and print its path."""
    with unwound():
        click.echo(ensure(cells, folder, kind, seed).path)


if __name__ == "__main__":
    main()
