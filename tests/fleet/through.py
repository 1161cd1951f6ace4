"""Workers with a faulty server of their own each, and what can be asked of it afterwards."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from infra.local.emulator import client_environ
from shared.aws import etag
from tests.faults.proxy import Answer, Exchange, FaultyServer, Match, Request
from tests.faults.rules import s3_call, sqs_call, when
from tests.fleet.conftest import FIGURES, Command, Site, eventually, put_matrix

SHORT_POLL_SECONDS = 0.1
SETTLING = sqs_call("DeleteMessage", "ChangeMessageVisibility", "SendMessage")
POLL = sqs_call("ReceiveMessage")


@dataclass(frozen=True)
class Far:
    """A worker and the server that is all it sees of AWS."""

    command: Command
    server: FaultyServer

    def polls(self) -> None:
        """Wait until it asks for messages."""
        asked = self.server.calls("ReceiveMessage")
        eventually(lambda: self.server.calls("ReceiveMessage") > asked, "a poll")

    @contextmanager
    def kept_from_messages(self) -> Iterator[None]:
        """The queue looks empty to it until the block ends, and no poll of its is under way."""
        with self.server.imposed(when(POLL, no_message)):
            self.polls()
            yield

    def writes(self, since: float = 0.0) -> list[Request]:
        """What it asked to be changed after ``since``, on the monotonic clock: messages and objects."""
        return [r for r in self.server.sent(changes) if r.at > since]


@contextmanager
def far_worker(site: Site, *arguments: str, **settings: str) -> Iterator[Far]:
    """A worker process behind a server of its own, until the block ends."""
    with (
        FaultyServer(site.sqs.meta.endpoint_url) as server,
        site.fleet.worker(*arguments, **client_environ(server.address), **settings) as command,
    ):
        yield Far(command, server)


@contextmanager
def far_program(site: Site, program: str, **settings: str) -> Iterator[Far]:
    """The same, started by Python code of the test's own."""
    log_path = site.fleet.folder / "program.log"
    with FaultyServer(site.sqs.meta.endpoint_url) as server, log_path.open("w") as log:
        environ = site.fleet.environ | client_environ(server.address) | {"DPSS_LOG_FORMAT": "json"} | settings
        with subprocess.Popen([sys.executable, "-c", program], env=environ, stderr=log, text=True) as process:
            try:
                yield Far(Command(process, log_path), server)
            finally:
                process.kill()


def no_message(exchange: Exchange) -> None:
    """The answer of a queue on which nothing is visible, soon."""
    time.sleep(SHORT_POLL_SECONDS)
    exchange.send(Answer(200, b"{}"))


def changes(request: Request) -> bool:
    """Whether something is different once it was heard."""
    return SETTLING(request) or (request.service == "s3" and request.method in {"PUT", "POST", "DELETE"})


def reads(key: str) -> Match:
    """The download of a matrix, not the look at its head."""
    return s3_call(method="GET", ends=f"/{key}")


def put_figure(project_id: str, name: str = "violin.png") -> Match:
    """The upload of one of the project's figures."""
    return s3_call(f"/{project_id}/", method="PUT", ends=f"/{name}")


def manifest_call(project_id: str, method: str) -> Match:
    """What becomes of the project's manifest."""
    return s3_call(method=method, ends=f"/{project_id}/manifest.json")


def place(site: Site, project_id: str, contents: bytes) -> str:
    """Put a matrix where it belongs; gives the message for it, as the daily run would send it now."""
    uri = put_matrix(site.s3, site.stack, key_of(project_id), contents)
    version = etag(site.s3.head_object(Bucket=site.stack.matrix_bucket, Key=key_of(project_id))["ETag"])
    matrix = {"uri": uri, "version": version}
    return json.dumps({"schema_version": 1, "project_id": project_id, "matrices": [matrix]})


def key_of(project_id: str) -> str:
    """Where ``place`` puts the project's matrix."""
    return f"{project_id}.matrix"


def send(site: Site, body: str) -> str:
    """Put a message on the queue; gives its id."""
    return site.sqs.send_message(QueueUrl=site.stack.queue_url, MessageBody=body)["MessageId"]


def keys_of(site: Site, project_id: str) -> set[str]:
    """All that there is of a project in the figure bucket, without the folder that they have in common."""
    found = site.s3.list_objects_v2(Bucket=site.stack.figure_bucket, Prefix=f"{FIGURES}{project_id}")
    return {item["Key"].removeprefix(f"{FIGURES}{project_id}/") for item in found.get("Contents", [])}
