"""The worker's commands: argv, settings, telemetry, clients, run."""

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError

from shared import __version__, aws, telemetry
from shared.errors import InternalError, SettingsError, SummaryStatsError, one_line
from shared.messages import PROJECT_ID_PATTERN
from shared.settings import LogFormat, WorkerSettings
from worker import limits
from worker.admission import Admission
from worker.child import Ceilings, Children
from worker.consumer import Consumer, Signs
from worker.drain import Drain, unless
from worker.health import Heartbeat
from worker.objects import Bucket
from worker.persistence import CLIENT_OPTIONS, FAULTS, persist
from worker.progress import describe, stage_progress
from worker.project import Projects
from worker.protection import Protection
from worker.publish import Publisher
from worker.queue import WorkQueue
from worker.scratch import worker_folder
from worker.settlement import Settlement
from worker.task import identity as identify

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sqs import SQSClient

NO_LIMIT = 1_000_000
"""Attempts, on a queue without a redrive policy: its messages expire before that."""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def main() -> None:
    """Take messages from the work queue, build the figures of their projects and publish them."""


@main.command()
@click.option(
    "--until-idle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Exit 0 after that long with nothing to receive and nothing in hand.  [default: never]",
)
def run(until_idle: float | None) -> None:
    """Consume the work queue until told to stop.

    SIGTERM: take nothing new, finish what ends within DPSS_SHUTDOWN_GRACE_SECONDS, release the rest.
    A second SIGTERM or Ctrl-C releases at once.

    \b
    DPSS_QUEUE_URL, DPSS_DLQ_URL    the two queues                                  [required]
    DPSS_FIGURE_BUCKET              where figures are published                     [required]
    DPSS_FIGURE_PREFIX              [default: project-assets/project-stats/]
    DPSS_PORTAL_URL                 the portal; its host may be asked for matrices  [default: per environment]
    DPSS_ALLOWED_HOSTS              that https:// matrices may come from            [default: the portals']
    DPSS_WORKER_SLOTS               projects in hand at once                        [default: 1]
    DPSS_JOB_MEMORY_MIB             ceiling of one project                          [default: the container's]
    DPSS_JOB_TIMEOUT_SECONDS        time limit of one project                       [default: 21600]
    DPSS_SCRATCH_DIR                room for the matrix and its store               [default: the system's]
    DPSS_VISIBILITY_SECONDS         lease on a message, renewed while work goes on  [default: 120]
    DPSS_SHUTDOWN_GRACE_SECONDS     how long a worker told to stop tries to finish  [default: 90]
    DPSS_FIGURE_FORMATS             png or png,svg                                  [default: png]
    DPSS_LOG_FORMAT                 json or console                                 [default: console on a terminal]
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    try:
        settings = WorkerSettings.load(os.environ)
        settings.require("queue_url", "dlq_url", "figure_bucket")
        log_format = telemetry.configure(settings.log_format)
        os.environ.update(limits.THREADS | os.environ)
        aws.adopt_region(os.environ)
        asyncio.run(_consume(settings, log_format, until_idle, os.environ))
    except SettingsError as error:
        _fail(2, f"settings: {error}")
    except SummaryStatsError as error:
        _fail(1, f"{error.reason}: {error.line}")


@main.command()
@click.argument("matrix", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--project", "project_id", metavar="ID", help="What titles and folders say.  [default: the file's name]")
@click.option("--svg", is_flag=True, help="Draw SVG beside PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def render(matrix: Path, out: Path, project_id: str | None, *, svg: bool, as_json: bool) -> None:
    """Make figures, tables and manifest of one MATRIX file in a folder. No AWS, no settings."""
    telemetry.configure(None)
    os.environ.update(limits.THREADS | os.environ)
    from worker import render as rendering  # noqa: PLC0415 - the parent of a fleet's children never needs it

    name = rendering.project_id_of(matrix) if project_id is None else project_id
    if not re.fullmatch(PROJECT_ID_PATTERN, name):
        raise click.BadParameter("1 to 128 of A-Z a-z 0-9 _ -, starting with a letter or digit", param_hint="--project")
    try:
        with stage_progress() as progress:
            manifest = rendering.render(matrix, name, out, ("png", "svg") if svg else ("png",), progress)
    except SettingsError as error:
        _fail(2, str(error))
    except SummaryStatsError as error:
        _fail(1, f"{error.reason}: {error.line}")
    except Exception as error:  # noqa: BLE001 - the last line of stderr explains whatever happened
        telemetry.logger("render").exception("defect")
        _fail(1, f"{InternalError.reason}: {one_line(f'{type(error).__name__}: {error}')}")
    click.echo(manifest.body() if as_json else describe(manifest, out))


async def _consume(
    settings: WorkerSettings, log_format: LogFormat, until_idle: float | None, environ: Mapping[str, str]
) -> None:
    """The fleet's composition root: every part is made here and handed to those that need it."""
    drain = Drain(settings.shutdown_grace_seconds)
    drain.listen()
    budget = limits.budget_mib(limits.container_memory_mib())
    ceiling = limits.ceiling_mib(settings.job_memory_mib, settings.worker_slots, budget)
    children = Children(Ceilings(ceiling, settings.job_timeout_seconds))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(worker_folder(Path(settings.scratch_dir or tempfile.gettempdir())))
        heartbeat = Heartbeat(folder)
        heartbeat.beat()
        children.warm(folder)
        stack.callback(children.close)
        sqs, s3 = await _clients(stack)
        limit = await _check_places(settings, sqs, s3)
        identity = await identify(environ.get("ECS_CONTAINER_METADATA_URI_V4"))
        protection = Protection(environ.get("ECS_AGENT_URI"))
        stack.push_async_callback(protection.off)
        queue = WorkQueue(sqs, settings.queue_url, settings.dlq_url, settings.visibility_seconds, limit)
        publisher = Publisher(
            Bucket(s3, settings.figure_bucket), settings.figure_prefix, identity.worker, settings.visibility_seconds
        )
        projects = Projects(
            publisher=publisher,
            children=children,
            protection=protection,
            folder=folder,
            figure_formats=settings.figure_formats,
            portal_url=settings.portal_url,
            allowed_hosts=settings.allowed_hosts,
            log_format=log_format,
        )
        consumer = Consumer(
            queue=queue,
            settlement=Settlement(queue, projects.work, projects.record_failure, drain, identity),
            room=Admission(settings.worker_slots, ceiling, budget, children.resident_mib).room,
            drain=drain,
            signs=Signs(heartbeat.beat, protection.off),
            until_idle=until_idle,
        )
        telemetry.logger("worker").info("started", slots=settings.worker_slots, job_memory_mib=ceiling)
        await unless(children.ready(), drain.stopping)
        await consumer.run()


