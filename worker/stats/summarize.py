"""From counts to everything that figures and tables are drawn from: the steps in order, each in its own file."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from worker.matrices.matrix import Genes
from worker.stats import clusters, components, embedding, markers, neighbors, quality, variable_genes
from worker.stats.counts import Counts
from worker.stats.missing import Missing, after, present
from worker.stats.normalize import gathered
from worker.stats.summary import Embedding, Floats, Markers, Strings, Subject, Summary

EXAMPLE_GENE = "CST3"
"""Shown on the embedding where it is expressed: it tells myeloid cells from the others of a tissue."""


def summarize(
    store: Counts,
    genes: Genes,
    mito: npt.NDArray[np.bool_] | None,
    cell_ids: Strings,
    subject: Subject,
    progress: Callable[[str], None],
) -> Summary:
    """All statistics of the cells in ``store``; what they do not allow is None, with its cause in ``missing``.

    ``mito`` (genes,) marks the mitochondrial genes, None where they are not known. ``progress`` is told each stage
    as it begins: quality, variable_genes, components, neighbors, clusters, embedding, markers. ``missing`` also has
    ``percent_mito`` of the quality and ``example_gene`` of the embedding.
    """
    progress("quality")
    cells, moments = quality.measure(store, mito)
    top = quality.top_genes(store, genes, moments)
    progress("variable_genes")
    variable = after(top, lambda _: variable_genes.find(moments, genes))
    progress("components")
    principal = after(variable, lambda found: components.compute(store, found.chosen))
    progress("neighbors")
    neighborhood = after(principal, lambda found: neighbors.connect(found.scores))
    progress("clusters")
    communities = after(neighborhood, clusters.find)
    progress("embedding")
    layout = after(neighborhood, embedding.lay_out)
    progress("markers")
    marked = after(communities, lambda found: markers.rank(store, genes, found))
    example = after(layout, lambda _: _example_gene(store, genes, marked))
    embedded = after(layout, lambda coordinates: _embedding(store, genes, coordinates, present(example)))
    return Summary(
        subject=subject,
        cell_ids=cell_ids,
        n_genes=store.n_genes,
        n_nonzero=store.n_nonzero,
        quality=cells,
        top_genes=present(top),
        variable_genes=present(variable),
        components=present(principal),
        clusters=present(communities),
        embedding=present(embedded),
        markers=present(marked),
        missing=_reasons(
            percent_mito=quality.mitochondrial_share(mito),
            top_genes=top,
            variable_genes=variable,
            components=principal,
            clusters=communities,
            embedding=embedded,
            example_gene=example,
            markers=marked,
        ),
    )


def _reasons(**results: object) -> dict[str, str]:
    return {name: result.reason for name, result in results.items() if isinstance(result, Missing)}


def _example_gene(store: Counts, genes: Genes, marked: Markers | Missing) -> int | Missing:
    """The number of EXAMPLE_GENE, in any case (mouse writes Cst3); else of the first marker of the largest cluster."""
    named = np.flatnonzero([str(symbol).upper() == EXAMPLE_GENE for symbol in genes.symbols])
    expressed = named[store.gene_counts[named] > 0]
    if len(expressed):
        return int(expressed[np.argmax(store.gene_counts[expressed])])
    return after(marked, lambda found: int(np.flatnonzero(genes.ids == found.ids[0, 0])[0]))


def _embedding(store: Counts, genes: Genes, coordinates: Floats, example: int | None) -> Embedding:
    if example is None:
        return Embedding(coordinates, None, None)
    expression = np.log1p(gathered(store, np.array([example], np.int32))[:, 0])
    return Embedding(coordinates, str(genes.symbols[example]), expression)
