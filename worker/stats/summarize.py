"""From counts to everything that figures and tables are drawn from: the steps in order, each in its own file."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.matrices.matrix import Cells, Genes
from worker.stats import cell_types, clusters, components, embedding, markers, neighborhood, quality, variable_genes
from worker.stats.counts import Counts
from worker.stats.missing import Missing, after, present
from worker.stats.normalize import gathered
from worker.stats.summary import Embedding, Floats, Markers, Subject, Summary

EXAMPLE_GENE = "CST3"
"""Shown on the embedding where it is expressed: it tells myeloid cells from the others of a tissue."""


def summarize(
    store: Counts,
    genes: Genes,
    mito: npt.NDArray[np.bool_] | None,
    cells: Cells,
    subject: Subject,
    progress: Callable[[str], None],
) -> Iterator[Summary]:
    """The statistics of the cells in ``store``, growing: each has what the one before had; the last has all.

    What the cells do not allow is None, with its cause in ``missing``. ``mito`` (genes,) marks the mitochondrial
    genes, None where they are not known. ``progress`` is told each stage as it begins: quality, variable_genes,
    components, neighbors, clusters, markers, embedding. ``missing`` also has ``percent_mito`` of the quality and
    ``example_gene`` of the embedding. The layout of the embedding runs beside clusters and markers.
    """
    progress("quality")
    measured, moments = quality.measure(store, mito)
    top = quality.top_genes(store, genes, moments)
    summary = _with(
        Summary(subject, cells.ids, store.n_genes, store.n_nonzero, measured),
        percent_mito=quality.mitochondrial_share(store, mito),
        cell_types=cell_types.told(cells.types),
        top_genes=top,
    )
    yield summary
    progress("variable_genes")
    variable = after(top, lambda _: variable_genes.find(moments, genes))
    yield (summary := _with(summary, variable_genes=variable))
    progress("components")
    principal = after(variable, lambda found: components.compute(store, found.chosen))
    progress("neighbors")
    connected = after(principal, lambda found: neighborhood.connect(found.scores))
    with ThreadPoolExecutor(1) as beside:
        laid_out = beside.submit(after, connected, embedding.lay_out)
        progress("clusters")
        communities = after(connected, clusters.find)
        sketch = after(connected, lambda found: found.sketch and len(found.sketch.cells))
        yield (summary := _with(summary, components=principal, clusters=communities, sketch_cells=present(sketch)))
        progress("markers")
        marked = after(communities, lambda found: markers.rank(store, genes, found))
        example = after(connected, lambda _: _example_gene(store, genes, marked))
        yield (summary := _with(summary, markers=marked, example_gene=example))
        progress("embedding")
        layout = laid_out.result()
    embedded = after(layout, lambda coordinates: _embedding(store, genes, coordinates, present(example)))
    yield _with(summary, embedding=embedded)


def _with(summary: Summary, **results: object) -> Summary:
    """The summary with ``results``, by the names of its fields; of what is missing, the reason."""
    reasons = {name: result.reason for name, result in results.items() if isinstance(result, Missing)}
    names = {field.name for field in fields(Summary)}
    known: dict[str, Any] = {name: present(result) for name, result in results.items() if name in names}
    return replace(summary, **known, missing=summary.missing | reasons)


def _example_gene(store: Counts, genes: Genes, marked: Markers | Missing) -> int | Missing:
    """The number of EXAMPLE_GENE, in any case (mouse writes Cst3); else of the first marker of the largest cluster."""
    named = np.flatnonzero([str(symbol).upper() == EXAMPLE_GENE for symbol in genes.symbols])
    expressed = named[store.gene_counts[named] > 0]
    if len(expressed):
        return int(expressed[np.argmax(store.gene_counts[expressed])])
    return after(marked, lambda found: int(found.genes[0, 0]))


def _embedding(store: Counts, genes: Genes, coordinates: Floats, example: int | None) -> Embedding:
    if example is None:
        return Embedding(coordinates, None, None)
    expression = np.log1p(gathered(store, np.array([example], np.int32))[:, 0])
    return Embedding(coordinates, str(genes.symbols[example]), expression)
