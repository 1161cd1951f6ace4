"""The numbers of the scaling policies, as they stand in the Terraform."""

import math
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, Self

INFRA: Final = Path(__file__).parents[1]
_DEFAULT: Final = re.compile(r'^variable "(\w+)" \{\n(?:(?!\}).*\n)*?  default +=(?: +)([\d.]+)$', re.MULTILINE)
"""A variable block of ``terraform fmt``, and the number that is its default."""
_LOCAL: Final = re.compile(r"^  (\w+) += (\d+)$", re.MULTILINE)
"""A local value that is a number."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Numbers of infra/variables.tf and infra/scaling.tf under their names there, and what the latter makes of them."""

    worker_min_tasks: int
    worker_max_tasks: int
    acceptable_wait_seconds: int
    project_seconds: int
    sleep_after_minutes: int
    scale_out_cooldown_seconds: int
    scale_in_cooldown_seconds: int
    worker_slots: int
    worker_cpu: int
    worker_memory: int
    worker_storage: int
    worker_spot_percent: int
    worker_on_demand_base: int
    wake_periods: int

    @classmethod
    def of_terraform(cls, folder: Path = INFRA) -> Self:
        """As the Terraform in ``folder`` has it; KeyError names a variable without a number."""
        numbers = dict(_DEFAULT.findall((folder / "variables.tf").read_text()))
        numbers |= _LOCAL.findall((folder / "scaling.tf").read_text())
        return cls(**{field.name: int(numbers[field.name]) for field in fields(cls)})

    @property
    def backlog_per_task(self) -> int:
        """The target: messages for each worker, visible and in flight."""
        return max(1, self.acceptable_wait_seconds * self.worker_slots // self.project_seconds)

    @property
    def wake_steps(self) -> list[tuple[int, int]]:
        """(lower bound, workers): from so many messages above the first, so many workers are woken."""
        powers = [2**n for n in range(math.ceil(math.log2(self.worker_max_tasks)))]
        bounds = [0, *(power * self.backlog_per_task for power in powers)]
        return list(zip(bounds, [*powers, self.worker_max_tasks], strict=True))

    def woken(self, backlog: int) -> int:
        """Workers for ``backlog`` messages that nobody attends to, at least one."""
        return max(tasks for bound, tasks in self.wake_steps if bound <= backlog - 1)

    def clamped(self, tasks: int) -> int:
        """Within the limits."""
        return min(max(tasks, self.worker_min_tasks), self.worker_max_tasks)
