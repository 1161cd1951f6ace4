"""What the command line takes: options, their help, and what is refused before anything is done."""

import re
from collections.abc import Callable
from typing import Any, Final, get_args

import click
from pydantic import ValidationError

from producer.replay import parse_rate
from shared import keys
from shared.messages import PROJECT_ID_PATTERN, MatrixReference, Source
from shared.settings import Environ, ProducerSettings, variable

Command = Callable[..., Any]
OFF: Final = "[default: off; no env var]"
ALL: Final = "[default: all; no env var]"

SETTINGS_HELP: Final = """
\b
Settings from the environment, beside AWS's own (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL …):
  DPSS_QUEUE_URL, DPSS_DLQ_URL    the work queue and the dead-letter queue [no default]
  DPSS_MATRIX_BUCKET              bucket of the canned matrices and of the blacklist [no default]
  DPSS_MATRIX_PREFIX              [default: project-assets/project-matrices/]
  DPSS_FIGURE_BUCKET              bucket of what is published [no default]
  DPSS_FIGURE_PREFIX              [default: project-assets/project-stats/]
  DPSS_BLACKLIST_KEY              [default: blacklist]
  DPSS_PORTAL_URL                 base address of the portal's service [default: by --source and --environ]
  DPSS_LOG_FORMAT                 json or console, on stderr [default: console on a terminal, else json]
  DPSS_METRIC_NAMESPACE           CloudWatch's, one for each deployment [default: DataPortalSummaryStats]

\b
Exit codes: 0 done; 1 something failed, the last line of stderr says what; 2 wrong usage or settings.
"""


def _setting(field: str) -> str:
    """The end of an option's help: default and variable of the setting behind it."""
    default = ProducerSettings.model_fields[field].default
    return f"[default: {str(default).lower()}; env var: {variable(field)}]"


def project_ids(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Project ids, each once."""
    for value in given:
        if not re.fullmatch(PROJECT_ID_PATTERN, value):
            raise click.BadParameter(f"{value!r} is no project id (1 to 128 of A-Z a-z 0-9 _ -)")
    return tuple(dict.fromkeys(given))


def _matrix_uris(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for uri in given:
        try:
            MatrixReference(uri=uri)
            if uri.startswith("s3://"):
                keys.split_s3_uri(uri)
        except ValidationError as error:
            raise click.BadParameter(f"{uri!r}: {error.errors()[0]['msg']}") from None
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return given


def _rate(_context: click.Context, _parameter: click.Parameter, given: str | None) -> float | None:
    try:
        return parse_rate(given) if given is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


as_json: Final = click.option(
    "--json", "as_json", is_flag=True, help=f"JSON lines instead of tables, a summary last. {OFF}"
)
dry_run: Final = click.option("--dry-run", is_flag=True, help=f"Print what would be sent, send nothing. {OFF}")
matrices: Final = click.option(
    "--matrix",
    "uris",
    metavar="URI",
    multiple=True,
    callback=_matrix_uris,
    help="A matrix of the one PROJECT_ID, s3:// or https://, instead of those the source lists; may be repeated. "
    "[default: the source's; no env var]",
)
rate: Final = click.option(
    "--rate",
    metavar="N/s",
    callback=_rate,
    help="At most so many a second, like 5 or 0.5/s. [default: as fast as it goes; no env var]",
)
limit: Final = click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="At most so many. [default: no limit; no env var]"
)


def selecting(command: Command) -> Command:
    """The options that ``run`` and ``enqueue`` share."""
    options = [
        click.option("--environ", type=click.Choice(get_args(Environ)), help=f"Deployment. {_setting('environ')}"),
        click.option(
            "--source",
            type=click.Choice(get_args(Source)),
            help=f"Where projects and their matrices are listed. {_setting('source')}",
        ),
        click.option(
            "--blacklist",
            is_flag=False,
            flag_value="true",
            type=click.Choice(["true", "false"], case_sensitive=False),
            help=f"Leave out the projects in DPSS_BLACKLIST_KEY; bare means true. {_setting('blacklist')}",
        ),
        click.option(
            "--project",
            "projects",
            metavar="ID",
            multiple=True,
            callback=project_ids,
            help=f"Only this project; may be repeated. {ALL}",
        ),
        click.option(
            "--force",
            is_flag=True,
            help=f"Send also what is up to date or failed before, but not what is blacklisted. {OFF}",
        ),
        dry_run,
        as_json,
    ]
    for option in reversed(options):
        command = option(command)
    return command
