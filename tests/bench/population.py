"""A made-up population of cells whose counts look like those of droplet sequencing, drawn block by block.

The background is that of real cells: each gene's share of the counts of the sample ``pbmc3k``. On it stand

- 24 types of cells, from 20 % of the cells down to 0.2 %, in 6 lineages: each lineage and each type raises genes of its
  own (its markers), and every type shifts all genes a little;
- a continuous path from each type of a lineage to the next, on which a third of their cells lie: a share of a cell's
  molecules comes from the next type, up to a half;
- programmes that are active in cells of any type, each in its own measure (as the cell cycle and stress are);
- mitochondrial genes, whose share is the cell's own, and an ambient soup, 2 % of every cell.

A cell's number of molecules is log-normal. They are shared out among these sources by a multinomial, and each source's
molecules among its genes by Walker's alias method (Vose 1991). So the counts of a cell are a draw from a mixture of
multinomials: most are 1, and a few genes of large cells pass 255.
"""

import gzip
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy import io, sparse

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]
Strings = npt.NDArray[np.object_]
Tables = npt.NDArray[np.uint64]

SAMPLE: Final = resources.files("infra.local").joinpath("samples", "pbmc3k.homo_sapiens.mtx.zip")
SAMPLE_CELLS: Final = 3_000
"""The size that the sample stands for; it has 2,700."""
BLOCK_CELLS: Final = 256
"""Cells drawn at once, from a stream of random numbers of their own: 350,000 entries."""

TYPES, LINEAGES, PROGRAMMES = 24, 6, 8
LARGEST, SMALLEST = 0.2, 0.002
"""Shares of the cells that the first and the last type have, before they are scaled to 1; geometric between them."""
TYPE_MARKERS, LINEAGE_MARKERS, PROGRAMME_GENES = 80, 120, 60
EXPRESSED_GENES: Final = 9_000
"""Markers are chosen among so many genes with the largest shares of the background."""
FOLD, FOLD_SPREAD, SHIFT = 2.2, 0.8, 0.2
"""Mean and deviation of the logarithm of a marker's fold change, and deviation of every gene's shift in each type."""
HIGHEST_SHARE: Final = 0.03
"""Of a type's molecules that one gene may have."""
UNSEEN_COUNTS: Final = 0.05
"""Given to each gene in addition to its counts in the sample, which has none of half of them."""
ON_PATH: Final = 1 / 3
AMBIENT: Final = 0.02
ACTIVE, ACTIVITY = 0.4, 0.03
"""Share of cells in which a programme is active, and the mean share of molecules that it then has (exponential)."""
MOLECULES, MOLECULES_SPREAD, LEAST_MOLECULES = 4_000, 0.55, 200
MITO, MITO_SPREAD = 0.03, 0.6
"""Median of the log-normal share of mitochondrial molecules, and deviation of its logarithm; at most half."""


@dataclass(frozen=True, slots=True)
class Genes:
    """Ids and symbols, (genes,) each."""

    ids: Strings
    symbols: Strings


@dataclass(frozen=True, slots=True)
class Block:
    """Counts of consecutive cells in compressed rows, genes ascending, and the true type of each cell."""

    first_cell: int
    indptr: npt.NDArray[np.int64]
    genes: Integers
    counts: Floats
    types: npt.NDArray[np.int8]


class Population:
    """All that is drawn from; the same ``seed`` draws the same cells, whatever their number."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.genes, background = _sample()
        random = np.random.default_rng(seed)
        sizes = np.geomspace(LARGEST, SMALLEST, TYPES)
        self.type_shares: Doubles = sizes / sizes.sum()
        profiles = _profiles(background, self.genes.symbols, self.type_shares, random)
        self._tables = np.array([_alias(profile) for profile in profiles])

    def draw(self, number: int, n_cells: int) -> Block:
        """The cells of block ``number`` of a matrix of ``n_cells``; may be called by several threads at once."""
        first = number * BLOCK_CELLS
        random = np.random.default_rng([self._seed, number])
        types, molecules = _composition(random, self.type_shares)
        kept = slice(min(BLOCK_CELLS, n_cells - first))
        state = random.integers(1, 2**63, dtype=np.uint64)
        indptr, genes, counts = _counted(molecules[kept], self._tables, state)
        return Block(first, indptr, genes, counts, types[kept])


@cache
def _sample() -> tuple[Genes, Doubles]:
    """The sample's genes, and the counts of each."""
    with SAMPLE.open("rb") as file, zipfile.ZipFile(file) as archive:
        paths = {name.rpartition("/")[2]: name for name in archive.namelist()}
        lines = gzip.decompress(archive.read(paths["features.tsv.gz"])).decode().splitlines()
        with gzip.open(archive.open(paths["matrix.mtx.gz"])) as matrix:
            counts = sparse.csr_array(io.mmread(matrix, spmatrix=False)).sum(axis=1)
    columns = [line.split("\t")[:2] for line in lines]
    ids, symbols = (np.array(column, object) for column in zip(*columns, strict=True))
    return Genes(ids, symbols), np.asarray(counts, np.float64)


