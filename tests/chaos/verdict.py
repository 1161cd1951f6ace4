"""Whether the worker's promise was kept: by what is in S3, SQS, scratch folder and process table afterwards."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from shared.errors import BY_REASON, InternalError, InvalidMessageError
from shared.manifest import Manifest
from tests.chaos.campaign import Sent
from tests.chaos.seat import Ended

CRASHED: Final = "crashed, moved by SQS"
"""The reason of a letter that no worker wrote."""
PARENT_MIB: Final = 200
"""A worker's parent holds messages, not projects."""
STOP_SECONDS: Final = 5
"""From the end of the grace to the end of a worker that was told to stop."""
SLACK_SECONDS: Final = 10
"""Of a machine that has other things to do."""


@dataclass(frozen=True)
class Letter:
    """A dead letter; ``project_id`` is empty where the body names none."""

    project_id: str
    reason: str
    error: str
    body: str


@dataclass(frozen=True)
class Facts:
    """All that a verdict is made of. ``digests``: sha256 of what is under each key that a manifest names."""

    projects: Mapping[str, Sent]
    sent: Counter[str]
    rubbish: list[str]
    letters: list[Letter]
    manifests: Mapping[str, Manifest]
    digests: Mapping[str, str]
    keys: set[str]
    messages_left: int
    scratch_left: list[str]
    processes_left: list[int]
    ended: list[Ended]
    grace_seconds: float
    torments: Counter[str]
    faults: Counter[str]
    peak_mib: float
    looks: int
    seen: list[str] = field(default_factory=list)
    outlived: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)


def named(manifest: Manifest) -> dict[str, str]:
    """Key and sha256 of all that a manifest names."""
    libraries = [library for entity in manifest.entities for library in entity.libraries]
    figures = {figure.key: figure.sha256 for library in libraries for figure in library.figures}
    return figures | {table.key: table.sha256 for library in libraries for table in library.tables}


def contradictions(manifest: Manifest, digests: Mapping[str, str]) -> list[str]:
    """What is not as the manifest says."""
    return [
        f"{manifest.project_id}: {key} is {'other than the manifest says' if key in digests else 'missing'}"
        for key, digest in named(manifest).items()
        if digests.get(key) != digest
    ]


def fates(facts: Facts) -> dict[str, str]:
    """How each project ended: ``published``, the reason of its dead letter, or ``lost``."""
    reasons = {letter.project_id: letter.reason for letter in facts.letters}
    return {
        project_id: "published" if _is_published(facts, sent) else reasons.get(project_id, "lost")
        for project_id, sent in facts.projects.items()
    }


def broken_promises(facts: Facts) -> list[str]:
    """Every promise that was not kept; none is well."""
    return [
        *_projects(facts),
        *_rubbish(facts),
        *_remains(facts),
        *_workers(facts),
        *(f"while it was published, {seen}" for seen in facts.seen),
        *(f"a defect was logged: {line}" for line in facts.defects),
        *_trial(facts),
    ]


def _is_published(facts: Facts, sent: Sent) -> bool:
    manifest = facts.manifests.get(sent.project_id)
    return manifest is not None and [matrix.sha256 for matrix in manifest.inputs] == [sent.sha256]


def _projects(facts: Facts) -> Iterator[str]:
    for manifest in facts.manifests.values():
        yield from contradictions(manifest, facts.digests)
    for project_id, fate in fates(facts).items():
        failure = facts.projects[project_id].failure
        if fate == "lost":
            old = " of its newest matrix" if project_id in facts.manifests else ""
            yield f"{project_id}: neither published{old} nor a dead letter"
        if failure and fate == "published":
            yield f"{project_id}: published, but has to fail with {failure}"
    for letter in facts.letters:
        sent = facts.projects.get(letter.project_id)
        if sent and not _is_fair(letter.reason, sent.failure):
            yield f"{letter.project_id}: a dead letter with the reason {letter.reason}: {letter.error}"


def _is_fair(reason: str, failure: str | None) -> bool:
    """Whether a letter may say so: what is expected, or what being killed and cut off explains."""
    return reason in {failure, CRASHED} or (BY_REASON[reason].retried and reason != InternalError.reason)


def _rubbish(facts: Facts) -> Iterator[str]:
    told = Counter(letter.body for letter in facts.letters if letter.reason in {InvalidMessageError.reason, CRASHED})
    for body, number in Counter(facts.rubbish).items():
        if told[body] < number:
            yield f"rubbish was sent {number} times and buried {told[body]} times: {body!r}"


def _remains(facts: Facts) -> Iterator[str]:
    if facts.messages_left:
        yield f"{facts.messages_left} messages are left in the queue"
    if facts.scratch_left:
        yield f"left in the scratch folder: {', '.join(facts.scratch_left[:10])}"
    if facts.processes_left:
        yield f"{len(facts.processes_left)} processes are left"
    yield from (f"children outlived their worker: {which}" for which in facts.outlived)


def _workers(facts: Facts) -> Iterator[str]:
    longest = facts.grace_seconds + STOP_SECONDS + SLACK_SECONDS
    for ended in facts.ended:
        if ended.cause == "itself":
            yield f"{ended.worker} ended by itself with exit code {ended.code}: {ended.last_words}"
        if ended.cause == "terminated" and ended.code != 0:
            yield f"{ended.worker} was told to stop and ended with exit code {ended.code}: {ended.last_words}"
        if ended.cause == "terminated" and ended.seconds > longest:
            yield f"{ended.worker} was told to stop and took {ended.seconds:.0f} s"
    if facts.peak_mib > PARENT_MIB:
        yield f"a worker's parent grew to {facts.peak_mib:.0f} MiB, above {PARENT_MIB}"


def _trial(facts: Facts) -> Iterator[str]:
    """A promise that was never put to the test was not kept either."""
    if not facts.faults.total():
        yield "the network did not fail once"
    if not facts.torments.total():
        yield "nothing was done to any worker"
    if not facts.looks:
        yield "no manifest was looked at while others were published"
