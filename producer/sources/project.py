"""What every source yields."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from shared.errors import one_line
from shared.messages import LABEL_CHARACTERS, MAX_LABELS, MatrixReference

NAMED: Final = 20
"""Files named in a sentence on those that were passed over for one reason; the run's JSON names all."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that the source lists and that is not read: its name there, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What a source that lists more than it takes has taken, a sentence each, and what it left."""

    taken: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All of it in few words, for a manifest."""
        return (*self.taken, *summaries(self.passed_over))


NO_CHOICE: Final = Choice()
"""Of a source that takes all it lists."""


def summaries(passed_over: Iterable[PassedOver]) -> tuple[str, ...]:
    """A sentence for each reason, with the number of files and the first few names."""
    by_reason: dict[str, list[str]] = {}
    for each in passed_over:
        by_reason.setdefault(each.reason, []).append(each.name)
    return tuple(
        f"Passed over ({reason}): {', '.join(names[:NAMED])}"
        + (f" and {len(names) - NAMED:,} more." if len(names) > NAMED else ".")
        for reason, names in by_reason.items()
    )


def labels(told: Iterable[str]) -> tuple[str, ...]:
    """Library construction labels as a message carries them, however untidy."""
    return tuple(sorted({one_line(label, LABEL_CHARACTERS) for label in told} - {""}))[:MAX_LABELS]


@dataclass(frozen=True, slots=True)
class Project:
    """A project and all its matrices, of every species."""

    project_id: str
    matrices: tuple[MatrixReference, ...]
    choice: Choice = NO_CHOICE


@dataclass(frozen=True, slots=True)
class Unusable:
    """Something the source lists that cannot be summarised: its name there, a reason code, and what is wrong.

    The ``outcome`` is failed where the source itself is to blame.
    """

    name: str
    code: str
    reason: str
    outcome: Literal["unusable", "failed"] = "unusable"
    choice: Choice = NO_CHOICE

    @property
    def project_id(self) -> str:
        """The project that the name claims to belong to."""
        return self.name.partition(".")[0]


Candidate = Project | Unusable
