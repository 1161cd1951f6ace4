"""What is sent: new projects, the same again, matrices replaced while they are worked, and rubbish."""

import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from infra.local.stack import Stack
from shared.aws import etag
from shared.keys import parse_canned
from shared.messages import MatrixReference, ProjectMessage, now
from tests.tiny import tiny_projects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

SHARES: Final = {"new": 0.76, "again": 0.1, "replaced": 0.11, "rubbish": 0.03}
FORCED: Final = 0.3
"""Of what is sent again."""
REPLACEABLE: Final = ("blood", "antibodies", "chr21")
"""Kinds of one species, for what is published goes by species; what a file is, its content decides."""
RUBBISH: Final = (
    "this is no JSON \x85",
    json.dumps({"schema_version": 99, "project_id": "p", "matrices": [{"uri": "s3://b/k"}]}),
    json.dumps({"schema_version": 1, "project_id": "../../up", "matrices": [{"uri": "s3://b/k"}]}),
    json.dumps({"schema_version": 1, "project_id": "p", "matrices": [{"uri": "file:///etc/passwd"}]}),
)


@dataclass(frozen=True)
class Sent:
    """A project as it was sent last: its matrix, and the reason it has to fail with."""

    project_id: str
    key: str
    kind: str
    species: str | None
    version: str
    sha256: str
    failure: str | None


class Campaign:
    """Sends one message at a time, drawn by ``lot``."""

    def __init__(self, sqs: "SQSClient", s3: "S3Client", stack: Stack, lot: random.Random) -> None:
        self.projects: dict[str, Sent] = {}
        self.rubbish: list[str] = []
        self.sent: Counter[str] = Counter()
        self._sqs, self._s3, self._stack, self._lot = sqs, s3, stack, lot
        self._tiny = tiny_projects()

    def send(self, in_work: str | None) -> None:
        """One more message; ``in_work`` is a project that a worker has just begun to read."""
        (what,) = self._lot.choices(list(SHARES), list(SHARES.values()))
        what = what if self._replaceable() else "new"
        self.sent[what] += 1
        match what:
            case "new":
                self._send_new()
            case "again":
                self._send(self._lot.choice(list(self.projects.values())), force=self._lot.random() < FORCED)
            case "replaced":
                self._replace(in_work)
            case _:
                self.rubbish.append(self._lot.choice(RUBBISH))
                self._sqs.send_message(QueueUrl=self._stack.queue_url, MessageBody=self.rubbish[-1])

    def _send_new(self) -> None:
        kind = self._lot.choice(list(self._tiny))
        project_id = f"p-{len(self.projects):04}"
        key = f"{project_id}.{self._tiny[kind].suffix}"
        empty = Sent(project_id, key, kind, parse_canned(key).species, version="", sha256="", failure=None)
        self._send(self._put(empty, kind))

    def _replaceable(self) -> list[str]:
        return [sent.project_id for sent in self.projects.values() if sent.kind in REPLACEABLE]

    def _replace(self, in_work: str | None) -> None:
        """Another matrix under the key of a project, one that is being read if there is such a one."""
        candidates = self._replaceable()
        old = self.projects[in_work if in_work in candidates else self._lot.choice(candidates)]
        self._send(self._put(old, self._lot.choice([kind for kind in REPLACEABLE if kind != old.kind])))

    def _put(self, sent: Sent, kind: str) -> Sent:
        tiny = self._tiny[kind]
        answer = self._s3.put_object(Bucket=self._stack.matrix_bucket, Key=sent.key, Body=tiny.contents)
        digest = hashlib.sha256(tiny.contents).hexdigest()
        return replace(sent, kind=kind, version=etag(answer["ETag"]), sha256=digest, failure=tiny.failure)

    def _send(self, sent: Sent, *, force: bool = False) -> None:
        matrix = MatrixReference(
            uri=f"s3://{self._stack.matrix_bucket}/{sent.key}", version=sent.version, species=sent.species
        )
        message = ProjectMessage(
            schema_version=1, project_id=sent.project_id, matrices=(matrix,), requested_at=now(), force=force
        )
        self._sqs.send_message(QueueUrl=self._stack.queue_url, MessageBody=message.body())
        self.projects[sent.project_id] = sent
