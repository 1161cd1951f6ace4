"""How large projects are, and how long each takes: measured where there is a measure, assumed where it says so."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Classes = npt.NDArray[np.int64]
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


def drawn(projects: int, random: np.random.Generator) -> Classes:
    """The size class of each of ``projects``, as indices of SIZES."""
    return random.choice(len(SIZES), size=projects, p=[size.share for size in SIZES])


def durations(classes: Classes, random: np.random.Generator) -> Seconds:
    """How long each project takes a worker, from receipt to deletion of its message."""
    typical = np.array([s.seconds + s.file_bytes / BYTES_PER_SECOND + SETTLE_SECONDS for s in SIZES])
    return typical[classes] * random.lognormal(-(SPREAD**2) / 2, SPREAD, len(classes))


def seconds_2019(classes: Classes) -> float:
    """Of all of them in turn in the 2019 system; those that end out of memory count as nothing, which flatters it."""
    return float(np.array([size.seconds_2019 or 0.0 for size in SIZES])[classes].sum())


def mean_seconds_2019() -> float:
    """Of a project in the 2019 system."""
    return sum(size.share * (size.seconds_2019 or 0.0) for size in SIZES)
