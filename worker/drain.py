"""Told to stop: take nothing new, finish what ends within the grace, let go of the rest."""

import asyncio
import signal
from collections.abc import Awaitable

from shared import telemetry

log = telemetry.logger("drain")


class Drain:
    """``stopping`` is set by the first SIGTERM; ``released`` when the grace is over, by a second SIGTERM or Ctrl-C."""

    def __init__(self, grace_seconds: float) -> None:
        self.stopping = asyncio.Event()
        self.released = asyncio.Event()
        self._grace_seconds = grace_seconds

    def listen(self) -> None:
        """Obey the signals from now on; to be called in the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        loop.add_signal_handler(signal.SIGINT, self.release)

    def stop(self) -> None:
        """Stop soon; at once when told twice."""
        if self.stopping.is_set():
            self.release()
            return
        log.info("stopping", grace_seconds=self._grace_seconds)
        self.stopping.set()
        asyncio.get_running_loop().call_later(self._grace_seconds, self.released.set)

    def release(self) -> None:
        """Let go of everything now."""
        log.info("releasing")
        self.stopping.set()
        self.released.set()


async def unless[T](work: Awaitable[T], *stops: asyncio.Event) -> T | None:
    """What ``work`` gives, or None when one of ``stops`` is set before; then ``work`` is cancelled and has ended."""
    working = asyncio.ensure_future(work)
    waiting = [asyncio.ensure_future(stop.wait()) for stop in stops]
    try:
        await asyncio.wait([working, *waiting], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (working, *waiting):
            task.cancel()
        await asyncio.wait([working, *waiting])
    return None if working.cancelled() else working.result()
