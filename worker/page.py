"""A project's page: its manifest, laid out for people."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shared import keys
from shared.manifest import Alert, Figure, Library, Manifest
from shared.pages import rendering, words

FIGURE_TITLES: Final = {
    "highest_expr_genes": "Highest expressed genes",
    "violin": "Genes, counts and mitochondrial share",
    "scatter_genes_vs_counts": "Genes against counts",
    "scatter_percentMitoGenes_vs_count": "Mitochondrial share against counts",
    "pca": "Principal components",
    "umap": "UMAP",
    "rank_gene_groups": "Marker genes of clusters",
}
"""Of names that do not make a title by themselves; they are keys that portals link to."""
STATISTIC_TITLES: Final = {
    "nonzeros": "Non-zero counts",
    "median_percent_mito": "Median mitochondrial share",
    "sketch_cells": "Cells clustered as a sketch",
}
PERCENTAGES: Final = ("percent", "share")
"""A statistic with one of these in its name is one."""
ALERT_LEVELS: Final[dict[str, str]] = {"error": "bad", "warning": "caution", "info": ""}
"""The worst first, each with its style."""


@dataclass(frozen=True, slots=True)
class File:
    """Something to download; ``kind`` is its extension in capitals."""

    name: str
    href: str
    kind: str
    bytes: int
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure in all its formats, of which the first is shown."""

    title: str
    alt: str
    width: int
    height: int
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One species and library: ``anchor`` is its id on the page."""

    anchor: str
    species: str | None
    library: str
    statistics: tuple[tuple[str, str], ...]
    alerts: tuple[Alert, ...]
    pictures: tuple[Picture, ...]
    tables: tuple[File, ...]
    skipped: tuple[tuple[str, str], ...]


def page(manifest: Manifest, key_prefix: str, *, indexed: bool) -> bytes:
    """The page beside ``manifest``; ``indexed``: with a link to the index of all projects."""
    folder = posixpath.dirname(key_prefix + keys.page(manifest.project_id))
    parts = tuple(_parts(manifest, folder))
    return rendering.render(
        "worker",
        "project",
        manifest=manifest,
        parts=parts,
        cells=_cells(manifest),
        sketched=any(_of(library, "sketch_cells") for _, library in _libraries(manifest)),
        index_href=f"../{keys.INDEX}" if indexed else None,
        manifest_href=posixpath.basename(keys.manifest(manifest.project_id)),
        alert_styles=ALERT_LEVELS,
    )


def write_page(manifest: Manifest, key_prefix: str, folder: Path, *, indexed: bool) -> None:
    """Put the page where its key says, below ``folder``."""
    place = folder / keys.page(manifest.project_id)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(page(manifest, key_prefix, indexed=indexed))


def _libraries(manifest: Manifest) -> Iterator[tuple[str | None, Library]]:
    for entity in manifest.entities:
        for library in entity.libraries:
            yield entity.species, library


def _parts(manifest: Manifest, folder: str) -> Iterator[Part]:
    for number, (species, library) in enumerate(_libraries(manifest), start=1):
        yield Part(
            anchor=f"part-{number}",
            species=species,
            library=library.library,
            statistics=tuple(_statistics(library)),
            alerts=tuple(sorted(library.alerts, key=lambda alert: list(ALERT_LEVELS).index(alert.level))),
            pictures=tuple(_pictures(library, folder)),
            tables=tuple(_file(table.key, table.bytes, folder, table.rows) for table in library.tables),
            skipped=tuple((_figure_title(each.name), each.reason) for each in library.skipped),
        )


def _statistics(library: Library) -> Iterator[tuple[str, str]]:
    for name, value in library.statistics.items():
        if value is not None:
            unit = " %" if any(word in name for word in PERCENTAGES) else ""
            yield STATISTIC_TITLES.get(name) or words.title(name), words.number(value) + unit


def _pictures(library: Library, folder: str) -> Iterator[Picture]:
    """A figure's formats share its name."""
    formats: dict[str, list[Figure]] = {}
    for figure in library.figures:
        formats.setdefault(figure.name, []).append(figure)
    for name, figures in formats.items():
        shown = figures[0]
        files = tuple(_file(figure.key, figure.bytes, folder) for figure in figures)
        yield Picture(_figure_title(name), shown.alt, shown.width, shown.height, files)


def _figure_title(name: str) -> str:
    return FIGURE_TITLES.get(name) or words.title(name)


def _file(key: str, size: int, folder: str, rows: int | None = None) -> File:
    name = posixpath.basename(key)
    href = quote(posixpath.relpath(key, folder))
    return File(name, href, name.rpartition(".")[2].upper(), size, rows)


def _cells(manifest: Manifest) -> int:
    return int(sum(_of(library, "cells") for _, library in _libraries(manifest)))


def _of(library: Library, statistic: str) -> float:
    return library.statistics.get(statistic) or 0
