"""What fits into a message beside its body."""

import pytest

from shared.messages import MAX_MESSAGE_BYTES
from worker.queue import fitting

ATTRIBUTES = {"dpss.reason": "invalid_message", "dpss.stage": "message", "dpss.error": "é" * 500, "dpss.log": ""}


def test_a_letter_has_all_that_is_known() -> None:
    assert fitting("body", ATTRIBUTES) == {name: value for name, value in ATTRIBUTES.items() if value}


@pytest.mark.parametrize(
    ("room", "names"),
    [(0, set()), (31, set()), (32, {"dpss.reason"}), (32 + 23 + 1_015, {"dpss.reason", "dpss.stage"})],
)
def test_a_body_near_the_limit_keeps_the_most_important(room: int, names: set[str]) -> None:
    body = "é" * ((MAX_MESSAGE_BYTES - room) // 2) + "x" * (room % 2)
    assert fitting(body, ATTRIBUTES).keys() == names