def _profiles(background: Doubles, symbols: Strings, type_shares: Doubles, random: np.random.Generator) -> Doubles:
    """Shares of genes in the molecules of each source, (sources, genes): types, programmes, mitochondria, ambient."""
    mito = np.array([symbol.startswith("MT-") for symbol in symbols])
    nuclear = np.where(mito, 0, background + UNSEEN_COUNTS)
    expressed = np.argsort(-nuclear, kind="stable")[:EXPRESSED_GENES]
    lineages = [_raised(len(nuclear), expressed, LINEAGE_MARKERS, random) for _ in range(LINEAGES)]
    types = []
    for number in range(TYPES):
        shift = np.exp(random.normal(0, SHIFT, len(nuclear)))
        markers = _raised(len(nuclear), expressed, TYPE_MARKERS, random)
        types.append(_capped(nuclear * shift * np.maximum(markers, lineages[number % LINEAGES])))
    programmes = []
    for _ in range(PROGRAMMES):
        chosen = np.isin(np.arange(len(nuclear)), random.choice(expressed, PROGRAMME_GENES, replace=False))
        programmes.append(_normalised(np.where(chosen, np.sqrt(nuclear), 0)))
    mitochondria = _normalised(np.where(mito, background + UNSEEN_COUNTS, 0))
    ambient = type_shares @ np.array(types)
    return np.array([*types, *programmes, mitochondria, ambient])


def _raised(n_genes: int, expressed: npt.NDArray[np.intp], number: int, random: np.random.Generator) -> Doubles:
    """Fold changes, (genes,): ``number`` of the expressed genes raised, all others 1."""
    folds = np.ones(n_genes)
    folds[random.choice(expressed, number, replace=False)] = np.exp(random.normal(FOLD, FOLD_SPREAD, number))
    return np.maximum(folds, 1)


def _capped(weights: Doubles) -> Doubles:
    return _normalised(np.minimum(_normalised(weights), HIGHEST_SHARE))


def _normalised(weights: Doubles) -> Doubles:
    shares: Doubles = weights / weights.sum()
    return shares


def _composition(
    random: np.random.Generator, type_shares: Doubles
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Type of each cell of a block, (cells,), and its molecules from each source, (cells, sources)."""
    cells = np.arange(BLOCK_CELLS)
    types = random.choice(TYPES, BLOCK_CELLS, p=type_shares)
    towards = (types + LINEAGES) % TYPES  # the next of the lineage
    passed = np.where(random.random(BLOCK_CELLS) < ON_PATH, random.uniform(0, 0.5, BLOCK_CELLS), 0)
    shares = np.zeros((BLOCK_CELLS, TYPES + PROGRAMMES + 2))
    shares[cells, types] = 1 - passed
    shares[cells, towards] += passed
    active = random.random((BLOCK_CELLS, PROGRAMMES)) < ACTIVE
    activity = active * np.minimum(random.exponential(ACTIVITY, active.shape), 1 / (2 * PROGRAMMES))
    mito = np.minimum(MITO * np.exp(random.normal(0, MITO_SPREAD, BLOCK_CELLS)), 0.5)
    shares[:, TYPES:-2] = activity
    shares[:, -2] = mito
    shares[:, -1] = AMBIENT
    shares[:, :TYPES] *= (1 - shares[:, TYPES:].sum(axis=1))[:, np.newaxis]
    totals = np.maximum(MOLECULES * np.exp(random.normal(0, MOLECULES_SPREAD, BLOCK_CELLS)), LEAST_MOLECULES)
    return types.astype(np.int8), random.multinomial(totals.astype(np.int64), shares)


@njit(cache=True)
def _alias(shares: Doubles) -> Tables:
    """Walker's table, (genes,): in the upper half how likely a gene keeps its place (of 2^32), below its alias."""
    n = len(shares)
    scaled = shares * n
    table = np.empty(n, np.uint64)
    small, large = np.empty(n, np.int64), np.empty(n, np.int64)
    n_small = n_large = 0
    for gene in range(n):
        if scaled[gene] < 1:
            small[n_small] = gene
            n_small += 1
        else:
            large[n_large] = gene
            n_large += 1
    while n_small and n_large:
        n_small -= 1
        less, more = small[n_small], large[n_large - 1]
        table[less] = (np.uint64(scaled[less] * 4294967295.0) << np.uint64(32)) | np.uint64(more)
        scaled[more] -= 1 - scaled[less]
        if scaled[more] < 1:
            n_large -= 1
            small[n_small] = more
            n_small += 1
    for place in range(n_small):  # what rounding left over
        table[small[place]] = (np.uint64(4294967295) << np.uint64(32)) | np.uint64(small[place])
    for place in range(n_large):
        table[large[place]] = (np.uint64(4294967295) << np.uint64(32)) | np.uint64(large[place])
    return table


@njit(cache=True, nogil=True)
def _counted(
    molecules: npt.NDArray[np.int64], tables: Tables, state: np.uint64
) -> tuple[npt.NDArray[np.int64], Integers, Floats]:
    """Counts of each cell in compressed rows; splitmix64 (Steele, Lea & Flood 2014) picks the genes."""
    n_cells, n_sources = molecules.shape
    n_genes = tables.shape[1]
    room = 0
    for cell in range(n_cells):
        room += min(molecules[cell].sum(), n_genes)
    indptr = np.zeros(n_cells + 1, np.int64)
    genes, counts = np.empty(room, np.int32), np.empty(room, np.float32)
    seen = np.zeros(n_genes, np.int32)
    entries = 0
    for cell in range(n_cells):
        for source in range(n_sources):
            for _ in range(molecules[cell, source]):
                state += np.uint64(0x9E3779B97F4A7C15)
                mixed = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
                mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
                mixed ^= mixed >> np.uint64(31)
                place = ((mixed >> np.uint64(32)) * np.uint64(n_genes)) >> np.uint64(32)
                drawn = tables[source, place]
                keeps = (mixed & np.uint64(0xFFFFFFFF)) <= (drawn >> np.uint64(32))
                seen[place if keeps else drawn & np.uint64(0xFFFFFFFF)] += 1
        for gene in range(n_genes):
            if seen[gene]:
                genes[entries] = gene
                counts[entries] = seen[gene]
                entries += 1
                seen[gene] = 0
        indptr[cell + 1] = entries
    return indptr, genes[:entries].copy(), counts[:entries].copy()
