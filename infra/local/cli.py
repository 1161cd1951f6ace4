"""The fleet on one machine: ``dpss-local demo`` and ``dpss-local up``."""

import contextlib
import json
import os
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console

from infra.local import demo as demos
from infra.local.fleet import standing
from infra.local.outcome import table
from infra.local.processes import Interrupted, stop_on_signals
from shared import __version__
from shared.errors import InternalError, SettingsError

WIDTH: Final = 150
"""Of the table where no terminal says its own, in characters."""
SIGNALLED: Final = 128
"""Exit code of what a signal ended, less the signal's number (POSIX shells)."""

_STATE = click.option(
    "--state",
    "folder",
    metavar="DIR",
    default=Path(".demo"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder that keeps figures and dead letters from run to run.",
)
_FRESH = click.option("--fresh", is_flag=True, help="Forget earlier runs first.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__)
def main() -> None:
    """The fleet on one machine: SQS and S3 on loopback, sample projects, and the processes that the images run."""


@main.command()
@_STATE
@_FRESH
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON; the producer's table goes to stderr.")
@click.option(
    "--serve/--no-serve", default=None, help="Serve the pages at the end, until Ctrl-C.  [default: on a terminal]"
)
def demo(folder: Path, *, fresh: bool, as_json: bool, serve: bool | None) -> None:
    """Work the samples from queue to figures.

    The daily run enqueues what is new, two workers take it, and a table says what came of each sample: figures, or a
    dead letter and its reason. Then the pages are served on loopback. Run again, nothing is new. Exits 1 where a sample
    did not end as it should.
    """
    _obedient(lambda: _demo(folder, fresh=fresh, as_json=as_json))
    if serve if serve is not None else sys.stdout.isatty() and not as_json:
        _obedient(lambda: _serve(folder, as_json=as_json))


@main.command()
@_STATE
@_FRESH
@click.option("--json", "as_json", is_flag=True, help="Print the variables as one JSON object.")
def up(folder: Path, *, fresh: bool, as_json: bool) -> None:
    """Keep SQS and S3 up, with the samples in, and print the variables that point any process there.

    Ends with Ctrl-C; what was published meanwhile, and the dead letters, are kept in the state folder.
    """
    _obedient(lambda: _up(folder, fresh=fresh, as_json=as_json))


def _demo(folder: Path, *, fresh: bool, as_json: bool) -> None:
    report = demos.run(folder, fresh=fresh, table_to=sys.stderr if as_json else sys.stdout)
    if as_json:
        click.echo(json.dumps(report.record(), indent=1))
    else:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
        console.print(table(report.outcomes))
        click.echo(
            f"\nThe figures are in {os.path.relpath(report.figures)}/, and their pages begin at index.html there."
        )
    if report.unexpected:
        names = "; ".join(f"{outcome.project.title} ({outcome.ending})" for outcome in report.unexpected)
        _fail(1, f"{InternalError.reason}: not as expected: {names}; logs are in {folder / 'logs'}/")


def _serve(folder: Path, *, as_json: bool) -> None:
    with contextlib.suppress(Interrupted), standing(folder, fresh=False) as fleet:
        click.echo(f"To look at: {fleet.index} (served until Ctrl-C)", err=as_json)
        _wait()


def _up(folder: Path, *, fresh: bool, as_json: bool) -> None:
    with standing(folder, fresh=fresh) as fleet:
        lines = [f"export {name}={shlex.quote(value)}" for name, value in fleet.environ.items()]
        click.echo(json.dumps(fleet.environ, indent=1) if as_json else "\n".join(lines))
        click.echo("SQS and S3 are up until Ctrl-C. The lines above, pasted into a shell, point it here.", err=True)
        click.echo(f"The page of all projects, once dpss-producer gallery made it: {fleet.index}", err=True)
        _wait()


def _wait() -> NoReturn:
    while True:
        signal.pause()


def _obedient(command: Callable[[], Any]) -> None:
    """``command``, its failures on one line, and its end by a signal said with the signal's exit code."""
    stop_on_signals()
    try:
        command()
    except Interrupted as stop:
        _fail(SIGNALLED + stop.signal_number, "Stopped; nothing is left running.")
    except SettingsError as error:
        _fail(2, f"settings: {error}")
    except demos.ProcessFailedError as error:
        _fail(1, f"{error}\n{InternalError.reason}: a process of the demo failed; its last lines are above")


def _fail(exit_code: int, line: str) -> None:
    click.echo(line, err=True)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
