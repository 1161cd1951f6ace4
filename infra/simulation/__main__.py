"""``make simulate``: a table to read, and the picture of the README."""

from pathlib import Path
from typing import Final

import click

from infra.simulation.policy import INFRA, Policy
from infra.simulation.report import picture, table
from infra.simulation.scenarios import DAYS, shown

PICTURE: Final = INFRA / "simulation" / "scaling.png"


@click.command()
@click.option(
    "--picture",
    "path",
    default=PICTURE,
    show_default=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where it is drawn.",
)
def main(path: Path) -> None:
    """Days of the fleet by the scaling policies in infra/*.tf: a table, and a picture."""
    policy = Policy.of_terraform()
    days = [shown(day, policy) for day in DAYS]
    target, limit = policy.backlog_per_task, policy.worker_max_tasks
    click.echo(f"By infra/variables.tf: {target} messages for each worker, {limit} workers at most")
    click.echo(table(days))
    picture(days, path)
    click.echo(f"drawn: {path}")


if __name__ == "__main__":
    main()
