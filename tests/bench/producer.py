"""``make bench-producer``: a day on which no project of a portal changed, beside the least that it could cost.

The least is a request for the catalog, one for each hundred projects and one for each manifest; then for the index one
to read that of yesterday, one for a thousand objects and one to write it anew. A bare loop makes just these and looks
at nothing. Portal and S3 are on loopback; S3's requests are counted in a run of their own, by a server between.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import boto3
import click
import urllib3

from infra.local import stack as stacks
from infra.local.emulator import client_environ
from producer.clients import CONFIG
from producer.plan import READERS
from producer.sources.azul import PAGE_PROJECTS, AzulSource
from producer.sources.portal import Portal
from producer.sources.project import Project
from shared import keys
from shared.manifest import Manifest, fingerprint
from shared.messages import now
from tests.bench.findings import Finding, conclude
from tests.bench.processes import SHOWN_CHARACTERS, Cost
from tests.bench.server import server
from tests.faults.proxy import FaultyServer
from tests.portals.azul import Azul, azul, entry, hit, tree, uuid

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DEFAULT_PROJECTS: Final = (1_000, 10_000)
TIMES_BARE: Final = 1.5
MORE_MIB: Final = 16.0
"""Promised: at most so many times as long as the bare loop, and so much more memory at the last size than the first."""
PREFIX: Final = "project-assets/project-stats/"
LISTED_OBJECTS: Final = 1_000
"""By one call (S3 API reference, ListObjectsV2)."""
FILES: Final = 5
"""Of a project, which are read together."""
RUN: Final = """
import sys
from producer.cli import main
from tests.bench.processes import own_peak_mib
code = main(["run", "--json"])
print(own_peak_mib(), file=sys.stderr)
sys.exit(code)
"""
"""The command, which then tells its peak memory: what the system tells of a child includes what its parent had."""


@dataclass(frozen=True)
class Day:
    """A portal of which everything is published already."""

    service: Azul
    stack: stacks.Stack
    n_projects: int

    @property
    def least(self) -> tuple[int, int]:
        """Requests of portal and S3 that no run can do without."""
        index = 1 + math.ceil((self.n_projects + 1) / LISTED_OBJECTS) + 1
        return 1 + math.ceil(self.n_projects / PAGE_PROJECTS), self.n_projects + index

    def environ(self, endpoint: str) -> dict[str, str]:
        """What the producer is told."""
        portal = {"DPSS_SOURCE": "fresh", "DPSS_PORTAL_URL": self.service.url, "DPSS_LOG_FORMAT": "json"}
        return os.environ | self.stack.environ() | client_environ(endpoint) | portal


def made(service: Azul, stack: stacks.Stack, s3: "S3Client", n_projects: int) -> Day:
    """A portal of so many projects, and their manifests."""
    names = [f"library-{number}.loom" for number in range(FILES)]
    service.hits = [
        hit(uuid(number), tree(*(entry(number * FILES + n, name) for n, name in enumerate(names))))
        for number in range(n_projects)
    ]

    def publish(project: Project) -> None:
        manifest = Manifest(
            project_id=project.project_id,
            generated_at=now(),
            inputs=(),
            fingerprint=fingerprint(project.matrices),
            entities=(),
        )
        key = PREFIX + keys.manifest(project.project_id)
        s3.put_object(Bucket=stack.figure_bucket, Key=key, Body=manifest.body())

    listed = (each for each in AzulSource(Portal(service.url)).projects() if isinstance(each, Project))
    with ThreadPoolExecutor(READERS) as pool:
        assert len(list(pool.map(publish, listed))) == n_projects
    return Day(service, stack, n_projects)


def run(day: Day, endpoint: str) -> Cost:
    """The daily run, which is to find every project up to date."""
    begin = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", RUN], env=day.environ(endpoint), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begin
    summary = json.loads(ended.stdout.splitlines()[-1])["summary"] if ended.stdout else {}
    if ended.returncode or summary.get("up_to_date") != day.n_projects:
        raise click.ClickException(f"the run ended with {summary}\n{ended.stderr[-SHOWN_CHARACTERS:]}")
    return Cost(seconds, float(ended.stderr.splitlines()[-1]))


def bare_loop(day: Day, s3: "S3Client") -> Cost:
    """Pages one after the other, manifests by as many threads as the producer has; nothing is looked at."""
    begin = time.perf_counter()
    pool, bucket = urllib3.PoolManager(), day.stack.figure_bucket
    pool.request("GET", f"{day.service.url}/index/catalogs")
    url: str | None = f"{day.service.url}/index/projects?catalog=dcp99&size={PAGE_PROJECTS}"
    with ThreadPoolExecutor(READERS) as readers:

        def read(key: str) -> int:
            return len(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

        while url:
            page = pool.request("GET", url).json()
            for each in page["hits"]:
                readers.submit(read, PREFIX + keys.manifest(each["entryId"]))
            url = page["pagination"]["next"]
    index = s3.get_object(Bucket=bucket, Key=PREFIX + keys.INDEX)["Body"].read()
    listed = sum(found["KeyCount"] for found in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket))
    assert listed > day.n_projects
    s3.put_object(Bucket=bucket, Key=PREFIX + keys.INDEX, Body=index)
    return Cost(time.perf_counter() - begin, 0)


def requests_of(day: Day, endpoint: str) -> tuple[int, int]:
    """How often a run asks the portal and S3."""
    before = len(day.service.portal.asked)
    with FaultyServer(endpoint) as counting:
        run(day, counting.address)
        return len(day.service.portal.asked) - before, len(counting.requests)


def findings(day: Day, asked: tuple[int, int], costs: Sequence[tuple[Cost, Cost]]) -> list[Finding]:
    """Requests, then times."""
    what = f"{day.n_projects:,} projects"
    ratios = [ours.seconds / bare.seconds for ours, bare in costs]
    requests = [
        Finding(f"{what}: requests to {name} / the least possible", n / least, at_most=1, note=f"{n:,} / {least:,}")
        for name, n, least in zip(("the portal", "S3"), asked, day.least, strict=True)
    ]
    return [
        *requests,
        Finding(f"{what}: the run / a bare loop, seconds", median(ratios), at_most=TIMES_BARE),
        Finding(f"{what}: the run, seconds", median(ours.seconds for ours, _ in costs)),
        Finding(f"{what}: the run, peak MiB", median(ours.peak_mib for ours, _ in costs)),
    ]


@click.command(context_settings={"show_default": True})
@click.argument("projects", nargs=-1, type=click.IntRange(1))
@click.option("--rounds", default=3, type=click.IntRange(1))
@click.option("--json", "as_json", is_flag=True)
def main(projects: Sequence[int], rounds: int, *, as_json: bool) -> None:
    """Print what a day without changes costs with so many PROJECTS; exit 1 where a promise is broken.

    [default: 1000 10000]
    """
    found, peaks = list[Finding](), list[float]()
    with server() as endpoint, azul() as service:
        os.environ.update(client_environ(endpoint))
        sqs, s3 = boto3.client("sqs"), boto3.client("s3", config=CONFIG)
        for n_projects in projects or DEFAULT_PROJECTS:
            click.echo(f"publishing {n_projects:,} projects", err=True)
            day = made(service, stacks.create(sqs, s3, f"bench-{n_projects}"), s3, n_projects)
            run(day, endpoint)  # makes the first index
            asked = requests_of(day, endpoint)
            costs = [(run(day, endpoint), bare_loop(day, s3)) for _ in range(rounds)]
            found += findings(day, asked, costs)
            peaks.append(found[-1].value)
    found.append(Finding("more memory at the last size than at the first, MiB", peaks[-1] - peaks[0], at_most=MORE_MIB))
    conclude(found, as_json=as_json)


if __name__ == "__main__":
    main()
