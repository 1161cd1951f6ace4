"""How far a project has come: the stage it is in, and the seconds each took."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Stages:
    """Tells each stage as it begins; ``seconds`` of those that ended, added up where one came again."""

    tell: Callable[[str], None]
    stage: str = "message"
    seconds: dict[str, float] = field(default_factory=dict)
    _since: float = field(default_factory=time.monotonic)

    def enter(self, stage: str) -> None:
        """``stage`` begins, and so the one before it ends."""
        clock = time.monotonic()
        self.seconds[self.stage] = round(self.seconds.get(self.stage, 0.0) + clock - self._since, 3)
        self.stage, self._since = stage, clock
        self.tell(stage)
