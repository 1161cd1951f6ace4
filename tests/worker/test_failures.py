"""What becomes of a message whose project failed."""

import pytest

from shared.errors import CorruptMatrixError, JobCrashedError, SourceUnavailableError
from worker.failures import Bury, TryAgain, verdict


def test_a_permanent_failure_is_buried_at_the_first_attempt() -> None:
    assert verdict(CorruptMatrixError(), attempt=1, limit=8) == Bury()


@pytest.mark.parametrize("attempt", [3, 4])
def test_a_passing_failure_is_buried_at_the_limit(attempt: int) -> None:
    assert verdict(JobCrashedError(), attempt=attempt, limit=3) == Bury()


def test_pauses_grow_up_to_a_quarter_of_an_hour() -> None:
    pauses = [verdict(SourceUnavailableError(), attempt, limit=100) for attempt in range(1, 11)]
    assert pauses == [TryAgain(seconds) for seconds in (10, 20, 40, 80, 160, 320, 640, 900, 900, 900)]
