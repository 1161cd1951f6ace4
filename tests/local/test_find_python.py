"""The Python that `make install` takes, looked for among fakes."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIND = ROOT / ".ci" / "find-python"
TOO_OLD = "#!/bin/sh\nexit 1\n"
BROKEN_SHIM = "#!/bin/sh\necho 'pyenv: python3.13: command not found' >&2\nexit 127\n"
GOOD = f'#!/bin/sh\nexec {sys.executable} "$@"\n'


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """A PATH of its own, with nothing on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def put(folder: Path, **scripts: str) -> None:
    for name, text in scripts.items():
        path = folder / name.replace("_", ".")
        path.write_text(text)
        path.chmod(0o755)


def find(fakes: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", str(FIND)]
    return subprocess.run(command, env={"PATH": str(fakes), **environ}, capture_output=True, text=True, check=False)


def test_a_failing_shim_and_an_old_python_are_passed_over(fakes: Path) -> None:
    put(fakes, python3_13=BROKEN_SHIM, python3_12=TOO_OLD, python3=GOOD)
    assert find(fakes).stdout.strip() == str(fakes / "python3")


def test_an_interpreter_that_is_really_too_old_is_told_by_running_it(fakes: Path) -> None:
    put(fakes, python3=f'#!/bin/sh\nshift\nexec {sys.executable} -c "import sys; sys.version_info = (3, 11); $1"\n')
    assert find(fakes).returncode == 1


def test_a_python_that_only_pyenv_knows_is_found(fakes: Path, tmp_path: Path) -> None:
    inside = tmp_path / "pyenv" / "versions" / "3.12.7" / "bin"
    inside.mkdir(parents=True)
    put(inside, python=GOOD)
    put(fakes, pyenv=f"#!/bin/sh\necho {tmp_path / 'pyenv'}\n", python3=BROKEN_SHIM)
    assert find(fakes).stdout.strip() == str(inside / "python")


def test_without_any_the_ways_to_get_one_are_said(fakes: Path) -> None:
    put(fakes, python3=TOO_OLD, python=BROKEN_SHIM, cat='#!/bin/sh\nwhile read -r l; do echo "$l"; done\n')
    found = find(fakes)
    assert (found.returncode, found.stdout) == (1, "")
    for way in ("Debian, Ubuntu", "macOS", "pyenv install", "uv python install", "make PYTHON="):
        assert way in found.stderr


def test_the_one_that_is_named_is_taken_before_others(fakes: Path, tmp_path: Path) -> None:
    put(fakes, python3_13=GOOD)
    put(tmp_path, mine=GOOD)
    assert find(fakes, PYTHON=str(tmp_path / "mine")).stdout.strip() == str(tmp_path / "mine")


def test_one_that_is_named_and_will_not_do_is_refused_though_others_would(fakes: Path, tmp_path: Path) -> None:
    put(fakes, python3_13=GOOD)
    put(tmp_path, mine=TOO_OLD)
    found = find(fakes, PYTHON=str(tmp_path / "mine"))
    assert (found.returncode, found.stdout) == (1, "")
    assert f"PYTHON={tmp_path / 'mine'}" in found.stderr
