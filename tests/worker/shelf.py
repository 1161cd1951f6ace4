"""A bucket as the worker's parent sees it, behind a server that fails on demand."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from mypy_boto3_s3 import S3Client

from tests.faults.proxy import FaultyServer
from worker.objects import Bucket
from worker.persistence import CLIENT_OPTIONS

LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Shelf:
    """The bucket ``name`` behind ``server``, and a client that goes past it."""

    server: FaultyServer
    s3: S3Client
    name: str

    def run[T](self, work: Callable[[Bucket], Awaitable[T]]) -> T:
        """What ``work`` gives, with a client like the worker's."""

        async def with_client() -> T:
            config = AioConfig(**CLIENT_OPTIONS)
            async with get_session().create_client("s3", endpoint_url=self.server.address, config=config) as client:
                return await work(Bucket(client, self.name))

        return asyncio.run(with_client())

    def put(self, key: str, body: bytes) -> None:
        """Another writes there."""
        self.s3.put_object(Bucket=self.name, Key=key, Body=body)

    def body(self, key: str) -> bytes:
        """What is there."""
        return self.s3.get_object(Bucket=self.name, Key=key)["Body"].read()

    def objects(self) -> set[str]:
        """All that is there."""
        return {item["Key"] for item in self.s3.list_objects_v2(Bucket=self.name).get("Contents", [])}

    def changes(self) -> list[str]:
        """What the worker asked to be changed, in order: ``PUT key`` or ``DELETE key``."""
        asked = [request for request in self.server.requests if request.method in {"PUT", "DELETE"}]
        return [f"{request.method} {urlsplit(request.path).path.removeprefix(f'/{self.name}/')}" for request in asked]


async def until(state: Callable[[], object]) -> None:
    """Wait for a state while other tasks go on."""
    async with asyncio.timeout(60):
        while not state():  # noqa: ASYNC110 - what is waited for is in other threads
            await asyncio.sleep(LOOK_SECONDS)
