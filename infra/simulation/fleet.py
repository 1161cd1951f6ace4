"""Queue and workers, event by event."""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from infra.simulation.autoscaler import LATE_SECONDS, PERIOD_SECONDS, Autoscaler
from infra.simulation.policy import Policy
from infra.simulation.prices import HOUR, TaskPrice
from infra.simulation.workload import Seconds

DAY: Final = 24 * HOUR
START_SECONDS: Final = (60.0, 120.0)
"""From being asked for to the first receive; assumed. Others saw Fargate start an image of 413 MB in 53 to 62 s
(elasticscale.com, 2024); from there to the first receive it is some ten seconds (`make test-images`)."""
SPOT_INTERRUPTIONS_PER_HOUR: Final = 0.05
"""Of one task on Spot; assumed, AWS publishes none for Fargate."""
GRACE_SECONDS: Final = 90.0
"""That a worker told to stop works on (infra/worker.tf)."""
IDLE_SECONDS: Final = 900.0
"""From so long after the last message on, what is spent is spent on idleness."""


@dataclass(slots=True)
class Task:
    """A worker: ``job`` is the message in hand, ``until`` when it will be done with."""

    began: float
    spot: bool
    ready: bool = False
    stopping: bool = False
    job: int | None = None
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class Minute:
    """What a graph shows of a minute."""

    at: float
    backlog: int
    tasks: int
    cost: float


