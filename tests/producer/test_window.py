"""A stream through several threads."""

import threading
from collections.abc import Iterator

import pytest

from producer.window import AHEAD, ordered


def test_order_is_kept_though_threads_overtake_each_other() -> None:
    second_done = threading.Event()

    def first_waits(number: int) -> int:
        if number == 0:
            assert second_done.wait(10)
        second_done.set()
        return number

    assert list(ordered(first_waits, range(100), workers=2)) == list(range(100))


def test_no_more_is_taken_in_than_the_window_holds() -> None:
    taken = 0

    def numbers() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    stream = ordered(str, numbers(), workers=3)
    assert next(stream) == "1"
    assert taken == 3 * AHEAD


def test_an_error_is_raised_in_its_turn() -> None:
    stream = ordered(lambda number: 1 // number, [1, 0], workers=2)
    assert next(stream) == 1
    with pytest.raises(ZeroDivisionError):
        next(stream)
