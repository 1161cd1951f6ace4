"""``highest_expr_genes``: which genes take most of the counts."""

from matplotlib.figure import Figure

from worker.figures import style
from worker.stats.summary import Summary

HEADING = "Genes with the highest share of counts"
HEIGHT = 4.6
GENE_CHARACTERS = 24
BOX = ("whislo", "q1", "med", "q3", "whishi")
"""matplotlib's names for the columns of TopGenes.boxes."""
NAMED = 3


def draw(figure: Figure, summary: Summary) -> str:
    """Boxes of each gene's share of a cell's counts."""
    top = summary.top_genes
    assert top is not None  # noqa: S101 - the table of figures asks for it
    axes = figure.subplots()
    axes.bxp(
        [
            {"label": style.literal(symbol, GENE_CHARACTERS), **dict(zip(BOX, box, strict=True))}
            for symbol, box in zip(top.symbols, top.boxes, strict=True)
        ],
        orientation="horizontal",
        showfliers=False,
        patch_artist=True,
        widths=0.65,
        boxprops={"facecolor": style.colour(4), "edgecolor": style.INK, "linewidth": 0.5},
        medianprops={"color": style.INK, "linewidth": 1.2},
        whiskerprops={"color": style.INK, "linewidth": 0.5},
        capprops={"color": style.INK, "linewidth": 0.5},
    )
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("share of a cell's counts (%)\nbox: quartiles; whiskers: up to 1.5 times their distance")
    axes.grid(axis="x", color="#EEEEEE", linewidth=0.6)
    axes.set_axisbelow(True)
    style.number_axis(axes.xaxis, log=False)
    named = ", ".join(
        f"{style.literal(symbol)} {share:.1f} %"
        for symbol, share in zip(top.symbols[:NAMED], top.mean_percent[:NAMED], strict=True)
    )
    return (
        f"Box plot of the {len(top.symbols)} genes with the highest mean share of counts in "
        f"{style.cells(summary.n_cells)}: {named} lead; all together take {top.mean_percent.sum():.0f} % on average."
    )
