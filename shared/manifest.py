"""What was published for a project: the manifest is the commit, the failure record says why there is none."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared import library_construction, pipeline
from shared.messages import MatrixReference

SCHEMA_VERSION: Final = 1
REPRODUCIBILITY: Final = (
    "The same input on the same machine, with the versions named here, gives the same bytes of statistics and tables.",
    "On another processor, or with other versions of the libraries, UMAP positions and Leiden clusters can differ.",
    "Rounding differs there, and these methods amplify it.",
    "Compare groups of cells and their markers, not cluster numbers or coordinates.",
)
"""What can differ elsewhere."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Input(_Record):
    """A matrix as it was read; ``reading`` says what was decided about it and why."""

    uri: str
    version: str | None
    size_bytes: int
    sha256: str
    species: str | None = None
    library_construction: tuple[str, ...] = ()
    format: str = ""
    reading: tuple[str, ...] = ()


class Alert(_Record):
    """Something a reader of the figures should know: value, usual range and likely cause in ``message``."""

    level: Literal["info", "warning", "error"]
    title: str
    value: str
    message: str


class Figure(_Record):
    """A published picture; sizes in pixels."""

    name: str
    key: str
    sha256: str
    bytes: int
    width: int
    height: int
    alt: str


class Table(_Record):
    """A published table."""

    name: str
    key: str
    sha256: str
    bytes: int
    rows: int


class Skipped(_Record):
    """A figure or table that cannot be made of this matrix."""

    name: str
    reason: str


class Library(_Record):
    """The cells of one library construction group."""

    library: str
    statistics: dict[str, int | float | None]
    alerts: tuple[Alert, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    skipped: tuple[Skipped, ...] = ()


class Entity(_Record):
    """A project, or one species of it."""

    entity: str
    species: str | None
    libraries: tuple[Library, ...]


class Pipeline(_Record):
    """How the figures were made."""

    name: str = pipeline.NAME
    version: str = pipeline.VERSION
    parameters: dict[str, str | int | float] = Field(default_factory=lambda: dict(pipeline.PARAMETERS))
    seed: int = pipeline.SEED
    reproducibility: tuple[str, ...] = REPRODUCIBILITY


class Manifest(_Record):
    """Everything published for a project. Keys are below the figure bucket's root; timing in seconds.

    ``choice`` says what the source was asked for, of all that it lists of the project.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    project_id: str
    generated_at: datetime
    requested_at: datetime | None = None
    run_id: str = ""
    source: str = ""
    choice: tuple[str, ...] = ()
    pipeline: Pipeline = Field(default_factory=Pipeline)
    environment: dict[str, str | int] = Field(default_factory=dict)
    inputs: tuple[Input, ...]
    fingerprint: str
    entities: tuple[Entity, ...]
    timing: dict[str, float] = Field(default_factory=dict)
    peak_rss_mib: float | None = None

    def body(self) -> bytes:
        """The manifest as it is published."""
        return self.model_dump_json(indent=1).encode()


class FailureRecord(_Record):
    """A permanent failure: not tried again until the fingerprint changes.

    ``addresses`` are told where these may be what is wrong, and one that changes makes the project due again.
    """

    fingerprint: str
    reason: str
    error: str
    stage: str
    failed_at: datetime
    addresses: tuple[str, ...] = ()

    def body(self) -> bytes:
        """The record as it is published."""
        return self.model_dump_json(indent=1, exclude=None if self.addresses else {"addresses"}).encode()


class Versioned(Protocol):
    """What a fingerprint is taken of: a message's matrix reference or a manifest's input."""

    @property
    def version(self) -> str | None:
        """What changes when the matrix does."""

    @property
    def species(self) -> str | None:
        """The species the matrix is filed under."""

    @property
    def library_construction(self) -> tuple[str, ...]:
        """The labels the source gives it."""


def fingerprint(inputs: Iterable[Versioned]) -> str:
    """Hash over what the figures depend on: versions and labels of the inputs, pipeline version and parameters.

    Addresses are left out: a portal's release renames them without touching the matrix. Labels count by their group.
    """
    matrices = sorted([i.version or "", i.species or "", *_groups(i.library_construction)] for i in inputs)
    made_by = [pipeline.NAME, pipeline.VERSION, pipeline.PARAMETERS, pipeline.SEED]
    canonical = json.dumps([matrices, made_by], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _groups(labels: Iterable[str]) -> list[str]:
    return sorted({library_construction.method(label).group for label in labels})


def versions_known(matrices: Iterable[MatrixReference]) -> bool:
    """Whether every matrix says its version, so that a fingerprint can be taken without asking S3."""
    return all(matrix.version for matrix in matrices)


def published_fingerprint(body: bytes) -> str | None:
    """The fingerprint in a published manifest or failure record; None for what is neither (then it is made anew)."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    value = document.get("fingerprint") if isinstance(document, dict) else None
    return value if isinstance(value, str) else None


def parse_failure(body: bytes) -> FailureRecord | None:
    """The failure record in ``body``; None where it is unreadable (then the project is due again)."""
    try:
        return FailureRecord.model_validate_json(body)
    except ValidationError:
        return None
