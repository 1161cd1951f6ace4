"""From matrices on this machine to figures, tables and a manifest in a folder: the whole computation, and no AWS."""

import contextlib
import os
import platform
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import numpy as np

from shared import __version__, keys
from shared.manifest import Entity, Figure, Library, Manifest, Skipped, Table, fingerprint
from shared.messages import now
from worker import heap
from worker.alerts import alerts
from worker.fetch import Fetched, hash_file
from worker.figures.drawing import Drawing
from worker.figures.tables import write_tables
from worker.gather import Group, LibraryCells, gather
from worker.matrices.mitochondria import mitochondrial
from worker.matrices.species import shares as species_shares
from worker.stats.summarize import summarize
from worker.stats.summary import Subject, Summary

Progress = Callable[[str], None]
"""Told the name of each stage as it begins."""

REPORTED_PACKAGES: Final = ("anndata", "h5py", "igraph", "matplotlib", "numba", "numpy", "pandas", "scanpy", "scipy")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be made; ``key_prefix`` stands before every key in the manifest, and not in the folder."""

    project_id: str
    key_prefix: str
    figure_formats: tuple[str, ...]


def build(request: Request, inputs: Sequence[Fetched], folder: Path, progress: Progress) -> Manifest:
    """Figures and tables of every species and library below ``folder``, and the manifest that names them."""

    def begin(stage: str) -> None:
        heap.give_back()
        progress(stage)

    heap.keep_freed()
    with tempfile.TemporaryDirectory(dir=folder, prefix="stores-") as scratch:
        begin("read")
        gathered = gather(request.project_id, inputs, Path(scratch))
        entities = tuple(_entity(request, group, folder, begin) for group in gathered.groups)
    return Manifest(
        project_id=request.project_id,
        generated_at=now(),
        environment=_environment(),
        inputs=gathered.inputs,
        fingerprint=fingerprint(gathered.inputs),
        entities=entities,
        peak_rss_mib=_peak_rss_mib(),
    )


def _entity(request: Request, group: Group, folder: Path, progress: Progress) -> Entity:
    libraries = tuple(_library(request, group, cells, folder, progress) for cells in group.libraries)
    return Entity(entity=group.entity, species=group.species, libraries=libraries)


def _library(request: Request, group: Group, source: LibraryCells, folder: Path, progress: Progress) -> Library:
    subject = Subject(request.project_id, group.species, source.library)
    mito = mitochondrial(source.genes, group.species)
    place = folder / keys.library_folder(group.entity, source.library)
    place.mkdir(parents=True)
    with Drawing(place, request.figure_formats) as drawing:
        for summary in summarize(source.store, source.genes, mito, source.cells, subject, progress):
            drawing.show(summary)
        progress("tables")
        written = write_tables(summary, place)
        progress("figures")
        drawn = drawing.finish(summary)
    return Library(
        library=source.library,
        statistics=_statistics(summary),
        alerts=alerts(summary, species_shares(source.genes, source.store.gene_counts)),
        figures=tuple(
            Figure.model_validate(
                _as_published(request, folder, figure.path)
                | {"name": figure.name, "width": figure.width, "height": figure.height, "alt": figure.alt}
            )
            for figure in drawn.figures
        ),
        tables=tuple(
            Table.model_validate(_as_published(request, folder, table.path) | {"name": table.name, "rows": table.rows})
            for table in written.tables
        ),
        skipped=tuple(Skipped(name=name, reason=reason) for name, reason in (*drawn.skipped, *written.skipped)),
    )


def _as_published(request: Request, folder: Path, path: Path) -> dict[str, str | int]:
    """What the manifest says of any file; it lies below ``folder`` as its key does below the prefix."""
    key = request.key_prefix + path.relative_to(folder).as_posix()
    return {"key": key, "sha256": hash_file(path), "bytes": path.stat().st_size}


def _statistics(summary: Summary) -> dict[str, int | float | None]:
    quality = summary.quality
    has_counts = quality.n_counts > 0  # a cell without counts has no share of them
    return {
        "cells": summary.n_cells,
        "genes": summary.n_genes,
        "nonzeros": summary.n_nonzero,
        "total_counts": round(float(quality.n_counts.sum()), 2),
        "median_counts_per_cell": _median(quality.n_counts),
        "median_genes_per_cell": _median(quality.n_genes),
        "median_percent_mito": None if quality.percent_mito is None else _median(quality.percent_mito[has_counts]),
        "variable_genes": int(summary.variable_genes.chosen.sum()) if summary.variable_genes else None,
        "components": summary.components.scores.shape[1] if summary.components else None,
        "clusters": len(summary.clusters.sizes) if summary.clusters else None,
        "sketch_cells": summary.sketch_cells,
    }


def _median(values: "np.ndarray[tuple[int], np.dtype[np.number]]") -> float:
    return round(float(np.median(values)), 4)


def _environment() -> dict[str, str | int]:
    packages = {name: metadata.version(name) for name in REPORTED_PACKAGES}
    return {
        "worker": __version__,
        "python": platform.python_version(),
        **packages,
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "threads": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
    }


def _cpu_model() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _peak_rss_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1_024 if sys.platform == "linux" else 1_048_576), 1)
