"""What fuzzing found once, and where it starts, read by the parsers as they are compiled."""

from pathlib import Path

import pytest

from tests.fuzz.seeds import CORPUS, write_seeds
from tests.fuzz.targets import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_found_once_and_the_seeds_keep_the_promises(target: str, tmp_path: Path) -> None:
    write_seeds(target, tmp_path / "seeds")
    inputs = sorted([*(tmp_path / "seeds").iterdir(), *(CORPUS / target).glob("*")])
    assert inputs

    for number, path in enumerate(inputs):
        room = tmp_path / f"room-{number}"
        room.mkdir()
        TARGETS[target](path.read_bytes(), room)
