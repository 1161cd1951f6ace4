"""The days as a table (Markdown, for the README) and as a picture."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from infra.simulation.autoscaler import PERIOD_SECONDS
from infra.simulation.fleet import Minute
from infra.simulation.prices import HOUR
from infra.simulation.scenarios import NEVER, Shown, cost_2019_per_thousand, span

HEADINGS: Final = (
    "projects",
    "first worker after",
    "all done after",
    "back at zero after",
    "workers at most",
    "Spot interruptions",
    "busy workers killed by scaling",
    "cost",
    "of it idle",
    f"for 1,000 (2019: ${cost_2019_per_thousand():.2f})",
    "2019: all done after",
)
PICTURED: Final = {
    "100 are due": 1.0,
    "10,000 are due": 1.0,
    "1,000,000, limit 400": 24.0,
    "10,000 at once by hand": 1.0,
}
"""Days in the picture, and how many hours of them: from midnight or, of less than a day, from the first message: with
it begins all that happens."""
WORK, TASKS, COST = "#0072b2", "#d55e00", "#009e73"


def table(days: Sequence[Shown]) -> str:
    """In Markdown."""
    lines = ["| " + " | ".join(HEADINGS) + " |", "|" + "---|" * len(HEADINGS)]
    return "\n".join(lines + ["| " + " | ".join(_cells(day)) + " |" for day in days])


def _cells(shown: Shown) -> list[str]:
    outcome = shown.outcome
    drained = span(outcome.drained)
    if outcome.done < outcome.projects:
        drained = f"{outcome.done:,} on the first day"
    return [
        shown.day.name,
        span(outcome.first_task),
        drained,
        span(outcome.asleep),
        f"{outcome.most_tasks:,}",
        f"{outcome.interrupted:,}",
        f"{outcome.busy_killed:,}",
        f"${outcome.cost:,.2f}",
        f"${outcome.idle_cost:,.2f}",
        f"${outcome.cost_per_thousand:.2f}" if outcome.done else NEVER,
        span(shown.seconds_2019) if outcome.projects else NEVER,
    ]


def picture(days: Sequence[Shown], path: Path) -> None:
    """Backlog, workers and cost of some of the days, side by side."""
    chosen = [day for day in days if day.day.name in PICTURED]
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(13, 6.2), layout="constrained")
        rows: Any = figure.subplots(3, len(chosen), sharex="col", squeeze=False)
        for column, shown in enumerate(chosen):
            _column([row[column] for row in rows], shown, PICTURED[shown.day.name])
        for row, label in zip(rows, ("messages", "workers", "cost, $"), strict=True):
            row[0].set_ylabel(label)
        figure.suptitle(
            "The fleet by infra/scaling.tf, simulated; in all hours that are not shown: nothing, at no cost",
            fontsize=11,
        )
        figure.savefig(path, dpi=80, metadata={"Software": None})


def _column(axes: Sequence[Any], shown: Shown, hours: float) -> None:
    whole = hours >= 24  # noqa: PLR2004 - a day
    began = 0.0 if whole else shown.day.scenario.at // PERIOD_SECONDS * PERIOD_SECONDS
    minutes = [minute for minute in shown.outcome.minutes if began <= minute.at <= began + hours * HOUR]
    at = [(minute.at - began) / HOUR * (1 if whole else 60) for minute in minutes]
    for axis, color, values in zip(axes, (WORK, TASKS, COST), _series(minutes), strict=True):
        axis.fill_between(at, values, step="post", color=color, alpha=0.25, linewidth=0)
        axis.step(at, values, where="post", color=color, linewidth=1.2)
        axis.set_ylim(bottom=0)
        axis.margins(x=0)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:,.4g}" if value < 1_000 else f"{value:,.0f}")  # noqa: PLR2004
    axes[0].set_title(shown.day.name)
    axes[-1].set_xlabel("hour of the day" if whole else "minutes from the first message")


def _series(minutes: Sequence[Minute]) -> tuple[list[float], list[float], list[float]]:
    first = minutes[0].cost
    return [m.backlog for m in minutes], [m.tasks for m in minutes], [m.cost - first for m in minutes]
