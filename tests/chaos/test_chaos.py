"""The shorter form of ``python -m tests.chaos``."""

from pathlib import Path

import pytest

from tests.chaos.run import LOGS, Plan, run
from tests.chaos.tally import lines, tally

PLAN = Plan(seed=7, messages=10, workers=2, seconds=14, lease=4, torment_every=4, calm_seconds=180)


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("aws")
def test_whatever_is_done_to_workers_every_project_is_published_or_buried_with_a_reason(tmp_path: Path) -> None:
    said: list[str] = []
    counted = tally(run(PLAN, tmp_path, said.append))
    report = "\n".join([*said, *lines(counted), f"logs are in {tmp_path / LOGS}"])
    assert not counted["broken_promises"], report
    assert "published" in counted["projects"], report
