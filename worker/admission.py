"""How many more projects may be taken in hand: by free slots, and by the memory that is left."""

from collections.abc import Callable
from dataclasses import dataclass

from worker import limits


@dataclass(frozen=True, slots=True)
class Admission:
    """``slots`` projects at once, each of which may grow to ``ceiling`` MiB.

    ``budget`` is what the projects of this worker may have together; ``used`` says what they have now, in MiB. Without
    ceiling or budget (no /proc) memory is not looked at.
    """

    slots: int
    ceiling: int | None
    budget: int | None
    used: Callable[[], float]

    def room(self, in_hand: int) -> int:
        """Projects that may still be taken; one always, when there is none, for a project too large fails by itself."""
        free = self.slots - in_hand
        if free <= 0 or self.ceiling is None or self.budget is None:
            return free
        unpromised = self._obtainable(self.budget) - in_hand * self.ceiling
        return max(0 if in_hand else 1, min(free, int(unpromised // self.ceiling)))

    def _obtainable(self, budget: int) -> float:
        """MiB that this worker's projects have or could have at this moment, for others use the machine too."""
        available = limits.available_memory_mib()
        return budget if available is None else min(budget, available + self.used())
