"""How figures are made, in numbers: part of the fingerprint, so a change here makes every project due again."""

from typing import Final

NAME: Final = "data-portal-summary-stats"
VERSION: Final = "1"
"""Raised by hand when the same matrix would give other figures or statistics than before."""

SEED: Final = 0

TARGET_SUM: Final = 10_000
"""Counts per cell after normalisation."""
VARIABLE_GENES: Final = 2_000
COMPONENTS: Final = 50
NEIGHBORS: Final = 15
EXACT_CELLS: Final = 40_000
"""Up to so many cells every pair is looked at for neighbours, beyond it likely pairs."""
SKETCH_CELLS: Final = 200_000
"""Of more cells, so many are clustered and laid out; every other cell then joins its neighbours among them."""
LEIDEN_RESOLUTION: Final = 1.0
LEIDEN_ITERATIONS: Final = 2
UMAP_MIN_DISTANCE: Final = 0.5
UMAP_SPREAD: Final = 1.0
TOP_GENES: Final = 20
"""Genes named in the highest-expressed figure, and markers kept per cluster."""

PARAMETERS: Final[dict[str, str | int | float]] = {
    "target_sum": TARGET_SUM,
    "variable_genes": VARIABLE_GENES,
    "variable_genes_flavor": "seurat",
    "components": COMPONENTS,
    "neighbors": NEIGHBORS,
    "exact_neighbors_up_to_cells": EXACT_CELLS,
    "sketch_cells": SKETCH_CELLS,
    "leiden_resolution": LEIDEN_RESOLUTION,
    "leiden_iterations": LEIDEN_ITERATIONS,
    "umap_min_distance": UMAP_MIN_DISTANCE,
    "umap_spread": UMAP_SPREAD,
    "markers_method": "t-test",
    "top_genes": TOP_GENES,
}
