"""What goes to stdout."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer import report
from producer.dead_letters import DeadLetter
from producer.plan import Decision


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_reaches_the_terminal_but_as_printable_characters(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    tally = report.Tally()
    tally.add(Decision(text, "unusable", "code", text))
    report.print_run(tally, dry_run=False, as_json=False)
    report.print_letter(DeadLetter("id", "handle", json.dumps({"x": text}), {}, {"y": text}), as_json=False)
    report.print_letter(DeadLetter("id", "handle", text), as_json=False)
    out = capsys.readouterr().out
    assert all(c.isprintable() or c == "\n" for c in out)


@given(st.text())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_lines_keep_the_text_and_are_one_line(capsys: pytest.CaptureFixture[str], text: str) -> None:
    report.print_letter(DeadLetter("id", "handle", text), as_json=True)
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out)["body"] == text
