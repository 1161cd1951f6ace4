"""Which of a project's files on a portal are read: one set of matrices per species.

The DCP's own before contributors', its second generation before its first; then formats by how surely they hold raw
counts; then the newest. Everything else is passed over, with the reason.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from producer.sources.matrix_tree import PortalFile
from producer.sources.project import PassedOver
from shared import keys, library_construction
from shared.species import species_name

SOURCES: Final = ("DCP/2 Analysis", "DCP/1 Matrix Service")
"""Before all others, which are contributors'."""
BARE: Final = "mtx with tables"
"""Of a matrix whose genes and cells are listed in other files, and of these."""
_TEXTS: Final = frozenset({"csv", "csv.gz", "csv.zip", "tsv", "tsv.gz", "tsv.zip", "txt.gz"})
FORMATS: Final = (
    frozenset({"mtx.zip", "mtx.tar", "mtx.tar.gz", "mtx.tgz", "h5"}),
    frozenset({"h5ad", "loom"}),
    frozenset({BARE}),
    _TEXTS,
    frozenset({"zip", "tar", "tar.gz", "tgz"}),
)
"""By how surely raw counts are in them: always; in a layer; always, but in pieces; perhaps; nobody knows."""

_TABLE: Final = re.compile(r"(genes|features|cells|barcodes|rows|cols)(\.(tsv|csv|txt))?(\.gz)?$", re.IGNORECASE)
"""How tables beside a bare matrix are called."""
_TABLES_WANTED: Final = 2
_ABOUT_CELLS: Final = re.compile(
    r"cell[ ._-]?types?|annot|meta[ ._-]?data|clusters?|labels?|umap|tsne|read[ ._-]?me|sample[ ._-]?info",
    re.IGNORECASE,
)
_NOT_RAW: Final = re.compile(r"(?<![a-z])(normali[sz]ed|scaled|tpm|[fr]pkm|cpm|log2?)(?![a-z])", re.IGNORECASE)
_RAW: Final = re.compile(r"(?<![a-z])(raw|counts?|umis?)(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MatrixSet:
    """Files of the same species (as keys write them), source and format."""

    species: frozenset[str]
    source: str
    format: str
    files: tuple[PortalFile, ...]

    @property
    def described(self) -> str:
        """In a few words."""
        return f"{len(self.files):,} {'file' if len(self.files) == 1 else 'files'} of {self.source} ({self.format})"

    @property
    def rank(self) -> tuple[int, int]:
        """Lower is better; what has the same rank is told apart by its version."""
        source = SOURCES.index(self.source) if self.source in SOURCES else len(SOURCES)
        return source, next(rank for rank, formats in enumerate(FORMATS) if self.format in formats)

    @property
    def version(self) -> str:
        """The newest of them: versions compare as text (Azul's OpenAPI, ``/repository/files``)."""
        return max(file.entry.version for file in self.files)

    @property
    def complete(self) -> bool:
        """Whether a bare matrix has its tables with it."""
        tables = sum(_TABLE.search(file.entry.name) is not None for file in self.files)
        return self.format != BARE or (tables >= _TABLES_WANTED and len(self.files) > tables)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sets to read, and what was passed over."""

    sets: tuple[MatrixSet, ...]
    passed_over: tuple[PassedOver, ...]

    @property
    def taken(self) -> tuple[str, ...]:
        """A sentence on each set."""
        return tuple(f"{' and '.join(sorted(s.species)) or 'Species not said'}: {s.described}." for s in self.sets)


def choose(files: Iterable[PortalFile]) -> Chosen:
    """The best set of every species; one of several species only where one of them has none, so one of none said."""
    usable, left = _sifted(files)
    best: list[MatrixSet] = []
    for ranked in _by_species(usable):
        covered = frozenset[str]().union(*(chosen.species for chosen in best))
        if best and ranked[0].species <= covered:
            left += _passed_over(ranked, "its species has matrices of its own")
            continue
        best.append(ranked[0])
        for other in ranked[1:]:
            left += _passed_over([other], _why(ranked[0], other))
    return Chosen(tuple(best), tuple(left))


def _why(better: MatrixSet, other: MatrixSet) -> str:
    (source, format_), (other_source, other_format) = better.rank, other.rank
    if source < other_source:
        return f"{better.source} comes before {other.source}"
    if format_ < other_format:
        return f"{better.described} holds raw counts more surely"
    return f"{better.described} is newer"


def _passed_over(sets: Iterable[MatrixSet], reason: str) -> Iterator[PassedOver]:
    return (PassedOver(file.entry.shown, reason) for each in sets for file in each.files)


def _by_species(sets: Iterable[MatrixSet]) -> list[list[MatrixSet]]:
    """The sets of each species, the best first: those of one species, of several, and of none that is said."""
    of: dict[frozenset[str], list[MatrixSet]] = defaultdict(list)
    for each in sorted(sets, key=lambda s: (s.version, s.source, s.format), reverse=True):
        of[each.species].append(each)
    names = sorted(of, key=lambda species: (not species, len(species), sorted(species)))
    return [sorted(of[species], key=lambda s: s.rank) for species in names]


def _sifted(files: Iterable[PortalFile]) -> tuple[list[MatrixSet], list[PassedOver]]:
    """Sets that may be read, and files that may not."""
    by_version = sorted(files, key=lambda file: file.entry.version)
    newest = {file.entry.uuid: file.entry.version for file in by_version}
    left = []
    sets: dict[tuple[frozenset[str], str, str], list[PortalFile]] = defaultdict(list)
    for file in by_version:
        format_ = _format(file)
        old = file.entry.version != newest[file.entry.uuid]
        if reason := "a newer version of it is there" if old else _unusable(file, format_):
            left.append(PassedOver(file.entry.shown, reason))
        else:
            species = frozenset(filter(None, map(species_name, file.species)))
            sets[species, file.entry.source or "a source not named", format_].append(file)
    made = [MatrixSet(*key, tuple(sorted(group, key=lambda f: f.entry.uuid))) for key, group in sets.items()]
    incomplete = [each for each in made if not each.complete]
    left += _passed_over(incomplete, "not all of a matrix and its tables of genes and cells are there")
    return [each for each in made if each.complete], left


def _format(file: PortalFile) -> str:
    """The format by the file's name, or as the portal has it."""
    name, told = file.entry.name, (file.entry.format or "").lower()
    extension = keys.matrix_extension(name) or told
    bare = extension in {"mtx", "mtx.gz"} or _TABLE.search(name)
    return BARE if bare else extension


def _unusable(file: PortalFile, format_: str) -> str:
    """Why the file is not read; empty where it may be."""
    name = file.entry.name
    described = [text for text in file.entry.content_description or () if text]
    other = bool(described) and not any("matri" in text.casefold() for text in described)
    no_rna = bool(file.libraries) and not any(library_construction.method(label).rna for label in file.libraries)
    reasons = {
        "it is an intermediate result": file.entry.is_intermediate,
        f"it is described as {_listed(described)}, not as a matrix": other and not _TABLE.search(name),
        f"{_listed(file.libraries)} measures no expression": no_rna,
        f"{format_ or 'a format not said'} is no format of count matrices": not any(format_ in f for f in FORMATS),
        "its name says that it tells something about cells": format_ in _TEXTS and _ABOUT_CELLS.search(name),
        "its name says that its values are no raw counts": _NOT_RAW.search(name) and not _RAW.search(name),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))
