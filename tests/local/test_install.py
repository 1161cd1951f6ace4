"""`make install` with an interpreter that notes what it is asked for: when it installs, and when it does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTING = """#!/bin/sh
case "$*" in
    *"-m venv"*) echo "$*" >> {notes}; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-m pip"*) echo "$*" >> {notes}; echo "Collecting something"; [ ! -e {broken} ] ;;
    *) exec {python} "$@" ;;
esac
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make install` needs of a clone, and an interpreter that installs nothing; `broken` makes its pip fail."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    for name in ("pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, folder)
    interpreter = tmp_path / "python"
    interpreter.write_text(NOTING.format(notes=tmp_path / "notes", broken=tmp_path / "broken", python=sys.executable))
    interpreter.chmod(0o755)
    return folder


def install(clone: Path, python: str = "../python") -> tuple[int, str]:
    """Exit code and standard error of a make that knows nothing of one around it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", "-C", str(clone), "install", f"PYTHON={python}"]
    made = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    return made.returncode, made.stderr


def asked(clone: Path) -> list[str]:
    """What the interpreter was asked for since the last look."""
    notes = clone.parent / "notes"
    lines = notes.read_text().splitlines() if notes.exists() else []
    notes.unlink(missing_ok=True)
    return lines


def test_it_installs_what_is_pinned_by_hash_and_then_the_project_alone(clone: Path) -> None:
    assert install(clone)[0] == 0
    made, pinned, project = asked(clone)
    assert made == "-m venv --clear .venv"
    assert "--require-hashes --requirement requirements/dev.txt" in pinned
    assert "--no-deps --no-build-isolation --editable ." in project


def test_nothing_is_installed_twice(clone: Path) -> None:
    install(clone)
    asked(clone)
    assert install(clone)[0] == 0
    assert asked(clone) == []


@pytest.mark.parametrize("changed", ["requirements/dev.txt", "pyproject.toml"])
def test_a_changed_pin_is_installed_into_the_same_environment(clone: Path, changed: str) -> None:
    install(clone)
    asked(clone)
    later = (clone / ".venv/.installed").stat().st_mtime + 10
    os.utime(clone / changed, (later, later))
    assert install(clone)[0] == 0
    assert ["-m pip" in line for line in asked(clone)] == [True, True]


def test_an_install_that_did_not_end_is_made_anew(clone: Path) -> None:
    (clone.parent / "broken").touch()
    assert install(clone)[0] == 2
    (clone.parent / "broken").unlink()
    asked(clone)
    assert install(clone)[0] == 0
    assert asked(clone)[0] == "-m venv --clear .venv"


def test_it_stops_where_there_is_no_python(clone: Path) -> None:
    exit_code, words = install(clone, "/nowhere/python")
    assert exit_code == 2
    assert "PYTHON=/nowhere/python is no Python" in words
    assert not (clone / ".venv").exists()
