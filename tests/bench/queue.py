"""``make bench-queue``: how fast a worker settles messages that are up to date, beside a bare loop.

The bare loop receives, reads the manifest and deletes, and looks at nothing; it is the least that the calls cost. Both
work on the same server (a process of its own) in the same run, in turns, so that a noisy machine is noisy for both.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

import boto3
import click
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from infra.local import stack as stacks
from infra.local.emulator import client_environ
from shared import keys
from shared.manifest import Manifest, fingerprint
from shared.messages import MatrixReference, ProjectMessage, now
from tests.bench.server import server
from worker.persistence import CLIENT_OPTIONS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageTypeDef

PREFIX = "project-assets/project-stats/"


def put_up_to_date(s3: "S3Client", stack: stacks.Stack) -> ProjectMessage:
    """A message whose project is published already."""
    matrices = (MatrixReference(uri="s3://anywhere/m.h5ad", version="as-published"),)
    message = ProjectMessage(schema_version=1, project_id="up-to-date", matrices=matrices)
    manifest = Manifest(
        project_id=message.project_id,
        generated_at=now(),
        inputs=(),
        fingerprint=fingerprint(matrices),
        entities=(),
    )
    key = PREFIX + keys.manifest(message.project_id)
    s3.put_object(Bucket=stack.figure_bucket, Key=key, Body=manifest.body())
    return message


def fill(sqs: "SQSClient", stack: stacks.Stack, body: str, messages: int) -> None:
    """So many messages into the work queue."""
    for start in range(0, messages, 10):
        entries = [{"Id": str(n), "MessageBody": body} for n in range(start, min(start + 10, messages))]
        sqs.send_message_batch(QueueUrl=stack.queue_url, Entries=entries)  # type: ignore[arg-type]


async def bare_loop(stack: stacks.Stack, at_a_time: int) -> int:
    """Receive, get and delete until the queue is empty; the messages that there were."""
    done = 0
    session, config = get_session(), AioConfig(**CLIENT_OPTIONS)
    async with session.create_client("sqs", config=config) as sqs, session.create_client("s3", config=config) as s3:

        async def settle(message: "MessageTypeDef") -> None:
            answer = await s3.get_object(Bucket=stack.figure_bucket, Key=PREFIX + keys.manifest("up-to-date"))
            await answer["Body"].read()
            await sqs.delete_message(QueueUrl=stack.queue_url, ReceiptHandle=message["ReceiptHandle"])

        while True:
            answer = await sqs.receive_message(
                QueueUrl=stack.queue_url, MaxNumberOfMessages=at_a_time, WaitTimeSeconds=0
            )
            messages = answer.get("Messages", [])
            if not messages:
                return done
            await asyncio.gather(*(settle(message) for message in messages))
            done += len(messages)


def time_worker(environ: dict[str, str], slots: int) -> tuple[float, int]:
    """Seconds from the first message received to the last one settled, and their number, by the worker's own log."""
    ended = subprocess.run(
        [sys.executable, "-m", "worker.cli", "run", "--until-idle", "1"],
        env=environ | {"DPSS_WORKER_SLOTS": str(slots), "DPSS_LOG_FORMAT": "json"},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    received = [seconds_of(line) for line in lines if line["event"] == "received"]
    settled = [seconds_of(line) for line in lines if line["event"] == "up_to_date"]
    return max(settled) - min(received), len(settled)


def seconds_of(line: dict[str, str]) -> float:
    """A log line's time, since the epoch."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


@click.command()
@click.option("--messages", default=500, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(messages: int, rounds: int) -> None:
    """Print messages a second of both, and the ratio."""
    with server() as endpoint:
        environ = {**os.environ, **client_environ(endpoint)}
        os.environ.update(client_environ(endpoint))
        sqs, s3 = boto3.client("sqs"), boto3.client("s3")
        stack = stacks.create(sqs, s3, "bench")
        body = put_up_to_date(s3, stack).body()
        environ |= stack.environ()
        for slots in (1, 10):
            ratios = []
            for _ in range(rounds):
                fill(sqs, stack, body, messages)
                begin = time.perf_counter()
                bare = asyncio.run(bare_loop(stack, slots)) / (time.perf_counter() - begin)
                fill(sqs, stack, body, messages)
                seconds, number = time_worker(environ, slots)
                settled = number / seconds
                ratios.append(settled / bare)
                click.echo(f"slots {slots:2}: bare {bare:6.1f}/s, worker {settled:6.1f}/s, ratio {ratios[-1]:.2f}")
            click.echo(f"slots {slots:2}: median ratio {median(ratios):.2f}")


if __name__ == "__main__":
    main()
