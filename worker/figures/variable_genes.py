"""``highly_variable_genes``: which genes vary most for their mean."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.optimize import linear_sum_assignment

from shared import pipeline
from worker.figures import style
from worker.stats.summary import Doubles, Summary, VariableGenes

HEADING = "Highly variable genes"
HEIGHT = 4.2
NAMED = 10
GENE_CHARACTERS = 18
NAMES_AT = 1.04
"""Where the names' column begins, in widths of the axes."""
SIDES = (1.4, 1)
"""Of the axes, to measure lines by."""


def draw(figure: Figure, summary: Summary) -> str:
    """Normalised dispersion of each gene over its mean; the chosen ones in colour, the highest named."""
    variable = summary.variable_genes
    assert variable is not None  # noqa: S101 - the table of figures asks for it
    axes = figure.subplots()
    known = np.isfinite(variable.dispersions_norm) & (variable.means > 0)
    means = np.expm1(variable.means)
    for chosen, colour, label in ((False, style.QUIET, "other genes"), (True, style.ACCENT, "chosen")):
        which = known & (variable.chosen == chosen)
        axes.scatter(
            means[which],
            variable.dispersions_norm[which],
            s=5,
            c=colour,
            linewidths=0,
            rasterized=True,
            label=f"{label} ({which.sum():,})",
        )
    best = np.argsort(-np.where(known, variable.dispersions_norm, -np.inf), kind="stable")[: min(NAMED, known.sum())]
    axes.set_xscale("log")
    _name(axes, means, variable, best)
    axes.set_xlabel(f"mean expression (counts per {pipeline.TARGET_SUM:,}, log scale)")
    axes.set_ylabel("normalised dispersion")
    axes.legend(loc="upper right", frameon=False, markerscale=2, handletextpad=0.2, bbox_to_anchor=(1, 1.12), ncols=2)
    style.number_axis(axes.xaxis, log=True)
    style.number_axis(axes.yaxis, log=False)
    named = ", ".join(style.literal(symbol) for symbol in variable.symbols[best][:5])
    return (
        f"Scatter of {known.sum():,} genes by mean expression and normalised dispersion; {variable.chosen.sum():,} are "
        f"chosen as highly variable, {named} vary most."
    )


def _name(
    axes: Axes, means: Doubles, variable: VariableGenes, best: "np.ndarray[tuple[int], np.dtype[np.intp]]"
) -> None:
    """Names in a column of their own beside the axes, each joined to its gene, so that none covers another.

    Lines that are shortest together do not cross.
    """
    spots = np.column_stack((means[best], variable.dispersions_norm[best]))
    starts = (axes.transData + axes.transAxes.inverted()).transform(spots)
    places = np.column_stack((np.full(len(best), NAMES_AT), np.linspace(0.95, 0.38, len(best))))
    lengths = np.linalg.norm((starts[:, None] - places) * SIDES, axis=2)
    for gene, spot, place in zip(best, spots, places[linear_sum_assignment(lengths)[1]], strict=True):
        axes.annotate(
            style.literal(variable.symbols[gene], GENE_CHARACTERS),
            spot.tolist(),
            xytext=place.tolist(),
            textcoords="axes fraction",
            fontsize=7,
            va="center",
            arrowprops={"arrowstyle": "-", "color": "#888888", "linewidth": 0.4, "shrinkA": 1, "shrinkB": 1},
        )
