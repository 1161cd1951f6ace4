"""Who this worker is: the ECS task where there is one, else the process on its host.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
"""

import asyncio
import os
import platform
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from shared import __version__, telemetry
from shared.errors import one_line

PATIENCE_SECONDS: Final = 5.0
"""With the metadata endpoint, which answers from the task's own host; the worker takes nothing before."""

log = telemetry.logger("task")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who settles: what a dead letter says of its worker, and where the log lies."""

    worker: str
    log: str


async def identity(metadata_uri: str | None, patience_seconds: float = PATIENCE_SECONDS) -> Identity:
    """The task that ``metadata_uri`` tells of; host and process id without one, or where it fails."""
    if not metadata_uri:
        return _of_process()
    try:
        async with asyncio.timeout(patience_seconds):
            return _of_task(await _read(f"{metadata_uri}/task"), await _read(metadata_uri))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        log.warning("no task metadata", error=one_line(f"{type(error).__name__}: {error}"))
        return _of_process()


async def _read(url: str) -> Any:
    async with aiohttp.request("GET", url, raise_for_status=True) as answer:
        return await answer.json(content_type=None)


def _of_task(task: Any, container: Any) -> Identity:
    match task:
        case {"TaskARN": str(arn)}:
            return Identity(worker=f"{__version__} on {arn}", log=_log_of(container) or f"stderr of {arn}")
    raise ValueError(f"no TaskARN in {task}")


def _log_of(container: Any) -> str | None:
    """Where the container's log driver writes to, as far as it says so."""
    match container:
        case {"LogOptions": {"awslogs-group": group, "awslogs-stream": stream, "awslogs-region": region}}:
            return f"CloudWatch Logs, group {group}, stream {stream}, region {region}"
    return None


def _of_process() -> Identity:
    place = f"{platform.node()} pid {os.getpid()}"
    return Identity(worker=f"{__version__} on {place}", log=f"stderr of dpss-worker on {place}")
