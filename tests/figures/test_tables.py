"""The tables beside the figures: readable by pandas and Parquet readers, null where nothing is known."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from shared.keys import TableName
from tests.figures.summaries import summary
from worker.figures.tables import CELL_SCHEMA, ROWS_PER_GROUP, write_tables


def test_every_table_is_written_with_its_rows_counted(tmp_path: Path) -> None:
    written = write_tables(summary(n_clusters=4), tmp_path)
    assert [table.name for table in written.tables] == list(get_args(TableName))
    assert {table.name: table.rows for table in written.tables} == {
        "top_genes.tsv": 20,
        "variable_genes.tsv": 60,
        "markers.tsv": 80,
        "marker_dot_plot.tsv": 36 * 4,
        "cells.parquet": 900,
    }
    for table in written.tables:
        read = pq.read_table(table.path) if table.name == "cells.parquet" else pd.read_csv(table.path, sep="\t")
        assert len(read) == table.rows


def test_markers_are_told_by_cluster_and_rank_with_id_and_symbol(tmp_path: Path) -> None:
    what = summary(n_clusters=4)
    write_tables(what, tmp_path)
    markers = pd.read_csv(tmp_path / "markers.tsv", sep="\t")
    third = markers[(markers["cluster"] == 2) & (markers["rank"] == 3)].iloc[0]
    assert what.markers is not None
    assert (third["gene_id"], third["symbol"]) == (what.markers.ids[2, 2], what.markers.symbols[2, 2])
    assert third["score"] == pytest.approx(what.markers.scores[2, 2], rel=1e-5)


def test_a_cell_has_its_measures_cluster_and_places(tmp_path: Path) -> None:
    what = summary()
    write_tables(what, tmp_path)
    cells = pq.read_table(tmp_path / "cells.parquet")
    assert cells.schema.equals(CELL_SCHEMA)
    assert what.clusters is not None
    assert what.embedding is not None
    assert cells["cell_id"].to_pylist() == what.cell_ids.tolist()
    np.testing.assert_array_equal(cells["cluster"].to_numpy(), what.clusters.labels)
    assert what.cell_types is not None
    types = [what.cell_types.names[label] if label >= 0 else None for label in what.cell_types.labels]
    assert cells["cell_type"].to_pylist() == types
    np.testing.assert_array_equal(cells["umap2"].to_numpy(), what.embedding.coordinates[:, 1])


def test_what_is_missing_is_null_in_the_cells_and_a_reason_for_a_table(tmp_path: Path) -> None:
    whole = summary(mito=False)
    reasons = dict.fromkeys(("components", "clusters", "embedding", "markers"), "too few cells")
    what = replace(whole, components=None, clusters=None, embedding=None, markers=None, missing=whole.missing | reasons)
    written = write_tables(what, tmp_path)
    assert written.skipped == (("markers.tsv", "too few cells"), ("marker_dot_plot.tsv", "too few cells"))
    assert not (tmp_path / "markers.tsv").exists()
    cells = pq.read_table(tmp_path / "cells.parquet")
    for column in ("percent_mito", "cluster", "pc1", "pc2", "umap1", "umap2"):
        assert cells[column].null_count == what.n_cells, column


def test_many_cells_are_written_in_row_groups(tmp_path: Path) -> None:
    write_tables(summary(n_cells=ROWS_PER_GROUP + 1), tmp_path)
    assert pq.ParquetFile(tmp_path / "cells.parquet").num_row_groups == 2


def test_a_gene_named_with_tabs_and_quotes_stays_in_its_column(tmp_path: Path) -> None:
    write_tables(summary(gene_stem='a\tb\n"c'), tmp_path)
    genes = pd.read_csv(tmp_path / "top_genes.tsv", sep="\t")
    assert genes["symbol"].tolist() == [f'a\tb\n"c{number}' for number in range(20)]


def test_a_gene_named_like_a_formula_is_text_in_a_spreadsheet(tmp_path: Path) -> None:
    write_tables(summary(gene_stem="=cmd|' /C calc'!A"), tmp_path)
    genes = pd.read_csv(tmp_path / "markers.tsv", sep="\t")
    assert genes["symbol"].str.startswith("'=cmd").all()
    assert genes["log2_fold_change"].dtype == float  # numbers below zero are numbers


def test_the_dot_plots_table_has_each_genes_id(tmp_path: Path) -> None:
    what = summary(n_clusters=4)
    write_tables(what, tmp_path)
    genes = pd.read_csv(tmp_path / "marker_dot_plot.tsv", sep="\t")
    assert what.markers is not None
    assert genes["gene_id"].drop_duplicates().tolist() == what.markers.grid.ids.tolist()


def test_the_same_summary_gives_the_same_tables(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        write_tables(summary(), folder)
    for path in folders[0].iterdir():
        assert path.read_bytes() == (folders[1] / path.name).read_bytes(), path.name
