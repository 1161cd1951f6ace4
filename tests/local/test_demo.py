"""``dpss-local`` as a newcomer runs it: real processes, from an empty folder."""

import json
import os
import re
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urljoin

import boto3
import pytest
import urllib3

from infra.local.samples import PROJECTS
from tests.local.process_tree import alive, descendants, eventually

ROOT = Path(__file__).parents[2]
SCRIPTS = sysconfig.get_path("scripts")
DPSS_LOCAL = f"{SCRIPTS}/dpss-local"
FAILING = {project.id: project.failure for project in PROJECTS if project.failure}


def demo(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [DPSS_LOCAL, "demo", "--json", "--state", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environ})


@contextmanager
def background(*command: str) -> Iterator[subprocess.Popen[str]]:
    """``command`` with pipes; killed at the end, should a test fail before it has ended."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_every_sample_ends_as_expected_and_a_second_run_finds_nothing_to_do_and_serves_the_pages(
    tmp_path: Path,
) -> None:
    first = demo(tmp_path / "state", AWS_PROFILE="not-there", DPSS_QUEUE_URL="http://elsewhere", AWS_CA_BUNDLE="")
    assert first.returncode == 0, first.stderr
    report = json.loads(first.stdout)
    ends = {project["project_id"]: project for project in report["projects"]}
    assert report["enqueued"] == sum(not project.blacklisted for project in PROJECTS)
    for project in PROJECTS:
        assert ends[project.id]["reason"] == project.failure
        assert bool(ends[project.id]["libraries"]) == (project.failure is None and not project.blacklisted)
    letters = json.loads((tmp_path / "state" / "dead-letters.json").read_bytes())
    reasons = {json.loads(each["body"])["project_id"]: each["attributes"]["dpss.reason"] for each in letters}
    assert {project: reason["StringValue"] for project, reason in reasons.items()} == FAILING
    assert len(list(Path(report["figures"]).rglob("violin.png"))) >= len(PROJECTS) - len(FAILING) - 1

    with background(DPSS_LOCAL, "demo", "--json", "--serve", "--state", str(tmp_path / "state")) as process:
        words = told_until(process, "To look at: ")
        index, page, figure = follow(words[-1].split()[3], ["/index.html", ".png"])
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(out) == {**report, "enqueued": 0}
    assert any("Nothing new" in line for line in words)
    assert all(f">{project.id}<" in index for project in PROJECTS if not project.blacklisted)
    assert "How this was made" in page
    assert "PNG" in figure
    assert Path(report["index"]).read_text() == index


def told_until(process: subprocess.Popen[str], beginning: str) -> list[str]:
    """The lines of stderr up to the one that begins so."""
    assert process.stderr
    lines = [process.stderr.readline()]
    while lines[-1] and not lines[-1].startswith(beginning):
        lines.append(process.stderr.readline())
    return lines


def follow(address: str, endings: list[str]) -> list[str]:
    """What is at ``address``, then behind the first link there that ends so, and so on."""
    http = urllib3.PoolManager()
    found = [http.request("GET", address).data.decode(errors="replace")]
    for ending in endings:
        link = re.search(rf'(?:href|src)="([^"#]+{re.escape(ending)})"', found[-1])
        assert link
        address = urljoin(address, link[1])
        answer = http.request("GET", address)
        assert answer.status == HTTPStatus.OK, address
        found.append(answer.data.decode(errors="replace"))
    return found


@pytest.mark.parametrize(
    ("command", "moment", "ending", "exit_code"),
    [
        ([DPSS_LOCAL, "demo", "--state"], "received", signal.SIGINT, 128 + signal.SIGINT),
        (
            ["make", "-C", str(ROOT), "-o", ".venv/.installed", "demo", f"BIN={SCRIPTS}"],
            "started",
            signal.SIGTERM,
            -signal.SIGTERM,
        ),
    ],
    ids=["ctrl-c at work", "sigterm to make at the start"],
)
def test_a_demo_that_is_stopped_leaves_nothing_running(
    command: list[str], moment: str, ending: signal.Signals, exit_code: int, tmp_path: Path
) -> None:
    log = tmp_path / "logs" / "worker-1.log"
    place = [f"ARGS=--state {tmp_path}"] if command[0] == "make" else [str(tmp_path)]
    with background(*command, *place) as process:
        eventually(lambda: log.exists() and f'"{moment}"' in log.read_text())
        children = descendants(process.pid)
        assert len(children) >= 2
        process.send_signal(ending)
        _, words = process.communicate()
    assert process.returncode == exit_code
    assert "Stopped; nothing is left running.\n" in words
    assert not alive(children)


def test_up_points_any_client_at_queues_buckets_and_samples_until_it_is_stopped(tmp_path: Path) -> None:
    with background(DPSS_LOCAL, "up", "--state", str(tmp_path)) as process:
        assert process.stdout
        assert process.stderr
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        lines, _ = process.communicate()
    environ = dict(line.removeprefix("export ").split("=", 1) for line in lines.splitlines())
    assert environ["DPSS_QUEUE_URL"].startswith(environ["AWS_ENDPOINT_URL"] + "/")
    assert process.returncode == 128 + signal.SIGINT


def test_what_is_published_while_up_is_there_the_next_time(tmp_path: Path) -> None:
    for number in range(2):
        with background(DPSS_LOCAL, "up", "--json", "--state", str(tmp_path)) as process:
            assert process.stderr
            assert process.stdout
            process.stderr.readline()
            lines = [process.stdout.readline()]
            while lines[-1] != "}\n":
                lines.append(process.stdout.readline())
            environ = json.loads("".join(lines))
            s3 = boto3.client(
                "s3",
                endpoint_url=environ["AWS_ENDPOINT_URL"],
                region_name=environ["AWS_REGION"],
                aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
            )
            if number == 0:
                s3.put_object(Bucket=environ["DPSS_FIGURE_BUCKET"], Key="by/hand.txt", Body=b"kept")
            else:
                assert s3.get_object(Bucket=environ["DPSS_FIGURE_BUCKET"], Key="by/hand.txt")["Body"].read() == b"kept"
            s3.close()
            process.send_signal(signal.SIGTERM)
            process.communicate()


def test_a_folder_with_something_else_in_it_is_a_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    done = demo(tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("settings: --state")