async def _clients(stack: AsyncExitStack) -> "tuple[SQSClient, S3Client]":
    config = AioConfig(**CLIENT_OPTIONS)
    session = get_session()
    try:
        sqs = await stack.enter_async_context(session.create_client("sqs", config=config))
        s3 = await stack.enter_async_context(session.create_client("s3", config=config))
    except BotoCoreError as error:
        raise SettingsError(str(aws.explain(error, "reaching AWS"))) from error
    except ValueError as error:
        raise SettingsError(f"AWS_ENDPOINT_URL: {error}") from None
    return sqs, s3


async def _check_places(settings: WorkerSettings, sqs: "SQSClient", s3: "S3Client") -> int:
    """That queues and bucket are there, before a message is taken; gives the attempts that the queue allows."""
    try:
        answer = await persist(
            lambda: sqs.get_queue_attributes(QueueUrl=settings.queue_url, AttributeNames=["RedrivePolicy"])
        )
        await persist(lambda: sqs.get_queue_attributes(QueueUrl=settings.dlq_url, AttributeNames=["QueueArn"]))
    except FAULTS as error:
        raise aws.explain(error, f"looking at {settings.queue_url} and {settings.dlq_url}") from error
    try:
        await persist(lambda: s3.head_bucket(Bucket=settings.figure_bucket))
    except FAULTS as error:
        if aws.is_missing(error):
            raise SettingsError(f"DPSS_FIGURE_BUCKET: there is no bucket {settings.figure_bucket}") from error
        raise aws.explain(error, f"looking at the bucket {settings.figure_bucket}") from error
    policy = json.loads(answer.get("Attributes", {}).get("RedrivePolicy", "{}"))
    return int(policy.get("maxReceiveCount", NO_LIMIT))


def _fail(exit_code: int, line: str) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
