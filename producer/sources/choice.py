"""Which of a project's files on a portal are read: one set of matrices per species.

The DCP's own before contributors', its second generation before its first; then by how surely they hold raw counts;
then the newest. Everything else is passed over, with the reason.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from producer.sources import file_names
from producer.sources.file_names import Surety
from producer.sources.matrix_tree import PortalFile
from producer.sources.project import PassedOver
from shared import companions, keys, library_construction
from shared.species import species_name

SOURCES: Final = ("DCP/2 Analysis", "DCP/1 Matrix Service")
"""Before all others, which are contributors'."""
_MATRIX_WORDS: Final = ("matri", "count", "expression")
"""What descriptions of matrices have in them."""


@dataclass(frozen=True, slots=True)
class MatrixSet:
    """Files of the same species (as keys write them) and source, that hold raw counts equally surely."""

    species: frozenset[str]
    source: str
    surety: Surety
    files: tuple[PortalFile, ...]

    @property
    def described(self) -> str:
        """In a few words."""
        formats = ", ".join(sorted({_format(file) for file in self.files}))
        return f"{len(self.files):,} {'file' if len(self.files) == 1 else 'files'} of {self.source} ({formats})"

    @property
    def rank(self) -> tuple[int, Surety]:
        """Lower is better; what has the same rank is told apart by its version."""
        return (SOURCES.index(self.source) if self.source in SOURCES else len(SOURCES)), self.surety

    @property
    def version(self) -> str:
        """The newest of them: versions compare as text (Azul's OpenAPI, ``/repository/files``)."""
        return max(file.entry.version for file in self.files)


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
    """The best set of every species; one of several species where it covers one that has none yet.

    A set whose species nobody says is read where there is no other.
    """
    usable, left = _usable(files)
    best: list[MatrixSet] = []
    for each in _ranked(_sets(usable, left)):
        covered = frozenset[str]().union(*(chosen.species for chosen in best))
        if not best or not each.species <= covered:
            best.append(each)
        else:
            better = next((chosen for chosen in best if chosen.species & each.species), best[0])
            left += _passed_over(each.files, _why(better, each))
    return Chosen(tuple(sorted(best, key=lambda chosen: sorted(chosen.species))), tuple(left))


def _why(better: MatrixSet, other: MatrixSet) -> str:
    (source, sure), (other_source, other_sure) = better.rank, other.rank
    if not better.species & other.species:
        return f"its species is not said, and that of {better.described} is"
    if source < other_source:
        return f"{better.source} comes before {other.source}"
    if sure < other_sure:
        return f"{better.described} holds raw counts more surely"
    newer = better.version > other.version
    return f"{better.described} is newer" if newer else f"{better.described} is taken, which is as new"


def _passed_over(files: Iterable[PortalFile], reason: str) -> Iterator[PassedOver]:
    return (PassedOver(file.entry.shown, reason) for file in files)


def _ranked(sets: Iterable[MatrixSet]) -> list[MatrixSet]:
    """The best first, whatever their species; those of no species that is said at the end."""
    newest_first = sorted(sets, key=lambda s: (s.version, s.source, sorted(s.species)), reverse=True)
    return sorted(newest_first, key=lambda s: (not s.species, s.rank, len(s.species)))


def _usable(files: Iterable[PortalFile]) -> tuple[list[PortalFile], list[PassedOver]]:
    """Files that may be read, the newest first, and those that may not."""
    ordered = sorted(sorted(files, key=lambda f: f.entry.uuid), key=lambda f: f.entry.version, reverse=True)
    left: list[PassedOver] = []
    for reasons in (_older, _problems, _same_contents, _unfiltered):
        found = reasons(ordered)
        left += [PassedOver(file.entry.shown, why) for file, why in zip(ordered, found, strict=True) if why]
        ordered = [file for file, why in zip(ordered, found, strict=True) if not why]
    return ordered, left


def _older(files: Sequence[PortalFile]) -> list[str]:
    newest = {file.entry.uuid: file.entry.version for file in reversed(files)}
    return ["a newer version of it is there" if file.entry.version != newest[file.entry.uuid] else "" for file in files]


def _problems(files: Sequence[PortalFile]) -> list[str]:
    return [_problem(file) for file in files]


def _same_contents(files: Sequence[PortalFile]) -> list[str]:
    first: dict[str, PortalFile] = {}
    for file in files:
        first.setdefault((file.entry.sha256 or file.entry.uuid).lower(), file)
    known = [first[(file.entry.sha256 or file.entry.uuid).lower()] for file in files]
    return [
        "" if file is other else f"its content is that of {other.entry.shown}"
        for file, other in zip(files, known, strict=True)
    ]


