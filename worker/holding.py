"""What may still be written: how long the right to it lasts, and what ends work without a failure."""

from collections.abc import Callable

Remaining = Callable[[], float]
"""Seconds that the message, and the claim on its project's keys, are still ours; 0 once they are not."""


class LeaseLostError(Exception):
    """The message, or the claim on its project's keys, may be another's: nothing more may be written."""


class SupersededError(Exception):
    """Another worker published this project, of other inputs, since its manifest was read."""
