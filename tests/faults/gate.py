"""Requests that are held until a test lets them go."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.proxy import Exchange, FaultyServer, Match, Request
from tests.faults.rules import when

PATIENCE_SECONDS = 60
"""More than any request of a healthy test takes to come."""


class Gate:
    """Holds requests until it is opened, and lets pass whatever comes later."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._stir = threading.Condition()
        self._held: list[Request] = []

    def held(self, number: int = 1) -> list[Request]:
        """The requests that came to the gate, as soon as there are ``number`` of them."""
        with self._stir:
            came = self._stir.wait_for(lambda: len(self._held) >= number, PATIENCE_SECONDS)
            assert came, f"{len(self._held)} of {number} requests came to the gate within {PATIENCE_SECONDS} s"
            return list(self._held)

    def open(self) -> None:
        """Let them go."""
        self._open.set()

    def hold_request(self, exchange: Exchange) -> None:
        """The embedded server hears of it when the gate opens, even if the client is gone by then."""
        self._hold(exchange.request)
        exchange.send(exchange.pass_on())

    def hold_answer(self, exchange: Exchange) -> None:
        """What was asked for is done, but the client hears of it when the gate opens."""
        answer = exchange.pass_on()
        self._hold(exchange.request)
        exchange.send(answer)

    def _hold(self, request: Request) -> None:
        with self._stir:
            self._held.append(request)
            self._stir.notify_all()
        self._open.wait()


@contextmanager
def holding(server: FaultyServer, match: Match, *, answers: bool = False) -> Iterator[Gate]:
    """A gate for requests that ``match``, or for the ``answers`` to them; open at the latest when the block ends."""
    gate = Gate()
    try:
        with server.imposed(when(match, gate.hold_answer if answers else gate.hold_request)):
            yield gate
    finally:
        gate.open()
