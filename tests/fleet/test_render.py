"""``dpss-worker render``: one file, a folder, a person."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from infra.local import stack as stacks

SAMPLES = Path(stacks.__file__).parent / "samples"


def render(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "worker.cli", "render", *arguments]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DPSS_"))}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


def test_a_file_becomes_a_folder_of_figures_tables_a_page_and_a_manifest(tmp_path: Path) -> None:
    ended = render(str(SAMPLES / "mouse_pancreas.mus_musculus.h5ad"), "--out", str(tmp_path / "out"), "--svg")
    assert ended.returncode == 0, ended.stderr
    manifest = json.loads((tmp_path / "out/mouse_pancreas/manifest.json").read_text())
    (library,) = manifest["entities"][0]["libraries"]
    named = {item["key"] for item in (*library["figures"], *library["tables"])}
    found = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert found == named | {"mouse_pancreas/manifest.json", "mouse_pancreas/index.html"}
    page = (tmp_path / "out/mouse_pancreas/index.html").read_text()
    assert all(f'href="{key.removeprefix("mouse_pancreas/")}"' in page for key in named)
    assert "../index.html" not in page
    assert {"mouse_pancreas/unspecified/umap.png", "mouse_pancreas/unspecified/umap.svg"} <= found
    assert "100 cells" in ended.stdout


SMALL = (str(SAMPLES / "chr21.homo_sapiens.h5"), "--project", "my-project", "--out")


@pytest.fixture(scope="module")
def for_programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a small file's figures, and what was printed."""
    folder = tmp_path_factory.mktemp("for-programs")
    ended = render(*SMALL, str(folder), "--json")
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stdout


@pytest.fixture(scope="module")
def at_a_terminal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of the same file's figures, and what a person saw meanwhile."""
    folder = tmp_path_factory.mktemp("at-a-terminal")
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "worker.cli", "render", *SMALL, str(folder)]
    with subprocess.Popen(command, stderr=child, stdout=subprocess.DEVNULL) as process:
        os.close(child)
        seen = b""
        while chunk := read_terminal(parent):
            seen += chunk
        assert process.wait() == 0
    os.close(parent)
    return folder, seen


def read_terminal(descriptor: int) -> bytes:
    """What the other side wrote; nothing once it is gone, which Linux reports as an error."""
    try:
        return os.read(descriptor, 65_536)
    except OSError:
        return b""


def manifest_in(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / "my-project/manifest.json").read_text())
    return manifest


def test_the_manifest_is_printed_for_programs(for_programs: tuple[Path, str]) -> None:
    folder, printed = for_programs
    assert json.loads(printed) == manifest_in(folder)


def test_a_person_at_a_terminal_sees_a_bar(at_a_terminal: tuple[Path, bytes]) -> None:
    _, seen = at_a_terminal
    assert b"figures" in seen  # the longest stage; others may pass between two refreshes
    assert "━".encode() in seen


def test_the_same_file_gives_the_same_bytes_of_statistics_tables_and_figures(
    for_programs: tuple[Path, str], at_a_terminal: tuple[Path, bytes]
) -> None:
    one, other = (manifest_in(folder)["entities"] for folder, _ in (for_programs, at_a_terminal))
    assert one[0]["libraries"][0]["tables"]
    assert one == other  # each with its sha256


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"%PDF-1.7 not a matrix", "unsupported_format"),
        (b"", "empty_matrix"),
        ((SAMPLES / "pbmc3k.homo_sapiens.mtx.zip").read_bytes()[:100_000], "corrupt_matrix"),
        ((SAMPLES / "no_raw_counts.h5ad").read_bytes(), "no_raw_counts"),
    ],
    ids=["a PDF", "nothing", "half an archive", "scaled values"],
)
def test_rubbish_is_explained_on_the_last_line_and_leaves_nothing(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "matrix").write_bytes(content)
    ended = render(str(tmp_path / "matrix"), "--out", str(tmp_path / "out"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith(f"{reason}: ")
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    ended = render(str(tmp_path / "nothing.h5ad"), "--out", str(tmp_path / "out"))
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == f"matrix_not_found: {tmp_path / 'nothing.h5ad'}: no such file"


@pytest.mark.parametrize("arguments", [["--out", "x"], ["f.h5ad"], ["f.h5ad", "--out", "x", "--project", "../x"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert render(*arguments).returncode == 2
