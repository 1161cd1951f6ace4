"""What is known of the cells of one library: the statistics that figures and tables are drawn from."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int32]
Pointers = npt.NDArray[np.int64]
Strings = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose cells these are: what a title says."""

    project_id: str
    species: str | None
    library: str


@dataclass(frozen=True, slots=True)
class Quality:
    """Per cell, (cells,): sum of counts, genes with a count, share of mitochondrial counts in percent (0 to 100).

    ``percent_mito`` is None where no gene is known to be mitochondrial, or no cell has a count.
    """

    n_counts: Doubles
    n_genes: Integers
    percent_mito: Floats | None


@dataclass(frozen=True, slots=True)
class TopGenes:
    """The genes with the highest mean share of a cell's counts, highest first, (genes,) and percent (0 to 100).

    ``boxes`` (genes, 5): lower whisker, quartiles 1 to 3, upper whisker (1.5 interquartile ranges), in percent.
    """

    symbols: Strings
    ids: Strings
    mean_percent: Doubles
    boxes: Doubles


@dataclass(frozen=True, slots=True)
class VariableGenes:
    """scanpy's ``seurat`` flavour, every gene, (genes,): log mean, log dispersion, normalised dispersion, chosen."""

    ids: Strings
    symbols: Strings
    means: Doubles
    dispersions: Doubles
    dispersions_norm: Doubles
    chosen: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Components:
    """Principal components: scores (cells, k), share of the variance that each explains (k,), 0 to 1."""

    scores: Floats
    variance_ratio: Doubles


@dataclass(frozen=True, slots=True)
class Clusters:
    """Leiden clusters, numbered by size from 0: label of each cell (cells,), cells of each (clusters,)."""

    labels: Integers
    sizes: Integers


@dataclass(frozen=True, slots=True)
class CellTypes:
    """What the authors took cells for: names (types,), commonest first, type of each cell (cells,), cells of each.

    The type of a cell of which they say nothing is -1.
    """

    names: Strings
    labels: Integers
    sizes: Integers


@dataclass(frozen=True, slots=True)
class Embedding:
    """UMAP coordinates (cells, 2), and log-normalised expression of an example gene (cells,), if one was chosen."""

    coordinates: Floats
    example_gene: str | None
    example_expression: Floats | None


@dataclass(frozen=True, slots=True)
class Markers:
    """Welch's t-test of each cluster against the rest, best first, (clusters, top) each.

    ``genes`` are their numbers in the matrix, where ids and symbols may occur more than once.
    ``mean_in``, ``mean_out`` are log-normalised; ``share_in``, ``share_out`` the share of cells with a count, 0 to 1.
    """

    genes: Integers
    symbols: Strings
    ids: Strings
    grid: "MarkerGrid"
    scores: Doubles
    log_fold_changes: Doubles
    p_adjusted: Doubles
    mean_in: Doubles
    mean_out: Doubles
    share_in: Doubles
    share_out: Doubles


@dataclass(frozen=True, slots=True)
class MarkerGrid:
    """A few marker genes in every cluster: ids, symbols and the cluster that each marks, (genes,).

    ``means`` and ``shares`` (clusters, genes) as in Markers; of very many clusters, the largest.
    """

    ids: Strings
    symbols: Strings
    marks: Integers
    means: Doubles
    shares: Doubles


@dataclass(frozen=True, slots=True)
class Summary:
    """All of it; what could not be computed is None, and ``missing`` says why, by the name of the field."""

    subject: Subject
    cell_ids: Strings
    n_genes: int
    n_nonzero: int
    quality: Quality
    cell_types: CellTypes | None = None
    top_genes: TopGenes | None = None
    variable_genes: VariableGenes | None = None
    components: Components | None = None
    clusters: Clusters | None = None
    embedding: Embedding | None = None
    markers: Markers | None = None
    sketch_cells: int | None = None
    """Cells that were clustered and laid out first, the others by their neighbours; None where all were at once."""
    missing: dict[str, str] = field(default_factory=dict)
    """Field name → why it is None."""

    @property
    def n_cells(self) -> int:
        """Cells summarised."""
        return len(self.cell_ids)

    def knows(self, name: str) -> bool:
        """Whether it is decided what ``name``, a field or a key of ``missing``, is; true of no name at all."""
        return not name or name in self.missing or getattr(self, name, self.quality) is not None
