"""What a reader of the figures should know first: the value, what is usual, and the likely cause.

In the manner of Cell Ranger's web summary. Limits are of common practice and no more than hints: a tissue may well be
beyond them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
import pandas as pd

from shared.manifest import Alert
from worker.stats.summary import Summary

HIGH_MITO, VERY_HIGH_MITO = 10.0, 30.0
"""Percent of a cell's counts, at the median. Human cells are usually below 10 (Osorio & Cai 2021)."""
FEW_GENES, VERY_FEW_GENES = 500, 200
"""At the median of the cells; 200 is what scanpy's and Seurat's tutorials ask of a cell at least."""
FEW_CELLS: Final = 100
ENOUGH_CELLS: Final = 50
"""Below it, one cluster or equal depths say nothing."""
RICHEST: Final = 99
"""Percentile of the cells by counts: what Cell Ranger measures the others by."""
DROPLET_SHARE, MOST_DROPLETS = 0.05, 0.5
"""Cells with less than this share of the richest's counts; and how many of them cells alone never are."""
EQUAL_DEPTHS: Final = 0.2
"""Standard deviation over mean of counts per cell. Raw depths vary by 0.3 to 1."""
OTHER_SPECIES: Final = 0.05
"""Share of the counts; ambient RNA and misaligned reads give less."""
REPEATED_IDS: Final = 0.05
"""Share of the cells; barcodes of several samples meet by chance in less than 1 %."""
_LEVELS: Final = ("error", "warning", "info")


def alerts(summary: Summary, species_shares: Mapping[str, float]) -> tuple[Alert, ...]:
    """All that there are, the gravest first; ``species_shares`` are each species' share of the counts, 0 to 1."""
    found = [alert for rule in _RULES if (alert := rule(summary))]
    if mixed := _mixed_species(species_shares):
        found.append(mixed)
    return tuple(sorted(found, key=lambda alert: _LEVELS.index(alert.level)))


def _high_mito(summary: Summary) -> Alert | None:
    if summary.quality.percent_mito is None:
        return None
    median = float(np.median(summary.quality.percent_mito[summary.quality.n_counts > 0]))
    if median <= HIGH_MITO:
        return None
    return Alert(
        level="error" if median > VERY_HIGH_MITO else "warning",
        title="High mitochondrial share",
        value=f"{median:.1f} % of a cell's counts at the median",
        message=(
            f"Usual is below {HIGH_MITO:.0f} %. Cells may have been damaged or dying, or the tissue is rich in"
            " mitochondria, as heart, muscle and kidney are."
        ),
    )


def _few_genes(summary: Summary) -> Alert | None:
    median = float(np.median(summary.quality.n_genes))
    if median >= FEW_GENES:
        return None
    return Alert(
        level="error" if median < VERY_FEW_GENES else "warning",
        title="Few genes per cell",
        value=f"{median:,.0f} genes at the median",
        message=(
            f"Usual is {FEW_GENES:,} to 5,000. Sequencing may have been shallow, empty droplets may be among the cells,"
            " or the matrix may hold a part of the genes only."
        ),
    )


def _one_cluster(summary: Summary) -> Alert | None:
    if not summary.clusters or len(summary.clusters.sizes) > 1 or summary.n_cells < ENOUGH_CELLS:
        return None
    return Alert(
        level="warning",
        title="One cluster",
        value=f"all {summary.n_cells:,} cells in 1 cluster",
        message="Usual is 5 to 30. The cells may be of one kind, or too few counts may tell them apart.",
    )


def _unfiltered(summary: Summary) -> Alert | None:
    counts = summary.quality.n_counts
    poor = float((counts < DROPLET_SHARE * np.percentile(counts, RICHEST)).mean())
    if poor <= MOST_DROPLETS or summary.n_cells < FEW_CELLS:
        return None
    return Alert(
        level="error",
        title="Likely unfiltered droplets",
        value=f"{poor:.0%} of the barcodes have less than {DROPLET_SHARE:.0%} of the counts of the richest",
        message=(
            "Usual is below 10 %. The matrix seems to hold all barcodes, empty droplets among them: clusters and"
            " medians tell of these. Publish the filtered matrix."
        ),
    )


def _equal_depths(summary: Summary) -> Alert | None:
    counts = summary.quality.n_counts
    spread = float(counts.std() / max(counts.mean(), 1e-12))
    if spread >= EQUAL_DEPTHS or summary.n_cells < ENOUGH_CELLS:
        return None
    return Alert(
        level="warning",
        title="Suspected TPM or CPM",
        value=f"counts per cell vary by {spread:.0%}",
        message=(
            "Usual is 30 % to 100 %. The values may have been scaled to a common total, so that the statistics of raw"
            " counts do not hold; or cells were chosen by their depth."
        ),
    )


def _repeated_ids(summary: Summary) -> Alert | None:
    repeated = float(pd.Index(summary.cell_ids).duplicated(keep=False).mean())
    if repeated <= REPEATED_IDS:
        return None
    return Alert(
        level="warning",
        title="Cells named twice",
        value=f"{repeated:.0%} of the cells share their id with another",
        message=(
            "Usual is below 1 %. The same cells may have been given in several files, or samples number their cells"
            " alike."
        ),
    )


def _without_counts(summary: Summary) -> Alert | None:
    empty = int((summary.quality.n_counts == 0).sum())
    if not empty:
        return None
    return Alert(
        level="info",
        title="Cells without any count",
        value=f"{empty:,} of {summary.n_cells:,}",
        message="Usual is none. They are counted in all medians, and lie together in the maps.",
    )


def _few_cells(summary: Summary) -> Alert | None:
    if summary.n_cells >= FEW_CELLS:
        return None
    return Alert(
        level="info",
        title="Few cells",
        value=f"{summary.n_cells:,}",
        message=f"Usual is {FEW_CELLS:,} or more. Clusters, markers and variable genes of so few are tentative.",
    )


_RULES: Final[Sequence[Callable[[Summary], Alert | None]]] = (
    _unfiltered,
    _equal_depths,
    _high_mito,
    _few_genes,
    _one_cluster,
    _repeated_ids,
    _without_counts,
    _few_cells,
)


def _mixed_species(shares: Mapping[str, float]) -> Alert | None:
    enough = {name: share for name, share in shares.items() if share > OTHER_SPECIES}
    if len(enough) < 2:  # noqa: PLR2004 - one beside another
        return None
    told = ", ".join(f"{share:.0%} {name}" for name, share in sorted(enough.items(), key=lambda item: -item[1]))
    return Alert(
        level="warning",
        title="Mixed species",
        value=f"of the counts, {told}",
        message=(
            "Usual is one species. Cells of several were sequenced together, or a graft in its host: clusters part the"
            " species first, and markers tell of them."
        ),
    )
