"""Cell Ranger's feature-barcode matrices in HDF5: version 2 (a group a genome) and 3 (group ``matrix``, features).

https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-outputs-h5-matrices
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import h5py
import numpy as np
import numpy.typing as npt

from shared.errors import CorruptMatrixError
from worker.matrices import hdf5
from worker.matrices.blocks import select
from worker.matrices.compressed import Compressed
from worker.matrices.counted import CountedMatrix
from worker.matrices.features import Features, are_genes
from worker.matrices.matrix import Cells, CountBlock
from worker.matrices.species import species_of_genome

_PARTS: Final = frozenset({"barcodes", "data", "indices", "indptr", "shape"})


def is_tenx(file: h5py.File) -> bool:
    """Whether it is laid out as Cell Ranger does."""
    return bool(_matrix_groups(file))


def open_tenx(file: h5py.File, path: Path, name: str, inside: str = "") -> tuple[CountedMatrix, ...]:
    """A matrix for each genome with genes of ``file``, which lies at ``path``, called ``name`` or ``inside``."""
    return tuple(matrix for group in _matrix_groups(file) for matrix in _matrices(file[group], path, name, inside))


def _matrix_groups(file: h5py.File) -> list[str]:
    return [name for name in file if (group := hdf5.group_at(file, name)) is not None and set(group) >= _PARTS]


def _matrices(group: h5py.Group, path: Path, name: str, inside: str) -> Iterator[CountedMatrix]:
    where = str(group.name).strip("/")
    features = _features(group, where)
    cells = Cells(hdf5.strings_at(group, "barcodes"))
    shape = hdf5.read(hdf5.dataset_at(group, "shape")).tolist()
    if shape != [len(features), len(cells)]:
        raise CorruptMatrixError(
            f"{where}/shape is {shape}, but there are {len(features):,} features and {len(cells):,} barcodes"
        )
    Compressed(group, len(cells), len(features))
    genomes = _genomes(features)
    several = len(genomes) > 1
    for genome, chosen in genomes.items():
        blocks = partial(_blocks, where, (len(cells), len(features)), chosen if several else None)
        yield CountedMatrix(
            place=f"{name}, {where}",
            name=" ".join(filter(None, (inside, genome))),
            features=_chosen(features, chosen),
            cells=cells,
            raw_blocks=partial(hdf5.reopened, path, name, blocks),
            species=species_of_genome(genome),
            notes=(f"Genes of genome {genome} only; other genomes are matrices of their own.",) if several else (),
        )


def _features(group: h5py.Group, genome: str) -> Features:
    inner = hdf5.group_at(group, "features")
    if inner is None:
        ids, symbols = hdf5.strings_at(group, "genes"), hdf5.strings_at(group, "gene_names")
        features = Features(ids, symbols, None, np.full(len(ids), genome, dtype=object))
    else:
        kinds, genomes = (
            hdf5.strings_at(inner, part) if part in inner else None for part in ("feature_type", "genome")
        )
        features = Features(hdf5.strings_at(inner, "id"), hdf5.strings_at(inner, "name"), kinds, genomes)
    lengths = {
        len(part) for part in (features.ids, features.symbols, features.kinds, features.genomes) if part is not None
    }
    if len(lengths) > 1:
        raise CorruptMatrixError(f"{group.name}: lists of features have {sorted(lengths)} entries; they must agree")
    return features


def _genomes(features: Features) -> dict[str, npt.NDArray[np.bool_]]:
    """The features of each genome that has genes; those of no genome (antibodies) go with the first."""
    everything = np.ones(len(features), np.bool_)
    if features.genomes is None:
        return {"": everything}
    names = sorted(set(features.genomes[are_genes(features)]) - {""})
    if not names[1:]:
        return dict.fromkeys(names or [""], everything)
    chosen = {name: features.genomes == name for name in names}
    chosen[names[0]] |= ~np.isin(features.genomes, names)
    return chosen


def _chosen(features: Features, chosen: npt.NDArray[np.bool_]) -> Features:
    kinds = None if features.kinds is None else features.kinds[chosen]
    return Features(features.ids[chosen], features.symbols[chosen], kinds)


def _blocks(
    name: str, sides: tuple[int, int], chosen: npt.NDArray[np.bool_] | None, file: h5py.File
) -> Iterator[CountBlock]:
    places = None if chosen is None else (np.cumsum(chosen) - 1).astype(np.int32)
    for _, block in Compressed(file[name], *sides).pieces():
        if chosen is None or places is None:
            yield block
        else:
            kept = select(block, chosen[block.indices])
            yield CountBlock(kept.indptr, places[kept.indices], kept.values)
