"""The real command in a process of its own, and a server between it and AWS that fails on demand."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from producer.cli import main
from tests.faults.proxy import FaultyServer

PREFIX = "project-assets/project-matrices/"
FIGURES = "project-assets/project-stats/"


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """JSON lines, the summary left out."""
        return [json.loads(line) for line in self.out.splitlines()[:-1]]

    @property
    def summary(self) -> Any:
        """The summary in the last JSON line."""
        return json.loads(self.out.splitlines()[-1])["summary"]

    @property
    def last_words(self) -> str:
        """The last line of stderr."""
        return self.err.splitlines()[-1]


Command = Callable[..., Finished]


@pytest.fixture
def dpss(stack: Stack) -> Command:
    """Run ``dpss-producer`` against a stack of its own; keywords set environment variables, empty ones unset them."""

    def run(*arguments: str, **environ: str) -> Finished:
        given = os.environ | stack.environ() | {"DPSS_SOURCE": "canned", "DPSS_LOG_FORMAT": "json"} | environ
        given = {name: value for name, value in given.items() if value}
        done = subprocess.run(
            [sys.executable, "-m", "producer.cli", *arguments], env=given, capture_output=True, text=True, check=False
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def dpss_here(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Command]:
    """The same in this process: a tenth of the time."""
    for name, value in stack.environ().items():
        monkeypatch.setenv(name, value)
    handler, root = signal.getsignal(signal.SIGTERM), logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def run(*arguments: str, **environ: str) -> Finished:
        for name, value in ({"DPSS_SOURCE": "canned"} | environ).items():
            if value:
                monkeypatch.setenv(name, value)
            else:
                monkeypatch.delenv(name, raising=False)
        code = main(arguments)
        told = capsys.readouterr()
        return Finished(code, told.out, told.err)

    yield run
    signal.signal(signal.SIGTERM, handler)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def faulty(aws: str) -> Iterator[FaultyServer]:
    """A server that passes everything on to the embedded one, but for what it is told to fail."""
    with FaultyServer(aws) as server:
        yield server


@pytest.fixture
def put(s3: S3Client, stack: Stack) -> Callable[..., str]:
    """Put a canned matrix by its name below the prefix; gives its version."""

    def put(name: str, body: bytes = b"matrix") -> str:
        answer = s3.put_object(Bucket=stack.matrix_bucket, Key=PREFIX + name, Body=body)
        return answer["ETag"].strip('"')

    return put


@pytest.fixture
def publish(s3: S3Client, stack: Stack) -> Callable[[str, bytes], None]:
    """Put an object below the figure prefix."""

    def publish(name: str, body: bytes) -> None:
        s3.put_object(Bucket=stack.figure_bucket, Key=FIGURES + name, Body=body)

    return publish


@pytest.fixture
def work(sqs: SQSClient, stack: Stack) -> Callable[[], list[dict[str, Any]]]:
    """Take all messages off the work queue, as documents."""

    def take() -> list[dict[str, Any]]:
        taken: list[dict[str, Any]] = []
        while batch := sqs.receive_message(QueueUrl=stack.queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get(
            "Messages", []
        ):
            taken += [json.loads(message["Body"]) for message in batch]
        return taken

    return take
