"""The worker's commands: argv, settings, telemetry, clients, run."""

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import click

from shared import __version__, aws, telemetry
from shared.errors import InternalError, SettingsError, SummaryStatsError, one_line
from shared.messages import PROJECT_ID_PATTERN
from shared.settings import WorkerSettings
from worker import kernels, limits
from worker.progress import describe, stage_progress


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
    DPSS_PORTAL_URL                 the portal; its host may be asked for matrices  [default: none]
    DPSS_ALLOWED_HOSTS              that https:// matrices may come from            [default: the portals']
    DPSS_WORKER_SLOTS               projects in hand at once                        [default: 1]
    DPSS_JOB_MEMORY_MIB             ceiling of one project                          [default: the container's]
    DPSS_JOB_TIMEOUT_SECONDS        time limit of one project                       [default: 21600]
    DPSS_SCRATCH_DIR                room for the matrix and its store               [default: the system's]
    DPSS_VISIBILITY_SECONDS         lease on a message, renewed while work goes on  [default: 120]
    DPSS_SHUTDOWN_GRACE_SECONDS     how long a worker told to stop tries to finish  [default: 90]
    DPSS_FIGURE_FORMATS             png or png,svg                                  [default: png]
    DPSS_LOG_FORMAT                 json or console                                 [default: console on a terminal]
    DPSS_METRIC_NAMESPACE           CloudWatch's, one for each deployment           [default: DataPortalSummaryStats]
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    try:
        settings = WorkerSettings.load(os.environ)
        settings.require("queue_url", "dlq_url", "figure_bucket")
        log_format = telemetry.configure(settings.log_format, settings.metric_namespace)
        os.environ.update(limits.THREADS | os.environ)
        aws.adopt_region(os.environ)
        from worker.service import consume  # noqa: PLC0415 - each child imports this module anew, and needs no clients

        asyncio.run(consume(settings, log_format, until_idle, os.environ))
    except SettingsError as error:
        _fail(2, f"settings: {error}")
    except SummaryStatsError as error:
        _fail(1, f"{error.reason}: {error.line}")
    except Exception as error:  # noqa: BLE001 - the last line of stderr explains whatever happened
        _fail_by_defect("worker", error)


@main.command()
@click.argument("matrix", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder to write to.")
@click.option("--project", "project_id", metavar="ID", help="What titles and folders say.  [default: the file's name]")
@click.option("--svg", is_flag=True, help="Draw SVG beside PNG.")
@click.option("--json", "as_json", is_flag=True, help="Print the manifest.")
def render(matrix: Path, out: Path, project_id: str | None, *, svg: bool, as_json: bool) -> None:
    """Make figures, tables, manifest and page of one MATRIX file in a folder. No AWS, no settings."""
    telemetry.configure(None)
    os.environ.update(limits.THREADS | os.environ)
    room = click.get_current_context().with_resource(tempfile.TemporaryDirectory(prefix="dpss-"))
    kernels.adopt(os.environ, Path(room))
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
        _fail_by_defect("render", error)
    click.echo(manifest.body() if as_json else describe(manifest, out))


def _fail_by_defect(room: str, error: Exception) -> NoReturn:
    telemetry.logger(room).error("defect", exc_info=error)
    _fail(1, f"{InternalError.reason}: {one_line(f'{type(error).__name__}: {error}')}")


def _fail(exit_code: int, line: str) -> NoReturn:
    click.echo(line, err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
