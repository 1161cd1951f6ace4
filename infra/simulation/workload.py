"""How large projects are, and how long each takes: measured where there is a measure, assumed where it says so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]

BYTES_PER_SECOND: Final = 100e6
"""From S3 to a Fargate task of 2 vCPU; assumed."""
SETTLE_SECONDS: Final = 1.0
"""Receive, look up, publish, delete."""
SPREAD: Final = 0.25
"""Of durations about their class's (sigma of a log-normal); times on the measuring machine differ by a third."""


@dataclass(frozen=True, slots=True)
class SizeClass:
    """Projects of about so many cells.

    ``seconds`` in a warm worker of ours (README, "Measuring"), ``seconds_2019`` in the 2019 system's process; None
    where that ends out of memory (16 GB).
    """

    cells: int
    share: float
    seconds: float
    seconds_2019: float | None
    file_bytes: float


SIZES: Final = (
    SizeClass(3_000, 0.60, 4.6, 33.0, 20e6),
    SizeClass(30_000, 0.25, 12.0, 193.0, 170e6),
    SizeClass(100_000, 0.12, 32.0, 817.0, 560e6),
    SizeClass(1_300_000, 0.03, 228.0, None, 7.3e9),
)
"""The shares are assumed: most projects small, one in thirty an atlas. 33, 193 and 817 s were measured on the system of
2019."""


def durations(projects: int, random: np.random.Generator, sizes: Sequence[SizeClass] = SIZES) -> Seconds:
    """How long each of ``projects`` takes a worker, from receipt to deletion of its message."""
    typical = np.array([s.seconds + s.file_bytes / BYTES_PER_SECOND + SETTLE_SECONDS for s in sizes])
    chosen = random.choice(len(sizes), size=projects, p=[s.share for s in sizes])
    spread = random.lognormal(-(SPREAD**2) / 2, SPREAD, projects)
    return typical[chosen] * spread


def mean_seconds_2019(sizes: Sequence[SizeClass] = SIZES) -> float:
    """Of a project in the 2019 system; those that end out of memory count as nothing, which flatters it."""
    return sum(s.share * s.seconds_2019 for s in sizes if s.seconds_2019 is not None)
