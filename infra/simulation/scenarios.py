"""The days that are shown, and what the 2019 design makes of them."""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from infra.simulation.fleet import Fleet, Outcome, Scenario
from infra.simulation.policy import Policy
from infra.simulation.prices import HOUR, TASK_2019
from infra.simulation.workload import drawn, durations, mean_seconds_2019, seconds_2019

SEED: Final = 2026
RUN_AT: Final = 3.0 * HOUR + 1.0
"""infra/variables.tf: the schedule; and a second after CloudWatch has looked, as late as can be for its next look."""
SENT_PER_SECOND: Final = 100.0
"""By a run, from its first page to its last message; assumed."""
NEVER: Final = "\N{EN DASH}"
MORE_TASKS: Final = 400
"""A limit for those who want a million projects within a day."""


def run_of(projects: int) -> Scenario:
    """A daily run that finds so many projects due; nobody has used the queue since the last."""
    return Scenario(projects, at=RUN_AT, per_second=SENT_PER_SECOND, by_run=True, quiet=True)


@dataclass(frozen=True, slots=True)
class Day:
    """A scenario, under its name; ``max_tasks`` where it is not the Terraform's default."""

    name: str
    scenario: Scenario
    max_tasks: int | None = None


DAYS: Final = (
    Day("nothing is due", run_of(0)),
    Day("100 are due", run_of(100)),
    Day("10,000 are due", run_of(10_000)),
    Day("1,000,000 are due", run_of(1_000_000)),
    Day(f"1,000,000, limit {MORE_TASKS}", run_of(1_000_000), MORE_TASKS),
    Day("10,000 at once by hand", Scenario(10_000, at=RUN_AT)),
    Day("1 by hand", Scenario(1, at=RUN_AT)),
    Day("1 by hand, queue quiet for 6 h", Scenario(1, at=RUN_AT, quiet=True)),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A day, what came of it, and how long the same projects take the 2019 design, which does them in turn."""

    day: Day
    outcome: Outcome
    seconds_2019: float


def shown(day: Day, policy: Policy) -> Shown:
    """From midnight to midnight."""
    limited = replace(policy, worker_max_tasks=day.max_tasks or policy.worker_max_tasks)
    random = np.random.default_rng(SEED)
    classes = drawn(day.scenario.projects, random)
    fleet = Fleet(limited, day.scenario, durations(classes, random), random)
    return Shown(day, fleet.run(), seconds_2019(classes))


def cost_2019_per_thousand() -> float:
    """Dollars, of projects as they are on average."""
    return TASK_2019.on_demand * 1_000 * mean_seconds_2019()


def span(seconds: float | None) -> str:
    """For people: two digits that matter."""
    if seconds is None or math.isinf(seconds):
        return NEVER
    for unit, size in (("years", 365.25 * 24 * HOUR), ("days", 24 * HOUR), ("h", HOUR), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
