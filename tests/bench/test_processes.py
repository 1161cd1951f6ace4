"""A process that is measured says why it failed, and does not outlive the measurement."""

from pathlib import Path

import click
import pytest

from tests.bench.processes import all_output, next_line, started


def test_a_process_that_fails_tells_why(tmp_path: Path) -> None:
    arguments = ["render", str(tmp_path / "nowhere.h5ad"), "--out", str(tmp_path)]
    with pytest.raises(click.ClickException, match="matrix_not_found"), started("worker.cli", arguments) as process:
        all_output(process)


def test_a_process_ends_with_what_it_was_started_for() -> None:
    with pytest.raises(ZeroDivisionError), started("http.server", ["0", "--bind", "127.0.0.1"]) as process:
        raise ZeroDivisionError
    assert process.returncode < 0


def test_lines_are_read_as_they_come() -> None:
    with started("json.tool", ["--json-lines", "--compact"]) as process:
        assert process.stdin
        process.stdin.write('{"a": 1}\n{"b": 2}\n')
        process.stdin.close()
        assert next_line(process) == '{"a":1}'
        assert all_output(process) == '{"b":2}\n'
        with pytest.raises(EOFError):
            next_line(process)
