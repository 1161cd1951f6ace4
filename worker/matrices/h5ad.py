"""AnnData files: raw counts in X, raw.X or a layer; CSR, CSC or dense; of this and earlier versions of anndata.

https://anndata.readthedocs.io/en/stable/fileformat-prose.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np

from shared.errors import CorruptMatrixError, UnsupportedFormatError
from worker.matrices import hdf5, scratch
from worker.matrices.annotations import agreed_species, cell_types, is_annotation, library_labels
from worker.matrices.candidates import SAMPLE_VALUES, Candidate, choose, named_for_counts
from worker.matrices.compressed import Compressed
from worker.matrices.counted import CountedMatrix
from worker.matrices.dataframes import read_frame
from worker.matrices.dense import dense_blocks, dense_sample
from worker.matrices.features import from_columns, is_feature_column
from worker.matrices.matrix import Cells, CountBlock, Strings
from worker.matrices.regroup import Regroup

_ROWS, _COLUMNS, _DENSE = "csr", "csc", "dense"
_CELLS_AXIS: Final = 0
_SIDES: Final = 2


@dataclass(frozen=True, slots=True)
class Layout:
    """How the counts at ``place`` are stored, and where the genes of that place are described."""

    place: str
    kind: str
    n_cells: int
    n_genes: int
    genes_at: str


def is_h5ad(file: h5py.File) -> bool:
    """Whether it is laid out as anndata does."""
    return "obs" in file and "var" in file and ("X" in file or "raw" in file or "raw.X" in file or "layers" in file)


def open_h5ad(file: h5py.File, path: Path, name: str, room: Path, inside: str = "") -> CountedMatrix:
    """The one matrix of ``file``, which lies at ``path`` and is called ``name``, or ``inside`` of an archive."""
    layouts = _layouts(file)
    place, why = choose([_candidate(file, layout) for layout in layouts.values()])
    layout = layouts[place]
    cell_ids, obs = read_frame(file, "obs", is_annotation)
    gene_ids, var = read_frame(file, layout.genes_at, is_feature_column)
    _check_shape(layout, len(cell_ids), len(gene_ids))
    species, notes = agreed_species(_unstructured(file) | obs)
    return CountedMatrix(
        place=f"{name}, {place}",
        name=inside,
        features=from_columns(var, gene_ids),
        cells=Cells(cell_ids, library_labels(obs), cell_types(obs)),
        raw_blocks=partial(hdf5.reopened, path, name, partial(_blocks, layout, room)),
        species=species,
        notes=(why, *notes),
    )


def _check_shape(layout: Layout, n_cells: int, n_genes: int) -> None:
    if (layout.n_cells, layout.n_genes) != (n_cells, n_genes):
        raise CorruptMatrixError(
            f"{layout.place} is {layout.n_cells:,} cells by {layout.n_genes:,} genes, but obs has {n_cells:,} and"
            f" {layout.genes_at} {n_genes:,} rows"
        )


def _layouts(file: h5py.File) -> dict[str, Layout]:
    """Places that may hold raw counts, likeliest first: raw.X, layers named for counts, X."""
    layers = hdf5.group_at(file, "layers")
    places = [
        ("raw/X", "raw/var"),
        ("raw.X", "raw.var"),
        *((f"layers/{name}", "var") for name in named_for_counts(list(layers or ()))),
        ("X", "var"),
        ("layers/spliced", "var"),
    ]
    found = {place: _layout(file, place, genes_at) for place, genes_at in places}
    return {place: layout for place, layout in found.items() if layout is not None}


def _layout(file: h5py.File, place: str, genes_at: str) -> Layout | None:
    node = hdf5.at_path(file, place)
    if node is None:
        return None
    if isinstance(node, h5py.Dataset):
        if node.ndim != _SIDES or node.dtype.kind not in "biuf":
            return None
        return Layout(place, _DENSE, int(node.shape[0]), int(node.shape[1]), genes_at)
    kind = str(_attribute(node, "encoding-type", "h5sparse_format")).removesuffix("_matrix")
    shape = np.asarray(_attribute(node, "shape", "h5sparse_shape"))
    if kind not in {_ROWS, _COLUMNS}:
        raise UnsupportedFormatError(f"{place} is stored as “{kind}”, which is not read; send it as CSR, CSC or dense")
    if shape.shape != (_SIDES,) or shape.dtype.kind not in "iu":
        raise CorruptMatrixError(f"{place}: its attribute “shape” is {shape}, expected two whole numbers")
    return Layout(place, kind, int(shape[0]), int(shape[1]), genes_at)


def _attribute(node: h5py.Group, *names: str) -> Any:
    value = next((node.attrs[name] for name in names if name in node.attrs), "")
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _candidate(file: h5py.File, layout: Layout) -> Candidate:
    node = hdf5.at_path(file, layout.place)
    if layout.kind == _DENSE:
        return Candidate(layout.place, lambda: dense_sample(node, _CELLS_AXIS, SAMPLE_VALUES))
    return Candidate(layout.place, lambda: _compressed(node, layout).sample(SAMPLE_VALUES))


def _compressed(node: h5py.Group, layout: Layout) -> Compressed:
    sides = (layout.n_cells, layout.n_genes)
    return Compressed(node, *(sides if layout.kind == _ROWS else sides[::-1]))


def _blocks(layout: Layout, room: Path, file: h5py.File) -> Iterator[CountBlock]:
    node = hdf5.at_path(file, layout.place)
    if layout.kind == _DENSE:
        yield from dense_blocks(node, _CELLS_AXIS, room)
    elif layout.kind == _ROWS:
        yield from (block for _, block in _compressed(node, layout).pieces())
    else:
        yield from _regrouped(_compressed(node, layout), layout.n_cells, room)


def _regrouped(columns: Compressed, n_cells: int, room: Path) -> Iterator[CountBlock]:
    with scratch.subfolder(room) as folder:
        regroup = Regroup(folder, n_cells, columns.n_entries)
        for first, block in columns.pieces():
            genes = np.repeat(np.arange(first, first + block.n_cells, dtype=np.int32), np.diff(block.indptr))
            regroup.add(block.indices, genes, block.values)
        yield from regroup.blocks()


def _unstructured(file: h5py.File) -> dict[str, Strings]:
    """What ``uns`` says of the whole file, CELLxGENE's organism for one."""
    uns = hdf5.group_at(file, "uns")
    found: dict[str, Strings] = {}
    for name in uns or ():
        if is_annotation(name) and isinstance(dataset := hdf5.member(uns, name), h5py.Dataset) and dataset.size == 1:
            found[name] = hdf5.as_strings(hdf5.read(dataset), str(dataset.name))
    return found