def _unfiltered(files: Sequence[PortalFile]) -> list[str]:
    names = {file.entry.name for file in files}
    filtered = [file_names.filtered_name(file.entry.name) for file in files]
    return [f"{name} is there, without its empty droplets" if name in names else "" for name in filtered]


def _sets(files: Sequence[PortalFile], left: list[PassedOver]) -> Iterator[MatrixSet]:
    """The files by species, source and surety; what cannot be read or holds the same cells once more goes ``left``."""
    groups: dict[tuple[frozenset[str], str], list[PortalFile]] = defaultdict(list)
    for file in files:
        species = frozenset(filter(None, map(species_name, file.species)))
        groups[species, file.entry.source or "a source not named"].append(file)
    for (species, source), group in groups.items():
        bare, others = _with_tables(group, left)
        by_surety: dict[Surety, list[PortalFile]] = defaultdict(list, {Surety.BARE: bare})
        for file in others:
            sure = file_names.surety(_format(file), file.entry.name)
            if sure is None:
                left += _passed_over([file], "it lists genes or cells of no matrix that is read")
            else:
                by_surety[sure].append(file)
        for sure, alike in by_surety.items():
            kept = alike if sure is Surety.BARE else _once(alike, left)
            if kept:
                yield MatrixSet(species, source, sure, tuple(sorted(kept, key=lambda file: file.entry.uuid)))


def _with_tables(files: Sequence[PortalFile], left: list[PassedOver]) -> tuple[list[PortalFile], list[PortalFile]]:
    """Bare matrices that are complete, with their tables, and files that are neither."""
    bare = [file for file in files if _format(file) in file_names.BARE]
    paths = {PurePosixPath(file.entry.name): file for file in files}
    complete: dict[str, PortalFile] = {}
    for file in bare:
        chosen = companions.choose(PurePosixPath(file.entry.name), paths, alone=len(bare) == 1)
        if chosen.features and chosen.cells:
            complete |= {member.entry.uuid: member for member in (file, *(paths[path] for path in chosen.paths))}
        else:
            left += _passed_over([file], "its tables of genes and cells are not both there")
    others = [file for file in files if file not in bare and file.entry.uuid not in complete]
    tables = [file for file in others if file_names.is_table(file.entry.name, beside=bool(bare))]
    left += _passed_over(tables, "it lists genes or cells of no matrix that is read")
    return list(complete.values()), [file for file in others if file not in tables]


def _once(files: Sequence[PortalFile], left: list[PassedOver]) -> list[PortalFile]:
    """Without those that another, newer file holds in another format."""
    kept: list[PortalFile] = []
    for file in files:
        same = next((other for other in kept if _same_cells(file, other)), None)
        if same is None:
            kept.append(file)
        else:
            left += _passed_over([file], f"{same.entry.shown} holds the same cells in another format")
    return kept


def _same_cells(file: PortalFile, other: PortalFile) -> bool:
    """Whether two files of other formats are called alike; or, of h5ad and loom, are of the same library method."""
    if _format(file) == _format(other):
        return False
    alike = file_names.stem(file.entry.name) == file_names.stem(other.entry.name)
    layered = {_format(file), _format(other)} == {"h5ad", "loom"}
    return alike or (layered and (bool(file.libraries & other.libraries) or not (file.libraries or other.libraries)))


def _format(file: PortalFile) -> str:
    """The format by the file's name, or as the portal has it."""
    return keys.matrix_extension(file.entry.name) or (file.entry.format or "").lower()


def _problem(file: PortalFile) -> str:
    """Why the file is not read; empty where it may be."""
    name, format_ = file.entry.name, _format(file)
    if companions.is_table_name(PurePosixPath(name)):
        return ""  # what it belongs to decides
    described = [text for text in file.entry.content_description or () if text]
    no_rna = bool(file.libraries) and not any(library_construction.method(label).rna for label in file.libraries)
    reasons = {
        "it is an intermediate result": file.entry.is_intermediate,
        f"it is described as {_listed(described)}, not as a matrix": described and not any(map(_is_matrix, described)),
        f"{_listed(file.libraries)} measures no expression": no_rna,
        f"{format_ or 'a format not said'} is no format of count matrices": file_names.surety(format_, name) is None,
    }
    return next((reason for reason, holds in reasons.items() if holds), "") or file_names.problem(name, format_)


def _is_matrix(description: str) -> bool:
    text = description.casefold()
    return "annotation" not in text and any(word in text for word in _MATRIX_WORDS)


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(sorted(set(texts)))
