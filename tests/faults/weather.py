"""Faults by chance, from a seed."""

import random
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Final

from tests.faults.proxy import Reaction, Request
from tests.faults.reactions import cut, cut_midway, error, hang, lose_answer, reset

HANG_SECONDS: Final = 60
"""Longer than any client of ours waits for an answer."""
KINDS: Final[Mapping[str, Reaction]] = {
    "500": error(500, "InternalError"),
    "503": error(503, "SlowDown"),
    "cut": cut,
    "reset": reset,
    "answer lost": lose_answer,
    "answer cut": cut_midway,
    "hang": hang(HANG_SECONDS),
}
RARE: Final[Mapping[str, float]] = {"hang": 0.25}
"""How often a kind comes, beside others at 1: who waits in vain does nothing else meanwhile."""


class Weather:
    """A rule that fails a ``share`` of all requests while it is ``bad``; ``injected`` counts them by kind."""

    def __init__(self, seed: int, share: float = 0.2, kinds: Mapping[str, Reaction] = KINDS) -> None:
        self.bad = True
        self.injected: Counter[str] = Counter()
        self._kinds = kinds
        self._share = share
        self._lot = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._turn = threading.Lock()

    def __call__(self, _request: Request) -> Reaction | None:
        with self._turn:
            if not self.bad or self._lot.random() >= self._share:
                return None
            (kind,) = self._lot.choices(list(self._kinds), [RARE.get(kind, 1) for kind in self._kinds])
            self.injected[kind] += 1
        return self._kinds[kind]