@dataclass(slots=True)
class Outcome:
    """What came of a day; times in seconds from the first message, None where it did not happen."""

    projects: int
    first_task: float | None = None
    drained: float | None = None
    asleep: float | None = None
    done: int = 0
    left: int = 0
    most_tasks: int = 0
    interrupted: int = 0
    released: int = 0
    busy_killed: int = 0
    cost: float = 0.0
    idle_cost: float = 0.0
    minutes: list[Minute] = field(default_factory=list)

    @property
    def cost_per_thousand(self) -> float:
        """Dollars for each thousand projects that were done."""
        return 1_000 * self.cost / self.done if self.done else 0.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Projects that come ``at`` seconds from midnight, so many ``per_second``: all at once by hand, or by a run.

    A run says at its end how many it sent. ``quiet``: nobody has used the queue for hours.
    """

    projects: int
    at: float = 0.0
    per_second: float = math.inf
    by_run: bool = False
    quiet: bool = False

    def sent(self, now: float) -> int:
        """Until ``now``."""
        if now < self.at or not self.projects:
            return 0
        return (
            self.projects if math.isinf(self.per_second) else min(self.projects, int((now - self.at) * self.per_second))
        )


class Fleet:
    """Works the messages of a scenario, each for its part of ``durations``.

    Without ``protection`` scale-in stops any worker, as it would if workers did not ask ECS to spare them.
    """

    def __init__(
        self,
        policy: Policy,
        scenario: Scenario,
        durations: Seconds,
        random: np.random.Generator,
        *,
        protection: bool = True,
    ) -> None:
        if policy.worker_slots != 1:
            raise ValueError(f"worker_slots is {policy.worker_slots}: the model knows only workers of one slot")
        self._policy = policy
        self._scenario = scenario
        self._durations = durations.tolist()
        self._random = random
        self._protection = protection
        self._price = TaskPrice.of_worker(policy)
        self._autoscaler = Autoscaler(policy)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._now = 0.0
        self._sent = 0
        self._visible: deque[int] = deque()
        self._in_flight = 0
        self._tasks: dict[int, Task] = {}
        self._stopping = 0
        self._idle: dict[int, None] = {}
        self._spent = 0.0
        self._last_work = -math.inf
        self._reported = False
        self.outcome = Outcome(scenario.projects)

    def run(self, seconds: float = DAY) -> Outcome:
        """Until so long after midnight."""
        self._at(0.0, self._minute)
        while self._events and self._events[0][0] <= seconds:
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        self._now = seconds
        self.outcome.cost, self.outcome.left = self._cost(), self.backlog
        return self.outcome

    @property
    def backlog(self) -> int:
        """Messages visible and in flight."""
        return len(self._visible) + self._in_flight

    def _at(self, when: float, happen: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, happen))

    def _minute(self) -> None:
        """Messages that came within the minute are there at its end; then CloudWatch looks, and ECS acts."""
        self._send(self._scenario.sent(self._now))
        self._adjust(self._autoscaler.minute(self._now, self._seen_backlog(), self._enqueued()))
        self._record()
        self._at(self._now + PERIOD_SECONDS, self._minute)

    def _seen_backlog(self) -> int | None:
        """None while SQS's metrics are late."""
        late = self._scenario.quiet and 0 <= self._now - self._scenario.at < LATE_SECONDS
        return None if late else self.backlog

    def _enqueued(self) -> int:
        """What a run tells, once, when it has sent all."""
        if self._reported or not self._scenario.by_run or self._sent < self._scenario.projects:
            return 0
        self._reported = True
        return self._sent

    def _send(self, sent: int) -> None:
        self._visible.extend(range(self._sent, sent))
        self._sent = sent
        while self._idle and self._visible:
            self._take(next(iter(self._idle)))

    def _adjust(self, desired: int) -> None:
        """Start what is missing, stop what is too much: those not begun, then idle ones; busy ones are spared."""
        surplus = len(self._tasks) - self._stopping - desired
        for _ in range(-surplus):
            self._start()
        if surplus > 0:
            staying = [number for number, task in self._tasks.items() if not task.stopping]
            staying.sort(key=lambda number: (self._tasks[number].job is not None, self._tasks[number].ready))
            for number in staying[:surplus]:
                self._scale_in(number)

    def _scale_in(self, number: int) -> None:
        if self._tasks[number].job is not None:
            if self._protection:
                return
            self.outcome.busy_killed += 1
        self._end(number)

    def _start(self) -> None:
        self._number += 1
        number, spot = self._number, self._next_is_spot()
        self._tasks[number] = Task(self._now, spot)
        self._at(self._now + self._random.uniform(*START_SECONDS), lambda: self._begin(number))
        if spot:
            left = self._random.exponential(HOUR / SPOT_INTERRUPTIONS_PER_HOUR)
            self._at(self._now + left, lambda: self._interrupt(number))

    def _next_is_spot(self) -> bool:
        beyond_base = len(self._tasks) + 1 - self._policy.worker_on_demand_base
        spot = sum(task.spot for task in self._tasks.values())
        return spot < round(beyond_base * self._policy.worker_spot_percent / 100)

    def _begin(self, number: int) -> None:
        if number not in self._tasks:
            return
        self._tasks[number].ready = True
        if self.outcome.first_task is None and self._sent:
            self.outcome.first_task = self._now - self._scenario.at
        self._take(number)

    def _take(self, number: int) -> None:
        """The next message. Where there is none the worker is not protected any more, and goes if it is too much."""
        task = self._tasks[number]
        self._idle.pop(number, None)
        if self._visible:
            job = task.job = self._visible.popleft()
            self._in_flight += 1
            task.until = self._now + self._durations[job]
            self._at(task.until, lambda: self._done(number, job))
        elif len(self._tasks) - self._stopping > self._autoscaler.desired:
            self._end(number)
        else:
            self._idle[number] = None

    def _done(self, number: int, job: int) -> None:
        task = self._tasks.get(number)
        if task is None or task.job != job:  # stopped meanwhile, and the message taken by another
            return
        task.job = None
        self._in_flight -= 1
        self.outcome.done += 1
        if self.outcome.done == self._scenario.projects:
            self.outcome.drained = self._now - self._scenario.at
        if task.stopping:
            self._end(number)
        else:
            self._take(number)

    def _interrupt(self, number: int) -> None:
        """Spot takes the task back: what ends within the grace is finished, the rest visible to others again."""
        task = self._tasks.get(number)
        if task is None:
            return
        self.outcome.interrupted += 1
        task.stopping = True
        self._stopping += 1
        if task.job is None:
            self._end(number)
        elif task.until - self._now > GRACE_SECONDS:
            self.outcome.released += 1
            self._at(self._now + GRACE_SECONDS, lambda: self._end(number))

    def _end(self, number: int) -> None:
        """The task is gone; a message that it had in hand is visible again."""
        task = self._tasks.pop(number)
        self._idle.pop(number, None)
        self._stopping -= task.stopping
        self._spent += self._price.cost(self._now - task.began, spot=task.spot)
        if task.job is not None:
            self._in_flight -= 1
            self._visible.appendleft(task.job)
            if self._idle:
                self._take(next(iter(self._idle)))

    def _cost(self) -> float:
        running = (self._price.cost(self._now - task.began, spot=task.spot) for task in self._tasks.values())
        return self._spent + sum(running)

    def _record(self) -> None:
        cost, outcome = self._cost(), self.outcome
        outcome.most_tasks = max(outcome.most_tasks, len(self._tasks))
        if self.backlog:
            self._last_work = self._now
        elif self._now - self._last_work > IDLE_SECONDS and outcome.minutes:
            outcome.idle_cost += cost - outcome.minutes[-1].cost
        if not self._tasks and outcome.drained is not None and outcome.asleep is None:
            outcome.asleep = self._now - self._scenario.at
        outcome.minutes.append(Minute(self._now, self.backlog, len(self._tasks), cost))
