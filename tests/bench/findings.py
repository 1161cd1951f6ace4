"""What a measurement found, beside what was promised: printed as a table, and the exit code."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import click


@dataclass(frozen=True, slots=True)
class Finding:
    """A number, the least or the most that was promised of it, and what else there is to say."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        """Whether the promise is kept; not-a-number keeps none."""
        at_least = self.at_least is None or self.value >= self.at_least
        at_most = self.at_most is None or self.value <= self.at_most
        return at_least and at_most

    @property
    def line(self) -> str:
        """The finding as a row of the table."""
        bounds = [(">=", self.at_least), ("<=", self.at_most)]
        told = " ".join(f"{sign} {_number(bound)}" for sign, bound in bounds if bound is not None)
        verdict = ("holds" if self.holds else "BROKEN") if told else ""
        return f"{self.what:<66} {_number(self.value):>9}  {told:<12} {verdict:<6}  {self.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def conclude(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print them; exit with 1 where a promise is broken."""
    if as_json:
        click.echo(json.dumps([{**asdict(finding), "holds": finding.holds} for finding in findings], indent=1))
    else:
        click.echo("\n".join(finding.line for finding in findings))
    if broken := [finding for finding in findings if not finding.holds]:
        click.echo(f"{len(broken)} of {len(findings)} broken: {'; '.join(each.what for each in broken)}", err=True)
        sys.exit(1)
