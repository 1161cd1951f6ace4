"""Who a worker is, read from an ECS metadata endpoint over HTTP."""

import asyncio
import os
import platform
import time
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from shared import __version__
from tests.fakes.ecs_agent import LOG_GROUP, LOG_STREAM, REGION, TASK_ARN, EcsAgent, Trouble
from worker.task import Identity, identity

PLACE = f"{platform.node()} pid {os.getpid()}"
PROCESS = Identity(worker=f"{__version__} on {PLACE}", log=f"stderr of dpss-worker on {PLACE}")


@pytest.fixture
def agent() -> Iterator[EcsAgent]:
    with EcsAgent() as agent:
        yield agent


def test_a_task_is_named_by_its_arn_and_its_log_by_group_stream_and_region(agent: EcsAgent) -> None:
    assert asyncio.run(identity(agent.metadata_uri)) == Identity(
        worker=f"{__version__} on {TASK_ARN}",
        log=f"CloudWatch Logs, group {LOG_GROUP}, stream {LOG_STREAM}, region {REGION}",
    )


@pytest.mark.parametrize(
    "container", [{}, {"LogDriver": "splunk"}, {"LogDriver": "awsfirelens", "LogOptions": {"Name": "s3"}}]
)
def test_a_log_that_goes_elsewhere_is_that_of_the_task(agent: EcsAgent, container: dict[str, Any]) -> None:
    agent.metadata["/v4/container"] = container
    assert asyncio.run(identity(agent.metadata_uri)).log == f"stderr of {TASK_ARN}"


@pytest.mark.parametrize("metadata_uri", [None, ""])
def test_a_worker_that_is_not_on_ecs_is_its_process(metadata_uri: str | None) -> None:
    with capture_logs() as lines:
        assert asyncio.run(identity(metadata_uri)) == PROCESS
    assert lines == []


@pytest.mark.parametrize("trouble", [Trouble.HTTP_500, Trouble.ERROR, Trouble.FAILURE])
def test_a_worker_whose_metadata_fail_is_its_process_and_says_so(agent: EcsAgent, trouble: Trouble) -> None:
    agent.fail(trouble)
    with capture_logs() as lines:
        assert asyncio.run(identity(agent.metadata_uri)) == PROCESS
    (line,) = lines
    assert line["log_level"] == "warning"
    assert line["error"]


@pytest.mark.parametrize("metadata_uri", ["http://127.0.0.1:1/v4/container", "no address", "http://["])
def test_a_worker_whose_metadata_are_not_there_is_its_process(metadata_uri: str) -> None:
    assert asyncio.run(identity(metadata_uri)) == PROCESS


def test_metadata_that_do_not_come_are_not_waited_for(agent: EcsAgent) -> None:
    agent.fail(Trouble.HANG)
    before = time.monotonic()
    assert asyncio.run(identity(agent.metadata_uri, patience_seconds=0.2)) == PROCESS
    assert time.monotonic() - before < 4
