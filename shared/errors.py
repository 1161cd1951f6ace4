"""What can go wrong, as one tree; every leaf has a reason code that operators filter by.

SummaryStatsError
├── PermanentError              never tried again: to the dead-letter queue at once
│   ├── InvalidMessageError     invalid_message
│   ├── MatrixNotFoundError     matrix_not_found
│   ├── AccessDeniedError       access_denied
│   ├── UnsupportedFormatError  unsupported_format
│   ├── CorruptMatrixError      corrupt_matrix
│   ├── NoRawCountsError        no_raw_counts
│   └── EmptyMatrixError        empty_matrix
└── PassingError                worth another try, after a pause that grows
    ├── JobOutOfMemoryError     out_of_memory
    ├── JobTimeoutError         timeout
    ├── JobCrashedError         crashed
    ├── ScratchFullError        scratch_full
    ├── SourceUnavailableError  source_unavailable
    ├── PublishFailedError      publish_failed
    └── InternalError           internal_error

SettingsError stands apart: a process that cannot be configured has done nothing yet (exit code 2).
"""

from typing import ClassVar

MAX_ERROR_CHARACTERS = 1024
"""Length of the one line that says what went wrong, in logs and on a dead letter (the contract)."""


class SummaryStatsError(Exception):
    """Anything the fleet can explain: ``reason`` is stable, the text names the place and the remedy."""

    reason: ClassVar[str]
    retried: ClassVar[bool]

    @property
    def line(self) -> str:
        """The message on one printable line of bounded length."""
        return one_line(str(self))


class PermanentError(SummaryStatsError):
    """The same input would fail the same way again."""

    retried = False


class InvalidMessageError(PermanentError):
    """The body of a queue message is no message of a known version."""

    reason = "invalid_message"


class MatrixNotFoundError(PermanentError):
    """The matrix, or the place it should be in, is not there."""

    reason = "matrix_not_found"


class AccessDeniedError(PermanentError):
    """The caller is not allowed to read or write there."""

    reason = "access_denied"


class UnsupportedFormatError(PermanentError):
    """The file is whole but of a kind that is not read."""

    reason = "unsupported_format"


class CorruptMatrixError(PermanentError):
    """The file is damaged, or says two things that cannot both be true."""

    reason = "corrupt_matrix"


class NoRawCountsError(PermanentError):
    """The file holds only normalised, logged or scaled values."""

    reason = "no_raw_counts"


class EmptyMatrixError(PermanentError):
    """The matrix has no cells, no genes or no counts."""

    reason = "empty_matrix"


class PassingError(SummaryStatsError):
    """Another try, later or elsewhere, may succeed."""

    retried = True


class JobOutOfMemoryError(PassingError):
    """The project's process was stopped at its memory ceiling."""

    reason = "out_of_memory"


class JobTimeoutError(PassingError):
    """The project's process was stopped at its time limit."""

    reason = "timeout"


class JobCrashedError(PassingError):
    """The project's process died of a signal or without a word."""

    reason = "crashed"


class ScratchFullError(PassingError):
    """The scratch folder has no room left."""

    reason = "scratch_full"


class SourceUnavailableError(PassingError):
    """What is read from (S3, a portal, a queue) kept failing."""

    reason = "source_unavailable"


class PublishFailedError(PassingError):
    """What is written to (S3, a queue) kept failing."""

    reason = "publish_failed"


class InternalError(PassingError):
    """A defect of ours."""

    reason = "internal_error"


class SettingsError(Exception):
    """A setting is missing or malformed; names the variable."""


def one_line(text: str, limit: int = MAX_ERROR_CHARACTERS) -> str:
    """``text`` with white space folded and control characters escaped, at most ``limit`` characters."""
    folded = " ".join(text.split())
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in folded)
    return printable if len(printable) <= limit else printable[: limit - 1] + "…"


def _leaves(root: type[SummaryStatsError]) -> list[type[SummaryStatsError]]:
    below = root.__subclasses__()
    return [leaf for child in below for leaf in _leaves(child)] if below else [root]


BY_REASON: dict[str, type[SummaryStatsError]] = {leaf.reason: leaf for leaf in _leaves(SummaryStatsError)}
"""Reason code → error, for what crosses a process boundary as text."""
