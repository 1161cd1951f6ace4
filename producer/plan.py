"""Which projects to send, and why not the others."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Literal

from producer.listing import Listing
from producer.published import Published
from producer.sources.project import NO_CHOICE, Candidate, Choice, Project, Unusable
from producer.window import ordered
from shared import manifest
from shared.errors import MatrixNotFoundError, SummaryStatsError, UnsupportedFormatError, one_line
from shared.messages import (
    MAX_MATRICES,
    MAX_MESSAGE_BYTES,
    MAX_SENTENCES,
    SCHEMA_VERSION,
    SENTENCE_CHARACTERS,
    ProjectMessage,
    Requester,
    Source,
)

Outcome = Literal["blacklisted", "up_to_date", "not_targeted", "unusable", "due", "enqueued", "failed"]
READERS: Final = 16
"""Projects whose published state is read at once; also the connections of the S3 client's pool."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a project, of a name that is none, or of a target that is not ``listed``.

    ``message`` is what is sent of a project that is due, ``choice`` what its source took and left of it.
    """

    project_id: str
    outcome: Outcome
    code: str = ""
    reason: str = ""
    message: ProjectMessage | None = None
    listed: bool = True
    choice: Choice = NO_CHOICE

    @classmethod
    def failed(cls, project_id: str, error: SummaryStatsError) -> "Decision":
        """A project that could not be decided on or sent."""
        return cls(project_id, "failed", error.reason, error.line)


@dataclass(frozen=True, slots=True)
class Request:
    """What the messages of one run have in common."""

    source: Source
    run_id: str
    requested_by: Requester
    requested_at: datetime
    force: bool = False

    def message(self, project: Project) -> ProjectMessage:
        """The message that asks for a project; of at most MAX_MATRICES matrices."""
        return ProjectMessage(
            schema_version=SCHEMA_VERSION,
            project_id=project.project_id,
            source=self.source,
            matrices=project.matrices,
            run_id=self.run_id,
            requested_by=self.requested_by,
            requested_at=self.requested_at,
            force=self.force,
            choice=tuple(one_line(text, SENTENCE_CHARACTERS) for text in project.choice.sentences[:MAX_SENTENCES]),
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one run; no ``targets`` means all projects."""

    request: Request
    targets: frozenset[str] = field(default_factory=frozenset)
    blacklist: frozenset[str] = field(default_factory=frozenset)

    def screen(self, candidate: Candidate) -> Decision | Project:
        """The decision that needs no look at what is published, or the project that needs one."""
        if self.targets and candidate.project_id not in self.targets:
            return Decision(candidate.project_id, "not_targeted")
        if candidate.project_id in self.blacklist:
            return Decision(candidate.project_id, "blacklisted")
        if isinstance(candidate, Unusable):
            return Decision(candidate.name, candidate.outcome, candidate.code, candidate.reason)
        if len(candidate.matrices) > MAX_MATRICES:
            return _unusable(candidate, f"more than {MAX_MATRICES:,} matrices")
        return candidate

    def decide(self, project: Project, fingerprint: str, published: Published) -> Decision:
        """Whether a project that passed the screen is due."""
        if published.fingerprint == fingerprint:
            return Decision(project.project_id, "up_to_date")
        failure = published.failure
        addresses = tuple(sorted(matrix.uri for matrix in project.matrices))
        if failure and failure.fingerprint == fingerprint and failure.addresses in ((), addresses):
            why = f"failed before: {failure.reason} ({failure.error}); --force sends it again"
            return Decision(project.project_id, "unusable", failure.reason, why)
        return self.send(project)

    def send(self, project: Project) -> Decision:
        """A project that is due, unless no queue takes its message."""
        message = self.request.message(project)
        size = len(message.body().encode())
        if size > MAX_MESSAGE_BYTES:
            return _unusable(project, f"its message would be {size:,} bytes, SQS takes {MAX_MESSAGE_BYTES:,}")
        return Decision(project.project_id, "due", message=message)


def decisions(
    listing: Listing, plan: Plan, read: Callable[[str, str], Published], missing: Outcome
) -> Iterator[Decision]:
    """One decision per candidate, in their order; targets that the listing lacks are ``missing`` at the end.

    ``read`` gives what is published of (project id, fingerprint); several calls run at once, in threads.
    """
    yield from ordered(
        lambda candidate: replace(_decided(candidate, plan, read), choice=candidate.choice), listing, workers=READERS
    )
    for project_id in listing.lacking():
        yield Decision(project_id, missing, MatrixNotFoundError.reason, "no matrix found", listed=False)


def _decided(candidate: Candidate, plan: Plan, read: Callable[[str, str], Published]) -> Decision:
    project = plan.screen(candidate)
    if isinstance(project, Decision):
        return project
    if plan.request.force or not manifest.versions_known(project.matrices):
        return plan.send(project)
    fingerprint = manifest.fingerprint(project.matrices)
    try:
        return plan.decide(project, fingerprint, read(project.project_id, fingerprint))
    except SummaryStatsError as error:
        return Decision.failed(project.project_id, error)


def _unusable(project: Project, reason: str) -> Decision:
    return Decision(project.project_id, "unusable", UnsupportedFormatError.reason, reason)
