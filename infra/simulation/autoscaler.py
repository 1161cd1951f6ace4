"""CloudWatch and Application Auto Scaling as they look at a queue once a minute."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from infra.simulation.policy import Policy

PERIOD_SECONDS: Final = 60
"""Of SQS's and Container Insights' metrics."""
DELAY_PERIODS: Final = 1
"""How old a datapoint is before alarms see it."""
QUIET_SECONDS: Final = 6 * 3_600
LATE_SECONDS: Final = 900
"""Of a queue that was quiet for so long SQS's metrics are up to so late (SQS developer guide); here always as late."""
TRACKING_OUT_PERIODS: Final = 3
TRACKING_IN_PERIODS: Final = 15
TRACKING_IN_SHARE: Final = 0.9
"""The alarms that target tracking makes for itself: above the target for 3 minutes, below 90 % of it for 15
(Application Auto Scaling user guide)."""


@dataclass(frozen=True, slots=True)
class Datapoint:
    """A minute as CloudWatch has it: messages (None: SQS is late), what a run says that it sent, workers wanted."""

    backlog: int | None
    enqueued: int
    desired: int

    @property
    def unattended(self) -> int:
        """What the alarm ``wake`` looks at."""
        return 0 if self.desired else (self.backlog or 0) + self.enqueued

    @property
    def per_task(self) -> float:
        """What is tracked: no number without SQS's."""
        return math.nan if self.backlog is None else max(1, self.backlog) / max(1, self.desired)


class Autoscaler:
    """``desired`` workers by the policies of infra/scaling.tf: wake, track, sleep."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._late: deque[Datapoint] = deque()
        periods = max(TRACKING_IN_PERIODS, policy.sleep_after_minutes, policy.wake_periods)
        self._seen: deque[Datapoint] = deque(maxlen=periods)
        self._out_after = self._in_after = -math.inf
        self.desired = policy.worker_min_tasks

    def minute(self, now: float, backlog: int | None, enqueued: int = 0) -> int:
        """Take a minute's datapoint and look at those that have arrived; the workers wanted from now on."""
        self._late.append(Datapoint(backlog, enqueued, self.desired))
        if len(self._late) > DELAY_PERIODS:
            self._seen.append(self._late.popleft())
            wished = self._wished(now)
            if wished > self.desired:
                self._out_after = now + self._policy.scale_out_cooldown_seconds
            elif wished < self.desired:
                self._in_after = now + self._policy.scale_in_cooldown_seconds
            self.desired = wished
        return self.desired

    def _wished(self, now: float) -> int:
        """The largest that a policy asks for; where none asks for anything, as it is."""
        asked = [wish for wish in (self._wake(now), self._track(now), self._sleep()) if wish is not None]
        return self._policy.clamped(max(asked, default=self.desired))

    def _wake(self, now: float) -> int | None:
        """One datapoint of the last few is enough, so that it asks for the same for some minutes more.

        Within the cooldown it takes none back.
        """
        unattended = max(point.unattended for point in list(self._seen)[-self._policy.wake_periods :])
        if not unattended:
            return None
        woken = self._policy.woken(unattended)
        return max(self.desired, woken) if now < self._out_after else woken

    def _track(self, now: float) -> int | None:
        """In proportion, upwards and then, more slowly, downwards; from zero there is no proportion."""
        target, per_task = self._policy.backlog_per_task, self._seen[-1].per_task
        if math.isnan(per_task):
            return None
        wish = math.ceil(self.desired * per_task / target)
        if wish > self.desired and now >= self._out_after and self._all(TRACKING_OUT_PERIODS, _above(target)):
            return wish
        if wish < self.desired and now >= self._in_after and self._all(TRACKING_IN_PERIODS, _below(target)):
            return wish
        return None

    def _sleep(self) -> int | None:
        empty = self._all(self._policy.sleep_after_minutes, lambda point: point.backlog == 0)
        return self._policy.worker_min_tasks if empty else None

    def _all(self, periods: int, breaching: Callable[[Datapoint], bool]) -> bool:
        """Whether each of the last ``periods`` datapoints does."""
        last = list(self._seen)[-periods:]
        return len(last) == periods and all(map(breaching, last))


def _above(target: float) -> Callable[[Datapoint], bool]:
    return lambda point: point.per_task > target


def _below(target: float) -> Callable[[Datapoint], bool]:
    return lambda point: point.per_task < target * TRACKING_IN_SHARE
