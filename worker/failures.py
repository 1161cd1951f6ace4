"""What becomes of a message whose project failed: by the class of the failure and the number of attempts."""

from dataclasses import dataclass
from typing import Final

from shared.errors import SummaryStatsError

FIRST_PAUSE_SECONDS: Final = 10
LONGEST_PAUSE_SECONDS: Final = 900


@dataclass(frozen=True, slots=True)
class Bury:
    """To the dead-letter queue, now."""

    def __str__(self) -> str:
        return "dead letter"


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Visible again after ``pause_seconds``."""

    pause_seconds: int

    def __str__(self) -> str:
        return f"again in {self.pause_seconds} s"


def verdict(error: SummaryStatsError, attempt: int, limit: int) -> Bury | TryAgain:
    """Permanent failures and the last of ``limit`` attempts are buried; others pause twice as long each time."""
    if not error.retried or attempt >= limit:
        return Bury()
    return TryAgain(min(FIRST_PAUSE_SECONDS << min(attempt - 1, 16), LONGEST_PAUSE_SECONDS))
