"""A promise that is broken is told, and ends a measurement with 1."""

import json

import pytest

from tests.bench.findings import Finding, conclude

KEPT = (Finding("ratio", 6.0, at_least=6.0), Finding("memory", 1_000.0, at_most=1_024.0, note="MiB"))


def test_kept_promises_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    conclude(KEPT, as_json=False)

    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["ratio", "6", ">=", "6", "holds"],
        ["memory", "1,000", "<=", "1,024", "holds", "MiB"],
    ]


@pytest.mark.parametrize("value", [5.9, float("nan")])
def test_a_broken_promise_ends_with_1(value: float, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        conclude([*KEPT, Finding("speed", value, at_least=6.0)], as_json=True)

    assert ended.value.code == 1
    told = capsys.readouterr()
    assert [finding["holds"] for finding in json.loads(told.out)] == [True, True, False]
    assert told.err == "1 of 3 broken: speed\n"


def test_what_was_not_promised_cannot_be_broken() -> None:
    assert Finding("seconds", 1e9).holds
    assert "BROKEN" not in Finding("seconds", 1e9).line
