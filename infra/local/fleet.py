"""Everything the fleet stands on, on this machine: emulator, queues, buckets, what earlier runs left, samples."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from infra.local import pages, samples, stack, state
from infra.local.emulator import client_environ, emulator
from producer.status import depth
from shared.settings import PREFIX, ProducerSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

GRACE_SECONDS: Final = 2
"""What a worker that is told to stop gets here; nobody waits 90 s after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Where things are, and the variables that point a process at them; ``index`` is the page to open."""

    environ: dict[str, str]
    figure_prefix: str
    index: str
    state: state.State
    stack: stack.Stack
    sqs: "SQSClient"
    s3: "S3Client"

    def messages(self) -> int:
        """Messages in the work queue, those in hand or pausing among them."""
        return sum(astuple(depth(self.sqs, self.stack.queue_url)))

    @property
    def figures(self) -> Path:
        """Where figures are kept as files."""
        return self.state.figures / self.figure_prefix

    def process_environ(self) -> dict[str, str]:
        """The environment of a process of the fleet."""
        return {**os.environ, **self.environ}


@contextmanager
def standing(folder: Path, *, fresh: bool) -> Iterator[Fleet]:
    """The fleet's ground until the block ends; what is published meanwhile is kept in ``folder``.

    AWS and DPSS variables of this process are replaced by those that point here.
    """
    with state.opened(folder, fresh=fresh) as kept, emulator() as endpoint:
        for name in [name for name in os.environ if name.startswith(("AWS_", PREFIX))]:
            del os.environ[name]
        clients = client_environ(endpoint)
        os.environ.update(clients)
        sqs, s3 = boto3.client("sqs"), boto3.client("s3")
        made = stack.create(sqs, s3)
        environ = {
            **clients,
            **made.environ(),
            "DPSS_SOURCE": "canned",
            "DPSS_SCRATCH_DIR": str(kept.scratch.resolve()),
            "DPSS_SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
        }
        settings = ProducerSettings.load(environ)
        pages.let_anyone_read(s3, made.figure_bucket)
        index = pages.index_address(endpoint, made.figure_bucket, settings.figure_prefix)
        samples.put(s3, made.matrix_bucket, settings.matrix_prefix, settings.blacklist_key)
        state.restore(kept, made, sqs, s3)
        try:
            yield Fleet(environ, settings.figure_prefix, index, kept, made, sqs, s3)
        finally:
            state.save(kept, made, sqs, s3)
