"""The real commands as processes, against the embedded server."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef

from infra.local.stack import Stack
from shared.settings import PREFIX

PATIENCE_SECONDS = 120


def eventually[T](look: Callable[[], T | None], what: str) -> T:
    """What ``look`` gives as soon as it is true; fails after a patience that no healthy machine needs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail(f"{what}: not within {PATIENCE_SECONDS} s")


@dataclass
class Command:
    """A command of ours that is running, with its log lines so far."""

    process: "subprocess.Popen[str]"
    log_path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)

    def log(self) -> list[dict[str, Any]]:
        """Every whole JSON line so far."""
        text = self.log_path.read_text()
        return [json.loads(line) for line in text.splitlines() if line.startswith("{") and line.endswith("}")]

    def said(self, event: str, **fields: object) -> dict[str, Any] | None:
        """The first log line with this event and these fields."""
        wanted = {"event": event} | fields
        return next((line for line in self.log() if wanted.items() <= line.items()), None)

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(PATIENCE_SECONDS)


@dataclass(frozen=True)
class Fleet:
    """A stack and the commands that work on it."""

    stack: Stack
    folder: Path
    environ: dict[str, str]

    @contextmanager
    def worker(self, *arguments: str, **settings: str) -> Iterator[Command]:
        """A worker process, killed at the end if it still runs."""
        log_path = self.folder / f"worker-{time.monotonic_ns()}.log"
        environ = self.environ | {"DPSS_LOG_FORMAT": "json"} | settings
        with log_path.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.cli", "run", *arguments], env=environ, stderr=log, text=True
            )
        try:
            yield Command(process, log_path)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def run(self, module: str, *arguments: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """A command from start to end."""
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(
            command, env=self.environ | settings, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
        )


def environ_for(stack: Stack) -> dict[str, str]:
    """The environment of this process, pointed at ``stack``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | stack.environ()


@pytest.fixture
def fleet(stack: Stack, tmp_path: Path) -> Fleet:
    """A stack of one's own and the commands for it."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Fleet(stack, tmp_path, environ_for(stack) | {"DPSS_SCRATCH_DIR": str(scratch)})


def letters(sqs: SQSClient, stack: Stack) -> list[MessageTypeDef]:
    """The dead letters that are visible now, made visible again."""
    answer = sqs.receive_message(
        QueueUrl=stack.dlq_url, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    return answer.get("Messages", [])


def attributes_of(letter: MessageTypeDef) -> dict[str, str]:
    """The letter's message attributes as plain text."""
    return {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}


def depth(sqs: SQSClient, url: str) -> tuple[int, int]:
    """Visible and invisible messages."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return int(found[names[0]]), int(found[names[1]])  # type: ignore[index]
