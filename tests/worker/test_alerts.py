"""What is unusual about cells is said, with the value and its likely cause; what is usual is not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.figures.summaries import names, summary
from worker.alerts import alerts
from worker.matrices.matrix import Genes
from worker.matrices.species import shares
from worker.stats.summary import Clusters, Quality, Summary

USUAL = summary()
ONE_SPECIES = {"homo_sapiens": 1.0}


def with_quality(**fields: Any) -> Summary:
    """The usual cells with other measures."""
    return replace(USUAL, quality=replace(USUAL.quality, **fields))


def mostly_droplets() -> Summary:
    """A tenth of the barcodes are cells, the others have a hundredth of their counts."""
    cell = np.arange(USUAL.n_cells) < USUAL.n_cells // 10
    return with_quality(n_counts=np.where(cell, USUAL.quality.n_counts, USUAL.quality.n_counts / 100))


def one_cluster() -> Summary:
    sizes = np.array([USUAL.n_cells], np.int32)
    return replace(USUAL, clusters=Clusters(np.zeros(USUAL.n_cells, np.int32), sizes))


def equal_depths() -> Summary:
    return with_quality(n_counts=1e4 + np.random.default_rng(0).normal(0, 200, USUAL.n_cells))


def percent(value: float) -> Summary:
    return with_quality(percent_mito=np.full(USUAL.n_cells, value, np.float32))


def genes_per_cell(value: int) -> Summary:
    return with_quality(n_genes=np.full(USUAL.n_cells, value, np.int32))


def without_counts() -> Summary:
    return with_quality(n_counts=np.where(np.arange(USUAL.n_cells) < 7, 0, USUAL.quality.n_counts))


CASES: list[tuple[Callable[[], Summary], str, str, str]] = [
    (lambda: percent(12.5), "warning", "High mitochondrial share", "12.5 % of a cell's counts at the median"),
    (lambda: percent(45), "error", "High mitochondrial share", "45.0 %"),
    (lambda: genes_per_cell(350), "warning", "Few genes per cell", "350 genes at the median"),
    (lambda: genes_per_cell(120), "error", "Few genes per cell", "120 genes"),
    (mostly_droplets, "error", "Likely unfiltered droplets", "90% of the barcodes"),
    (one_cluster, "warning", "One cluster", "all 900 cells in 1 cluster"),
    (equal_depths, "warning", "Suspected TPM or CPM", "counts per cell vary by 2%"),
    (lambda: replace(USUAL, cell_ids=np.tile(names(450), 2)), "warning", "Cells named twice", "100% of the cells"),
    (without_counts, "info", "Cells without any count", "7 of 900"),
    (lambda: summary(n_cells=60, n_clusters=2), "info", "Few cells", "60"),
]


@pytest.mark.parametrize(("what", "level", "title", "value"), CASES, ids=[f"{case[2]} {case[1]}" for case in CASES])
def test_what_is_unusual_is_told_with_its_value(
    what: Callable[[], Summary], level: str, title: str, value: str
) -> None:
    (alert,) = alerts(what(), ONE_SPECIES)

    assert (alert.level, alert.title) == (level, title)
    assert value in alert.value
    assert alert.message.startswith("Usual is ")


def test_usual_cells_have_no_alert() -> None:
    assert alerts(USUAL, ONE_SPECIES) == ()
    assert alerts(summary(mito=False), {}) == ()


def test_the_gravest_comes_first() -> None:
    what = replace(
        mostly_droplets(), quality=replace(mostly_droplets().quality, percent_mito=percent(15).quality.percent_mito)
    )

    assert [alert.level for alert in alerts(what, {"homo_sapiens": 0.6, "mus_musculus": 0.4})] == [
        "error",
        "warning",
        "warning",
    ]


def test_a_few_counts_of_another_species_are_usual_and_many_are_not() -> None:
    ids = np.array(["ENSG00000000001", "ENSMUSG00000000001", "hg19_GAPDH", "mm10_Gapdh", "plain"], dtype=object)
    genes = Genes(ids, ids)

    few = shares(genes, np.array([90.0, 2, 8, 0, 999]))
    many = shares(genes, np.array([40.0, 20, 20, 20, 999]))

    assert alerts(USUAL, few) == ()
    (alert,) = alerts(USUAL, many)
    assert (alert.title, alert.value) == ("Mixed species", "of the counts, 60% homo_sapiens, 40% mus_musculus")


@pytest.mark.parametrize("n_cells", [1, 2])
def test_one_cell_or_two_without_counts_are_judged_too(n_cells: int) -> None:
    none = np.zeros(n_cells)
    what = Summary(USUAL.subject, names(n_cells), 3, 0, Quality(none, none.astype(np.int32), None))

    assert {alert.title for alert in alerts(what, {})} == {
        "Few genes per cell",
        "Cells without any count",
        "Few cells",
    }
