"""What cannot be computed, and why: a value that steps hand on, so that the first cause is the one that is told."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """Stands where a result would; ``reason`` is for the reader of a page."""

    reason: str


def after[Input, Output](cause: Input | Missing, step: Callable[[Input], Output | Missing]) -> Output | Missing:
    """``step`` of ``cause``, or what ``cause`` is missing for."""
    return cause if isinstance(cause, Missing) else step(cause)


def present[Result](result: Result | Missing) -> Result | None:
    """The result, None where it is missing."""
    return None if isinstance(result, Missing) else result
