"""``make bench-start``: how long a small project waits for its process, forked from a warmed one or started anew.

Warm: from the message received to the first matrix byte read, and to the matrix read, in a worker (its own log's times;
the fetch is in it). Cold: the same stages of ``dpss-worker render``, from the start of a process with nothing imported.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from importlib import resources
from pathlib import Path

import boto3
import click

from infra.local import stack as stacks
from infra.local.emulator import client_environ
from tests.bench.server import server

SAMPLE = resources.files("infra.local").joinpath("samples", "pbmc3k.homo_sapiens.mtx.zip")
STAGES = ("read", "quality")
"""The first begins with the first byte of the matrix, the second when all are read."""


def warm(projects: int) -> list[dict[str, float]]:
    """Seconds from ``received`` to each stage, for each of so many projects of one worker."""
    with server() as endpoint:
        clients = client_environ(endpoint)
        os.environ.update(clients)
        sqs, s3 = boto3.client("sqs"), boto3.client("s3")
        stack = stacks.create(sqs, s3, "bench")
        s3.put_object(Bucket=stack.matrix_bucket, Key="m.mtx.zip", Body=SAMPLE.read_bytes())
        for number in range(projects):
            matrices = [{"uri": f"s3://{stack.matrix_bucket}/m.mtx.zip"}]
            body = {"schema_version": 1, "project_id": f"p{number}", "matrices": matrices}
            sqs.send_message(QueueUrl=stack.queue_url, MessageBody=json.dumps(body))
        environ = {**os.environ, **clients, **stack.environ(), "DPSS_LOG_FORMAT": "json"}
        command = [sys.executable, "-m", "worker.cli", "run", "--until-idle", "1"]
        ended = subprocess.run(command, env=environ, stderr=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line) for line in ended.stderr.splitlines() if line.startswith("{")]
    return [_offsets([line for line in lines if line.get("project_id") == f"p{n}"]) for n in range(projects)]


def _offsets(lines: list[dict[str, str]]) -> dict[str, float]:
    times = {line.get("stage") or line["event"]: datetime.fromisoformat(line["timestamp"]) for line in reversed(lines)}
    return {stage: (times[stage] - times["received"]).total_seconds() for stage in STAGES}


def cold() -> dict[str, float]:
    """Seconds from the start of a process to each stage."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pbmc3k.mtx.zip")
        path.write_bytes(SAMPLE.read_bytes())
        command = [sys.executable, "-m", "worker.cli", "render", str(path), "--out", folder]
        begin, reached = time.perf_counter(), dict[str, float]()
        environ = {**os.environ, "DPSS_LOG_FORMAT": "json"}
        with subprocess.Popen(
            command, env=environ, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as process:
            for line in process.stderr or ():
                reached.setdefault(json.loads(line).get("stage", ""), time.perf_counter() - begin)
    return reached


@click.command()
@click.option("--projects", default=4, show_default=True, help="Warm ones, one after another.")
def main(projects: int) -> None:
    """Print both."""
    for name, found in [("cold", cold()), *((f"warm {n + 1}", found) for n, found in enumerate(warm(projects)))]:
        click.echo(f"{name}: first byte read after {found['read']:5.2f} s, matrix read after {found['quality']:5.2f} s")


if __name__ == "__main__":
    main()
