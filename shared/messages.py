"""The queue message: one per project, JSON, version 1."""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from shared.errors import InvalidMessageError
from shared.validation import first_problem

SCHEMA_VERSION: Final = 1
PROJECT_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"
SPECIES_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_-]{0,63}$"
MAX_MESSAGE_BYTES: Final = 1_048_576
"""SQS takes 1 MiB a message and a batch, attributes included (SQS developer guide, "Message quotas")."""
MAX_MATRICES: Final = 1_000
MAX_LABELS: Final = 100
"""Library construction labels of one matrix."""
LABEL_CHARACTERS: Final = 200
MAX_SENTENCES: Final = 100
SENTENCE_CHARACTERS: Final = 1_000

Source = Literal["canned", "fresh", "cellxgene"]
Requester = Literal["schedule", "manual", "replay"]


def _plain(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


Label = Annotated[str, StringConstraints(max_length=LABEL_CHARACTERS), AfterValidator(_plain)]
Sentence = Annotated[str, StringConstraints(max_length=SENTENCE_CHARACTERS), AfterValidator(_plain)]
ProjectId = Annotated[str, StringConstraints(pattern=PROJECT_ID_PATTERN)]


def _whole(version: object) -> object:
    """JSON's true and 1.0 are equal to 1, and no version."""
    if type(version) is not int:
        raise ValueError("a version is a whole number")
    return version


def _reachable_uri(uri: str) -> str:
    if not uri.startswith(("s3://", "https://", "http://")):  # http:// is refused later, but for the portal's own host
        raise ValueError("a matrix is at s3:// or https://")
    urlsplit(_plain(uri)).port  # noqa: B018 - ValueError where host or port cannot be
    return uri


class MatrixReference(BaseModel):
    """Where a matrix lies, and what is known of it before it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: Annotated[str, StringConstraints(max_length=2_048), AfterValidator(_reachable_uri)]
    version: Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_plain)] | None = None
    size_bytes: Annotated[int, Field(ge=0)] | None = None
    species: Annotated[str, StringConstraints(pattern=SPECIES_PATTERN)] | None = None
    library_construction: Annotated[tuple[Label, ...], Field(max_length=MAX_LABELS)] = ()


class ProjectMessage(BaseModel):
    """One project to summarise; ``choice`` says, for its manifest, why these matrices and which others there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Annotated[Literal[1], BeforeValidator(_whole)]
    project_id: ProjectId
    source: Source = "canned"
    matrices: Annotated[tuple[MatrixReference, ...], Field(min_length=1, max_length=MAX_MATRICES)]
    run_id: Label = ""
    requested_by: Requester = "manual"
    requested_at: AwareDatetime | None = None
    force: bool = False
    choice: Annotated[tuple[Sentence, ...], Field(max_length=MAX_SENTENCES)] = ()

    def body(self) -> str:
        """The message as it goes on the queue."""
        return self.model_dump_json(exclude_none=True, exclude=None if self.choice else {"choice"})


def parse(body: str) -> ProjectMessage:
    """The message in ``body``, or InvalidMessageError that names the first field that is wrong and why."""
    if len(body.encode()) > MAX_MESSAGE_BYTES:
        raise InvalidMessageError(f"a message is at most {MAX_MESSAGE_BYTES:,} bytes")
    try:
        return ProjectMessage.model_validate_json(body, strict=True)
    except ValidationError as error:
        raise InvalidMessageError(first_problem(error, "the body")) from None


def now() -> datetime:
    """The time as the contract writes it: UTC, whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
