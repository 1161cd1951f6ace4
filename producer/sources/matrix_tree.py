"""The files of a project, from the trees in which Azul lists them.

A tree has a level for each of genusSpecies, developmentStage, organ and libraryConstructionApproach, and lists of files
below them; levels may be missing, and one file may stand under many leaves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidatorFunctionWrapHandler, field_validator

from producer.sources.project import PassedOver
from shared.validation import first_problem

SPECIES: Final = "genusSpecies"
LIBRARY: Final = "libraryConstructionApproach"
MAX_DEPTH: Final = 32
"""The portal has four levels."""


class Entry(BaseModel):
    """What Azul says of a file; what else it says is left aside."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_max_length=2_048)

    uuid: Annotated[str, Field(min_length=1, max_length=64)]
    version: Annotated[str, Field(max_length=64)] = ""
    name: str = ""
    format: str | None = None
    size: Annotated[int, Field(ge=0)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{64}$")] | None = None
    content_description: Annotated[tuple[str | None, ...] | None, Field(alias="contentDescription")] = None
    source: Annotated[str | None, Field(alias="fileSource")] = None
    is_intermediate: Annotated[bool | None, Field(alias="isIntermediate")] = None
    url: str | None = None
    azul_url: str | None = None
    azul_mirror_uri: str | None = None

    @field_validator("name", mode="wrap")
    @classmethod
    def _named(cls, value: object, parse: ValidatorFunctionWrapHandler) -> str:
        return str(_or_nothing(value, parse) or "")

    @field_validator(
        *("format", "size", "sha256", "content_description", "source", "is_intermediate"),
        *("url", "azul_url", "azul_mirror_uri"),
        mode="wrap",
    )
    @classmethod
    def _told(cls, value: object, parse: ValidatorFunctionWrapHandler) -> object:
        return _or_nothing(value, parse)

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return self.name or self.uuid


def _or_nothing(value: object, parse: ValidatorFunctionWrapHandler) -> object:
    """What is malformed and not needed is as if it were not said: the file is not lost for it."""
    try:
        return parse(value)
    except ValidationError:
        return None


@dataclass(slots=True)
class PortalFile:
    """A file, and what stands over the leaves that it is listed under."""

    entry: Entry
    species: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Files:
    """Each file once, in the order they are first met, and entries that are none."""

    files: tuple[PortalFile, ...]
    malformed: tuple[PassedOver, ...]


def files_of(*trees: object) -> Files:
    """The files of several trees; ValueError where none of them is one."""
    files: dict[tuple[str, str], PortalFile] = {}
    malformed: dict[str, PassedOver] = {}
    leaves: list[tuple[Mapping[str, str], object]] = []
    for tree in trees:
        try:
            leaves += list(_leaves(tree, {}, 0))  # all of a tree, or nothing
        except ValueError as error:
            malformed[""] = PassedOver("a list of files", f"{error}")
    if malformed and not leaves:
        raise ValueError(malformed[""].reason)
    for strata, leaf in leaves:
        try:
            entry = Entry.model_validate(leaf)
        except ValidationError as error:
            name = _name(leaf)
            malformed[name] = PassedOver(name, f"its entry is malformed ({first_problem(error, 'the entry')})")
            continue
        file = files.setdefault((entry.uuid, entry.version), PortalFile(entry))
        file.species |= {strata[SPECIES]} if SPECIES in strata else set()
        file.libraries |= {strata[LIBRARY]} if LIBRARY in strata else set()
    return Files(tuple(files.values()), tuple(malformed.values()))


def _leaves(tree: object, strata: Mapping[str, str], depth: int) -> Iterator[tuple[Mapping[str, str], object]]:
    """Every file below ``tree`` with the values of the levels above it."""
    if isinstance(tree, list):
        yield from ((strata, leaf) for leaf in tree)
    elif isinstance(tree, dict) and depth < MAX_DEPTH:
        for level, values in tree.items():
            for value, below in values.items() if isinstance(values, dict) else [("", False)]:
                yield from _leaves(below, {**strata, level: value}, depth + 1)
    elif tree is not None:
        raise ValueError("its files are no tree")


def _name(leaf: Any) -> str:
    named = (leaf.get("name") or leaf.get("uuid")) if isinstance(leaf, dict) else None
    return str(named or "a file")[:200]
