"""The data behind the figures, as tables that pandas and a spreadsheet read."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shared.keys import TableName
from worker.stats.summary import CellTypes, MarkerGrid, Markers, Strings, Summary, TopGenes, VariableGenes

ROWS_PER_GROUP: Final = 100_000
"""Cells of a Parquet row group, so that writing needs little memory whatever their number."""
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
CELL_SCHEMA: Final = pa.schema(
    [
        ("cell_id", pa.string()),
        ("n_counts", pa.float64()),
        ("n_genes", pa.int32()),
        ("percent_mito", pa.float32()),
        ("cluster", pa.int32()),
        ("pc1", pa.float32()),
        ("pc2", pa.float32()),
        ("umap1", pa.float32()),
        ("umap2", pa.float32()),
        ("cell_type", pa.string()),
    ]
)
"""What the file does not tell of a cell is null."""


@dataclass(frozen=True, slots=True)
class WrittenTable:
    """A table on disk, its rows without the header."""

    name: TableName
    path: Path
    rows: int


@dataclass(frozen=True, slots=True)
class WrittenTables:
    """What was written, and (name, reason) of what could not be."""

    tables: tuple[WrittenTable, ...]
    skipped: tuple[tuple[str, str], ...]


def write_tables(summary: Summary, folder: Path) -> WrittenTables:
    """The TSVs of genes and ``cells.parquet`` in ``folder``."""
    written: list[WrittenTable] = []
    skipped: list[tuple[str, str]] = []
    if summary.top_genes:
        written.append(_write(folder, "top_genes.tsv", ("gene_id", "symbol", *_TOP), _top_rows(summary.top_genes)))
    else:
        skipped.append(("top_genes.tsv", summary.missing["top_genes"]))
    if summary.variable_genes:
        rows = _variable_rows(summary.variable_genes)
        written.append(_write(folder, "variable_genes.tsv", ("gene_id", "symbol", *_VARIABLE), rows))
    else:
        skipped.append(("variable_genes.tsv", summary.missing["variable_genes"]))
    if summary.markers:
        header = ("cluster", "rank", "gene_id", "symbol", *_MARKERS)
        written.append(_write(folder, "markers.tsv", header, _marker_rows(summary.markers)))
        written.append(_write(folder, "marker_dot_plot.tsv", _GRID, _grid_rows(summary.markers.grid)))
    else:
        skipped += [(name, summary.missing["markers"]) for name in ("markers.tsv", "marker_dot_plot.tsv")]
    written.append(_write_cells(summary, folder / "cells.parquet"))
    return WrittenTables(tuple(written), tuple(skipped))


_TOP: Final = ("mean_percent", "lower_whisker", "quartile_1", "median", "quartile_3", "upper_whisker")
_VARIABLE: Final = ("log_mean", "log_dispersion", "normalised_dispersion")
_GRID: Final = ("gene_id", "symbol", "marks_cluster", "cluster", "mean", "share")
_MARKERS: Final = (
    "score",
    "log2_fold_change",
    "p_adjusted",
    "mean_in",
    "mean_out",
    "share_in",
    "share_out",
)


def _write(folder: Path, name: TableName, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> WrittenTable:
    path = folder / name
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            writer.writerow([_as_written(value) for value in row])
            count += 1
    return WrittenTable(name, path, count)


def _as_written(value: Any) -> Any:
    """Numbers by six digits; text that a spreadsheet would compute behind a quote (OWASP, CSV injection)."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return f"{value:.6g}" if isinstance(value, float) else value


def _top_rows(top: TopGenes) -> Iterator[Sequence[Any]]:
    for gene, mean in enumerate(top.mean_percent.tolist()):
        yield top.ids[gene], top.symbols[gene], mean, *top.boxes[gene].tolist()


def _variable_rows(variable: VariableGenes) -> Iterator[Sequence[Any]]:
    """The chosen genes, most variable first."""
    chosen = np.flatnonzero(variable.chosen)
    for gene in chosen[np.argsort(-variable.dispersions_norm[chosen], kind="stable")]:
        values = (variable.means[gene], variable.dispersions[gene], variable.dispersions_norm[gene])
        yield variable.ids[gene], variable.symbols[gene], *map(float, values)


def _marker_rows(markers: Markers) -> Iterator[Sequence[Any]]:
    columns = (
        markers.scores,
        markers.log_fold_changes,
        markers.p_adjusted,
        markers.mean_in,
        markers.mean_out,
        markers.share_in,
        markers.share_out,
    )
    for cluster, rank in np.ndindex(markers.scores.shape):
        values = (float(column[cluster, rank]) for column in columns)
        yield cluster, rank + 1, markers.ids[cluster, rank], markers.symbols[cluster, rank], *values


def _grid_rows(grid: MarkerGrid) -> Iterator[Sequence[Any]]:
    for gene, cluster in np.ndindex(grid.means.T.shape):
        values = (float(grid.means[cluster, gene]), float(grid.shares[cluster, gene]))
        yield grid.ids[gene], grid.symbols[gene], grid.marks[gene], cluster, *values


def _write_cells(summary: Summary, path: Path) -> WrittenTable:
    with pq.ParquetWriter(path, CELL_SCHEMA, compression="zstd") as writer:
        for start in range(0, summary.n_cells, ROWS_PER_GROUP):
            writer.write_table(_cells(summary, slice(start, start + ROWS_PER_GROUP)))
    return WrittenTable("cells.parquet", path, summary.n_cells)


def _cells(summary: Summary, rows: slice) -> pa.Table:
    quality, clusters = summary.quality, summary.clusters
    scores = summary.components.scores if summary.components else None
    plane = summary.embedding.coordinates if summary.embedding else None
    columns: dict[str, Any] = {
        "cell_id": summary.cell_ids,
        "n_counts": quality.n_counts,
        "n_genes": quality.n_genes,
        "percent_mito": quality.percent_mito,
        "cluster": clusters.labels if clusters else None,
        "pc1": _column(scores, 0),
        "pc2": _column(scores, 1),
        "umap1": _column(plane, 0),
        "umap2": _column(plane, 1),
        "cell_type": _type_names(summary.cell_types) if summary.cell_types else None,
    }
    count = len(summary.cell_ids[rows])
    arrays = [
        pa.nulls(count, field.type) if columns[field.name] is None else pa.array(columns[field.name][rows], field.type)
        for field in CELL_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=CELL_SCHEMA)


def _type_names(types: CellTypes) -> Strings:
    """The type of each cell, (cells,); None where it is not told."""
    names: Strings = np.array([*types.names, None], dtype=object)
    return names[types.labels]


def _column(matrix: Any, number: int) -> Any:
    return matrix[:, number] if matrix is not None and matrix.shape[1] > number else None
