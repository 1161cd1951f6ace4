"""The worker's composition root: every part is made here and handed to those that need it."""

import json
import shutil
import tempfile
from collections.abc import MutableMapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError
from botocore.handlers import add_expect_header

from shared import aws, telemetry
from shared.errors import SettingsError
from shared.settings import LogFormat, WorkerSettings
from worker import kernels, limits
from worker.admission import Admission
from worker.child import Ceilings, Children
from worker.consumer import Consumer, Signs
from worker.drain import Drain, unless
from worker.health import Heartbeat
from worker.objects import Bucket
from worker.persistence import CLIENT_OPTIONS, FAULTS, persist
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

log = telemetry.logger("worker")

LEAST_FREE_BYTES: Final = 8_388_608
"""For the made-up project that children are warmed up with, some times over."""
NO_LIMIT: Final = 1_000_000
"""Attempts, on a queue without a redrive policy: its messages expire before that."""


async def consume(
    settings: WorkerSettings, log_format: LogFormat, until_idle: float | None, environ: MutableMapping[str, str]
) -> None:
    """Take messages until told to stop, or idle for ``until_idle`` seconds; ``environ`` is the process's own."""
    drain = Drain(settings.shutdown_grace_seconds)
    drain.listen()
    budget = limits.budget_mib(limits.container_memory_mib())
    ceiling = limits.ceiling_mib(settings.job_memory_mib, settings.worker_slots, budget)
    children = Children(Ceilings(ceiling, settings.job_timeout_seconds))
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(worker_folder(Path(settings.scratch_dir or tempfile.gettempdir())))
        heartbeat = Heartbeat(folder)
        heartbeat.beat()
        _check_room(folder)
        kernels.adopt(environ, folder)
        children.warm(folder)
        stack.callback(children.close)
        sqs, s3 = await _clients(stack)
        limit = await unless(_check_places(settings, sqs, s3), drain.stopping)
        if limit is None:
            return
        identity = await identify(environ.get("ECS_CONTAINER_METADATA_URI_V4"))
        protection = Protection(environ.get("ECS_AGENT_URI"))
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
        log.info("started", worker=identity.worker, slots=settings.worker_slots, job_memory_mib=ceiling)
        if await unless(children.ready(), drain.stopping):
            log.info("ready", queue=settings.queue_url, bucket=settings.figure_bucket)
        await consumer.run()


def _check_room(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < LEAST_FREE_BYTES:
        raise SettingsError(f"DPSS_SCRATCH_DIR: {folder.parent} has {free / 1e6:.1f} MB left, too little to start with")


async def _clients(stack: AsyncExitStack) -> "tuple[SQSClient, S3Client]":
    config = AioConfig(**CLIENT_OPTIONS)
    session = get_session()
    try:
        sqs = await stack.enter_async_context(session.create_client("sqs", config=config))
        s3 = await stack.enter_async_context(session.create_client("s3", config=config))
        # aiohttp waits without a limit for the 100 that a server is asked for
        s3.meta.events.unregister("before-call.s3", add_expect_header)
    except BotoCoreError as error:
        raise SettingsError(str(aws.explain(error, "reaching AWS"))) from error
    except ValueError as error:
        raise SettingsError(f"AWS_ENDPOINT_URL: {error}") from None
    return sqs, s3


async def _check_places(settings: WorkerSettings, sqs: "SQSClient", s3: "S3Client") -> int:
    """That queues and bucket are there, before a message is taken; gives the attempts that the queue allows."""
    if settings.queue_url == settings.dlq_url:
        raise SettingsError("DPSS_DLQ_URL is DPSS_QUEUE_URL: what fails would be taken again at once")
    policy = json.loads(await _attribute(sqs, settings.queue_url, "RedrivePolicy") or "{}")
    letters = await _attribute(sqs, settings.dlq_url, "QueueArn")
    if policy.get("deadLetterTargetArn") != letters:
        log.warning("DPSS_DLQ_URL is not where the work queue's redrive policy leads", redrive_policy=policy)
    await _check_bucket(s3, settings.figure_bucket)
    return int(policy.get("maxReceiveCount", NO_LIMIT))


async def _attribute(sqs: "SQSClient", url: str, name: Literal["QueueArn", "RedrivePolicy"]) -> str:
    try:
        answer = await persist(lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name]))
    except FAULTS as error:
        raise aws.explain(error, f"looking at {url}") from error
    return answer.get("Attributes", {}).get(name, "")


async def _check_bucket(s3: "S3Client", name: str) -> None:
    try:
        await persist(lambda: s3.head_bucket(Bucket=name))
    except FAULTS as error:
        if aws.is_missing(error):
            raise SettingsError(f"DPSS_FIGURE_BUCKET: there is no bucket {name}") from error
        raise aws.explain(error, f"looking at the bucket {name}") from error
