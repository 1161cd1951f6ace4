"""Who does harm to workers."""

import random
import time
from collections import Counter
from typing import TYPE_CHECKING

from tests.chaos.seat import Seat

if TYPE_CHECKING:
    from collections.abc import Callable


class Tormentor:
    """Does harm to seats, by lot: about every ``every`` seconds, and freezes for longer than ``lease`` seconds."""

    def __init__(self, lot: random.Random, every: float, lease: float) -> None:
        self.done: Counter[str] = Counter()
        self._lot = lot
        self._every = every
        self._lease = lease
        self._next = time.monotonic() + every

    def torment(self, seats: list[Seat]) -> None:
        """Do something, if it is time to and somebody there to do it to."""
        able = [seat for seat in seats if seat.can_be_tormented]
        if not able or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._lot.uniform(0.2, 1.8) * self._every
        seat, seconds = self._lot.choice(able), self._lot.uniform(1.2, 1.8) * self._lease
        harms: dict[str, Callable[[], None]] = {
            "killed": seat.kill,
            "frozen": lambda: seat.freeze(seconds, children=False),
            "frozen with its children": lambda: seat.freeze(seconds, children=True),
        }
        if seat.is_up:  # before that it does not listen
            harms["terminated"] = seat.terminate
        if seat.is_warm:  # before that it has no child that it could do without
            harms["child killed"] = lambda: seat.kill_child(self._lot)
        harm = self._lot.choice(list(harms))
        harms[harm]()
        self.done[harm] += 1
