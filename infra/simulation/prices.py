"""What AWS charges, in US dollars: us-east-1, Linux on x86-64, aws.amazon.com/fargate/pricing as of March 2026."""

from dataclasses import dataclass
from typing import Final, Self

from infra.simulation.policy import Policy

HOUR: Final = 3_600
VCPU_HOUR: Final = 0.04048
GB_HOUR: Final = 0.004445
STORAGE_GB_HOUR: Final = 0.000111
FREE_STORAGE_GB: Final = 20
"""Ephemeral storage that comes with every task."""
PUBLIC_IPV4_HOUR: Final = 0.005
"""aws.amazon.com/vpc/pricing: tasks in the VPC of their own have one each."""
SPOT_SHARE: Final = 0.30
"""Of the price on demand for CPU and memory: AWS says "up to 70 % off", and it moves."""
LEAST_SECONDS: Final = 60
"""Charged for a task however short."""


@dataclass(frozen=True, slots=True)
class TaskPrice:
    """Of one task, in dollars a second."""

    on_demand: float
    spot: float

    @classmethod
    def of(cls, vcpu: float, memory_gb: float, storage_gb: float = FREE_STORAGE_GB) -> Self:
        """For what it has."""
        compute = vcpu * VCPU_HOUR + memory_gb * GB_HOUR
        beside = max(0.0, storage_gb - FREE_STORAGE_GB) * STORAGE_GB_HOUR + PUBLIC_IPV4_HOUR
        return cls((compute + beside) / HOUR, (compute * SPOT_SHARE + beside) / HOUR)

    @classmethod
    def of_worker(cls, policy: Policy) -> Self:
        """For a worker of ours."""
        return cls.of(policy.worker_cpu / 1_024, policy.worker_memory / 1_024, policy.worker_storage)

    def cost(self, seconds: float, *, spot: bool) -> float:
        """Of a task that ran so long."""
        return max(seconds, LEAST_SECONDS) * (self.spot if spot else self.on_demand)


TASK_2019: Final = TaskPrice.of(vcpu=2, memory_gb=16)
"""The one task of the 2019 design."""
