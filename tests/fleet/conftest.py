"""The real commands as processes, against the embedded server."""

import contextlib
import hashlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient
from mypy_boto3_sqs.type_defs import MessageTypeDef

from infra.local import emulator as local
from infra.local import stack as stacks
from infra.local.stack import Stack
from shared.manifest import Figure, Manifest, Table
from shared.settings import PREFIX
from tests.faults.proxy import FaultyServer
from tests.tiny import Tiny, tiny_projects

PATIENCE_SECONDS = 120
POLITE_SECONDS = 0.3
"""Between looks that cost the embedded server something."""
FIGURES = "project-assets/project-stats/"


def eventually[T](look: Callable[[], T | None], what: str, pause: float = 0.05) -> T:
    """What ``look`` gives as soon as it is true; fails after a patience that no healthy machine needs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(pause)
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

    def family(self) -> set[int]:
        """All processes below this one."""
        return below(self.process.pid)

    def warm_process(self) -> int | None:
        """The one that the children of projects are forked from."""
        offspring = {pid for pid, parent in parents().items() if parent == self.process.pid}
        return next((pid for pid in offspring if b"multiprocessing.forkserver" in _proc(pid, "cmdline")), None)

    def children(self) -> set[int]:
        """The processes of the projects in hand."""
        warm = self.warm_process()
        return below(warm) if warm else set()

    def wait(self) -> int:
        """The exit code."""
        return self.process.wait(PATIENCE_SECONDS)


def parents() -> dict[int, int]:
    """Of each process that runs, its parent; one that ended and waits to be reaped does not run."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        state, parent, *_ = _proc(int(path.name), "stat").rpartition(b")")[2].split() or (b"Z", b"0")
        if state != b"Z":
            found[int(path.name)] = int(parent)
    return found


def below(pid: int) -> set[int]:
    """All processes that ``pid`` started, and those that they started."""
    of = parents()
    found = {pid}
    while more := {each for each, parent in of.items() if parent in found} - found:
        found |= more
    return found - {pid}


def _proc(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it ended meanwhile
        return b""


@contextmanager
def handles(pids: Iterable[int]) -> Iterator[dict[int, int]]:
    """File descriptors of processes that run: they mean these, whoever gets their numbers later."""
    opened = {pid: os.pidfd_open(pid) for pid in pids}
    try:
        yield opened
    finally:
        for descriptor in opened.values():
            os.close(descriptor)


def outliving(running: dict[int, int], seconds: float) -> set[int]:
    """Those of the processes behind ``handles`` that have not ended ``seconds`` from now; at once when all have."""
    deadline = time.monotonic() + seconds

    def ended(descriptor: int) -> bool:
        return bool(select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0])

    return {pid for pid, descriptor in running.items() if not ended(descriptor)}


@dataclass(frozen=True)
class Fleet:
    """A stack and the commands that work on it."""

    stack: Stack
    folder: Path
    environ: dict[str, str]

    @contextmanager
    def worker(self, *arguments: str, within: Sequence[str] = (), **settings: str) -> Iterator[Command]:
        """A worker process, killed at the end if it still runs; ``within`` is a command that turns into it."""
        log_path = self.folder / f"worker-{time.monotonic_ns()}.log"
        environ = self.environ | {"DPSS_LOG_FORMAT": "json"} | settings
        with log_path.open("w") as log:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "worker.cli", "run", *arguments], env=environ, stderr=log, text=True
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


@dataclass(frozen=True)
class Site:
    """A fleet that has a faulty server between it and AWS, and clients that have not."""

    fleet: Fleet
    server: FaultyServer
    sqs: SQSClient
    s3: S3Client

    @property
    def stack(self) -> Stack:
        """Queues and buckets."""
        return self.fleet.stack

    @property
    def scratch(self) -> Path:
        """Where the workers have their folders."""
        return self.fleet.folder / "scratch"

    def send(self, project_id: str, contents: bytes) -> str:
        """Put a matrix where it belongs, and a message for it on the queue; gives the message's id."""
        uri = put_matrix(self.s3, self.stack, f"{project_id}.matrix", contents)
        return self.sqs.send_message(QueueUrl=self.stack.queue_url, MessageBody=project(uri, project_id))["MessageId"]

    def published(self, project_id: str) -> Manifest | None:
        """See ``published``."""
        return published(self.s3, self.stack, project_id)

    def letter(self, project_id: str) -> dict[str, str]:
        """The attributes of the project's dead letter, as soon as there is one."""

        def look() -> MessageTypeDef | None:
            found = letters(self.sqs, self.stack)
            return next((one for one in found if json.loads(one["Body"])["project_id"] == project_id), None)

        return attributes_of(eventually(look, f"the dead letter of {project_id}", POLITE_SECONDS))

    def wait_until_settled(self) -> None:
        """Until no message is on the work queue."""
        eventually(lambda: depth(self.sqs, self.stack.queue_url) == (0, 0), "the end of all messages", POLITE_SECONDS)


@contextmanager
def site(endpoint: str, folder: Path, max_receive_count: int = stacks.MAX_RECEIVE_COUNT) -> Iterator[Site]:
    """A site of one's own, for as long as several tests want it."""
    (folder / "scratch").mkdir()
    session = boto3.Session("emulator", "emulator", region_name=local.REGION)
    with (
        contextlib.closing(session.client("sqs", endpoint_url=endpoint)) as sqs,
        contextlib.closing(session.client("s3", endpoint_url=endpoint)) as s3,
        FaultyServer(endpoint) as server,
    ):
        stack = stacks.create(sqs, s3, f"site-{uuid.uuid4().hex[:12]}", max_receive_count)
        inherited = {name: value for name, value in environ_for(stack).items() if not name.startswith("AWS_")}
        environ = inherited | local.client_environ(server.address) | {"DPSS_SCRATCH_DIR": str(folder / "scratch")}
        yield Site(Fleet(stack, folder, environ), server, sqs, s3)


@pytest.fixture(scope="session")
def tiny() -> dict[str, Tiny]:
    """Tiny real projects."""
    return tiny_projects()


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


def project(uri: str, project_id: str = "p") -> str:
    """A message as a person writes it."""
    return json.dumps({"schema_version": 1, "project_id": project_id, "matrices": [{"uri": uri}]})


def put_matrix(s3: S3Client, stack: Stack, key: str, contents: bytes) -> str:
    """The address of a matrix of these ``contents``."""
    s3.put_object(Bucket=stack.matrix_bucket, Key=key, Body=contents)
    return f"s3://{stack.matrix_bucket}/{key}"


def published(s3: S3Client, stack: Stack, project_id: str) -> Manifest | None:
    """The project's manifest, after a look that it names nothing but what is there, byte for byte; None without one."""
    try:
        body = s3.get_object(Bucket=stack.figure_bucket, Key=f"{FIGURES}{project_id}/manifest.json")["Body"].read()
    except s3.exceptions.NoSuchKey:
        return None
    manifest = Manifest.model_validate_json(body)
    for entity in manifest.entities:
        for library in entity.libraries:
            files: list[Figure | Table] = [*library.figures, *library.tables]
            for file in files:
                contents = s3.get_object(Bucket=stack.figure_bucket, Key=file.key)["Body"].read()
                assert hashlib.sha256(contents).hexdigest() == file.sha256, f"{file.key} is not what the manifest says"
    return manifest
