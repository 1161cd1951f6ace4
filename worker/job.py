"""One project in a process of its own: fetch its matrices, build its figures, tell the parent how it went."""

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import boto3
import structlog
from botocore.config import Config

from shared import aws, telemetry
from shared.errors import InternalError, JobOutOfMemoryError, SettingsError, SummaryStatsError
from shared.messages import MatrixReference
from worker import limits
from worker.addresses import AllowedPlaces
from worker.beside import found_in_s3
from worker.build import Request, build
from worker.child import Job
from worker.fetch import Fetched, fetch
from worker.hops import Client
from worker.matrices import scratch as room

log = telemetry.logger("job")


def main(job: Job, writer: Connection) -> None:
    """Work ``job`` as a child: report stages to the parent, then ``done`` or the reason it failed."""
    telemetry.configure(job.log_format)
    with structlog.contextvars.bound_contextvars(**job.log_context):
        try:
            _work(job, lambda stage: _say(writer, stage=stage))
        except SummaryStatsError as error:
            _say(writer, reason=error.reason, error=error.line)
        except SettingsError as error:
            _say(writer, reason=InternalError.reason, error=str(error))
        except MemoryError:
            _say(writer, reason=JobOutOfMemoryError.reason, error=_refused(job.memory_mib))
        except Exception as error:
            log.exception("defect")
            _say(writer, reason=InternalError.reason, error=f"{type(error).__name__}: {error}")
        else:
            _say(writer, done=True)


def _refused(ceiling_mib: int | None) -> str:
    size = limits.resident_mib(os.getpid())
    peak = f" at a peak of {size.peak:,.0f} MiB" if size else ""
    bound = f"; its ceiling is {ceiling_mib:,} MiB (DPSS_JOB_MEMORY_MIB)" if ceiling_mib else ""
    return f"more memory was refused{peak}{bound}"


def _say(writer: Connection, **word: object) -> None:
    writer.send_bytes(json.dumps(word).encode())


def _work(job: Job, progress: Callable[[str], None]) -> None:
    folder = Path(job.folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix="work-") as scratch, room.writing(folder):
        progress("fetch")
        inputs = _fetch_all(job, Path(scratch))
        manifest = build(Request(job.project_id, job.key_prefix, job.figure_formats), inputs, folder, progress)
        (folder / "manifest.json").write_bytes(manifest.body())


def _fetch_all(job: Job, scratch: Path) -> list[Fetched]:
    s3 = boto3.client("s3", config=Config(**aws.CLIENT_OPTIONS))
    client = Client(AllowedPlaces(job.portal_url, job.allowed_hosts))
    references = [MatrixReference.model_validate(matrix) for matrix in job.matrices]
    named = [reference.uri for reference in references]
    fetched = []
    for number, reference in enumerate(references):
        folder = scratch / f"input-{number}"
        folder.mkdir()
        matrix = fetch(reference, folder, s3, client)
        fetched.append(replace(matrix, found=found_in_s3(matrix, named, folder, s3)))
    return fetched
