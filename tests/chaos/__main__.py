"""``python -m tests.chaos``: the worker's promise under everything that can be done to it."""

import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

import click

from infra.local.cli import SIGNALLED
from infra.local.emulator import client_environ
from infra.local.processes import Interrupted, stop_on_signals
from shared.settings import PREFIX
from tests.chaos.run import LOGS, Plan, run
from tests.chaos.tally import lines, tally

NOWHERE = "http://127.0.0.1:9"
"""For a client that was not told where to go (RFC 863: the discard port)."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--messages", default=Plan.messages, type=click.IntRange(min=1), help="How many are sent.")
@click.option("--workers", default=Plan.workers, type=click.IntRange(min=1), help="How many work on them.")
@click.option(
    "--minutes", default=Plan.seconds / 60, type=click.FloatRange(min=0.1), help="How long they are tormented."
)
@click.option("--lease", default=Plan.lease, type=click.IntRange(min=2), help="DPSS_VISIBILITY_SECONDS.")
@click.option("--faults", default=Plan.faults, type=click.FloatRange(0, 1), help="Share of requests that fail.")
@click.option("--seed", type=int, help="What lots are drawn from; said at the start.  [default: another each time]")
@click.option("--json", "as_json", is_flag=True, help="Print the tally as JSON.")
def main(
    messages: int, workers: int, minutes: float, lease: int, faults: float, seed: int | None, *, as_json: bool
) -> None:
    """Kill, freeze and stop workers at random behind a network that fails; then count what came of their projects.

    Exits 1 where a promise was broken, and names every one.
    """
    stop_on_signals()
    for name in [name for name in os.environ if name.startswith(("AWS_", PREFIX))]:
        del os.environ[name]
    os.environ.update(client_environ(NOWHERE))
    seed = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    plan = Plan(seed, messages, workers, minutes * 60, lease, faults=faults)
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    click.echo(f"seed {seed}; the workers' logs are in {folder / LOGS}", err=True)
    try:
        counted = tally(run(plan, folder, lambda line: click.echo(line, err=True)))
    except Interrupted as stop:
        shutil.rmtree(folder)
        sys.exit(SIGNALLED + stop.signal_number)
    click.echo(json.dumps(counted, indent=1) if as_json else "\n".join(lines(counted)))
    if counted["broken_promises"]:
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
