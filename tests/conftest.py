"""Fixtures that every room shares: a real SQS and S3 over HTTP, and a stack of queues and buckets of one's own."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import structlog
from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local import emulator as local
from infra.local import stack as stacks
from shared.settings import PREFIX
from worker.limits import THREADS

DATA = Path(__file__).parent / "data"

os.environ.update(THREADS | os.environ)  # before anything imports numpy


@pytest.fixture(autouse=True)
def _clean_log_context() -> Iterator[None]:
    """No test inherits what another bound to its log lines."""
    yield
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The address of one embedded SQS and S3."""
    with local.emulator() as address:
        yield address


@pytest.fixture
def aws(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """AWS clients of this process and its children talk to the embedded server; no DPSS setting is inherited."""
    for name in [name for name in os.environ if name.startswith((PREFIX, "AWS_"))]:
        monkeypatch.delenv(name)
    for name, value in local.client_environ(endpoint).items():
        monkeypatch.setenv(name, value)
    return endpoint


@pytest.fixture
def sqs(aws: str) -> Iterator[SQSClient]:
    """A client of the embedded SQS."""
    client = boto3.client("sqs", endpoint_url=aws)
    yield client
    client.close()


@pytest.fixture
def s3(aws: str) -> Iterator[S3Client]:
    """A client of the embedded S3."""
    client = boto3.client("s3", endpoint_url=aws)
    yield client
    client.close()


@pytest.fixture
def stack(sqs: SQSClient, s3: S3Client) -> stacks.Stack:
    """Queues and buckets that no other test uses."""
    return stacks.create(sqs, s3, f"test-{uuid.uuid4().hex[:12]}")
