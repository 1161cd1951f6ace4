"""What the operator reads on stdout: tables for people, JSON lines for programs. Hostile text is shown, not obeyed."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from producer.dead_letters import DeadLetter, json_or_none
from producer.gallery import Written
from producer.index_page import STATES
from producer.plan import Decision, Outcome
from producer.replay import Replayed, ReplayOutcome
from producer.status import Status
from shared.errors import SummaryStatsError

MAX_LISTED: Final = 20
"""Unusable and failed projects named in the table; JSON lists all."""
MAX_LETTERS: Final = 500
"""Letters in the table; JSON lists all."""
PIPE_COLUMNS: Final = 500
"""Where no terminal sets the width, rows stay whole for grep."""

OUTCOMES: Final[dict[Outcome, str]] = {
    "blacklisted": "blacklisted",
    "up_to_date": "up to date",
    "not_targeted": "not targeted",
    "unusable": "unusable",
    "due": "would be enqueued",
    "enqueued": "enqueued",
    "failed": "failed",
}
REPLAY_OUTCOMES: Final[dict[ReplayOutcome, str]] = {
    "replayed": "replayed",
    "due": "would be replayed",
    "skipped": "skipped",
    "failed": "failed",
    "not_deleted": "replayed, but not deleted",
}


@dataclass(slots=True)
class Tally:
    """Decisions counted as they pass; keeps the first few that need a person's eye, and what ended the run early."""

    found: int = 0
    counts: Counter[Outcome] = field(default_factory=Counter)
    examples: dict[Outcome, list[Decision]] = field(default_factory=lambda: {"unusable": [], "failed": []})
    error: SummaryStatsError | None = None

    def add(self, decision: Decision) -> None:
        """Count one decision."""
        self.found += decision.listed
        self.counts[decision.outcome] += 1
        kept = self.examples.get(decision.outcome)
        if kept is not None and len(kept) < MAX_LISTED:
            kept.append(decision)


def print_decision(decision: Decision, *, as_json: bool) -> None:
    """A JSON line for every decision; for people, a line for what a dry run would send."""
    uris = [matrix.uri for matrix in decision.message.matrices] if decision.message else []
    if as_json:
        row = {"project_id": decision.project_id, "outcome": decision.outcome, "code": decision.code}
        _print_json({**row, "reason": decision.reason, "matrices": uris, **asdict(decision.choice)})
    elif decision.outcome == "due":
        _print_line(f"would send {decision.project_id}: {' '.join(uris)}")


def print_run(tally: Tally, *, dry_run: bool, as_json: bool) -> None:
    """The counts that end a run and, for people, the projects that need their eye."""
    counts = {outcome: tally.counts[outcome] for outcome in OUTCOMES if dry_run or outcome != "due"}
    if as_json:
        error = tally.error and {"code": tally.error.reason, "reason": tally.error.line}
        _print_json({"summary": {"found": tally.found, **counts, "dry_run": dry_run, "error": error}})
        return
    _print_table(["projects", ""], [("found", tally.found), *((OUTCOMES[outcome], n) for outcome, n in counts.items())])
    for outcome, decisions in tally.examples.items():
        if decisions:
            why = [(decision.project_id, decision.code, decision.reason) for decision in decisions]
            _print_table([OUTCOMES[outcome], "code", "reason"], why)
            _print_more(tally.counts[outcome] - len(decisions))


def print_letters(letters: Iterable[DeadLetter], *, as_json: bool) -> None:
    """Every dead letter with its reason, and how many there are."""
    reasons, rows = Counter[str](), list[dict[str, str]]()
    for letter in letters:
        reasons[letter.reason] += 1
        if as_json:
            _print_json(_letter_row(letter))
        elif len(rows) < MAX_LETTERS:
            rows.append(_letter_row(letter))
    if as_json:
        _print_json({"summary": {"letters": reasons.total(), "by_reason": dict(reasons.most_common())}})
    elif rows:
        _print_table([name.replace("_", " ") for name in rows[0]], [list(row.values()) for row in rows])
        _print_more(reasons.total() - len(rows))
    else:
        _print_line("no dead letters")


def print_letter(letter: DeadLetter, *, as_json: bool) -> None:
    """All of a letter: what is known, its attributes, its body (as it is in JSON, else laid out where it is JSON)."""
    summary, attributes, system = _letter_row(letter), letter.attributes, letter.system
    if as_json:
        _print_json({**summary, "attributes": attributes, "system": system, "body": letter.body})
        return
    own = {name: value.get("StringValue", repr(value.get("BinaryValue"))) for name, value in attributes.items()}
    _print_table(["letter", ""], list(summary.items()))
    _print_table(["message attribute", "value"], sorted(own.items()))
    _print_table(["SQS attribute", "value"], sorted(system.items()))
    document = json_or_none(letter.body)
    laid_out = letter.body if document is None else json.dumps(document, indent=2, ensure_ascii=False)
    for line in laid_out.split("\n"):
        _print_line(line)


def print_replayed(replayed: Replayed, *, as_json: bool) -> None:
    """A JSON line for every letter; for people, a line for what a dry run would send and for what went wrong."""
    letter, outcome = replayed.letter, replayed.outcome
    if as_json:
        row = {"message_id": letter.message_id, "project_id": letter.project_id, "reason": letter.reason}
        _print_json({**row, "outcome": outcome, "code": replayed.code, "problem": replayed.reason})
    elif outcome in ("due", "failed", "not_deleted"):
        told = [letter.message_id, letter.project_id, replayed.reason or letter.reason]
        _print_line(f"{REPLAY_OUTCOMES[outcome]}: {' '.join(filter(None, told))}")


def print_replay(counts: Counter[ReplayOutcome], *, dry_run: bool, as_json: bool) -> None:
    """The counts that end a replay."""
    shown = {outcome: counts[outcome] for outcome in REPLAY_OUTCOMES if outcome != ("replayed" if dry_run else "due")}
    if as_json:
        _print_json({"summary": {**shown, "dry_run": dry_run}})
    else:
        _print_table(["letters", ""], [(REPLAY_OUTCOMES[outcome], count) for outcome, count in shown.items()])


def print_status(status: Status, *, as_json: bool) -> None:
    """Both queues, and the dead letters by reason."""
    ages = {"work": status.oldest_message_seconds, "dead_letters": status.oldest_letter_seconds}
    depths = {"work": asdict(status.work), "dead_letters": asdict(status.dead_letters)}
    if as_json:
        queues = {name: {**depth, "oldest_message_seconds": ages[name]} for name, depth in depths.items()}
        _print_json({"summary": {**queues, "by_reason": status.letters.by_reason}})
        return
    rows = [
        (name.replace("_", " "), *depth.values(), _age(ages[name]) if any(depth.values()) else "-")
        for name, depth in depths.items()
    ]
    _print_table(["queue", "visible", "in flight", "delayed", "oldest message"], rows)
    if status.letters.by_reason:
        _print_table(["dead letters by reason", ""], list(status.letters.by_reason.items()))


def print_gallery(written: Written, *, as_json: bool) -> None:
    """Where the index is, of how many projects, and those whose records could not be read."""
    for project_id, problem in written.unreadable:
        if as_json:
            _print_json({"project_id": project_id, "unreadable": problem})
        else:
            _print_line(f"cannot be read: {project_id}: {problem}")
    if as_json:
        counts: dict[str, int] = {state: written.states[state] for state in STATES}
        summary = {"projects": written.states.total(), **counts, "uri": written.uri, "bytes": written.bytes}
        _print_json({"summary": summary})
        return
    states = ", ".join(
        f"{written.states[state]:,} {label.lower()}" for state, (label, _) in STATES.items() if written.states[state]
    )
    _print_line(f"{written.states.total():,} projects ({states or 'none yet'}): {written.uri}")


def _letter_row(letter: DeadLetter) -> dict[str, str]:
    return {
        "message_id": letter.message_id,
        "project_id": letter.project_id,
        "reason": letter.reason,
        "stage": letter.said("stage"),
        "attempts": letter.said("attempts"),
        "failed_at": letter.said("failed_at"),
        "error": letter.error,
    }


def _age(seconds: float | None) -> str:
    if seconds is None:
        return "not known"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _console() -> Console:
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def _literal(text: str) -> Text:
    """Text that rich prints without looking for markup, every control and formatting character written out."""
    return Text("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def _print_json(row: Mapping[str, Any]) -> None:
    """One JSON line, at once; everything beyond ASCII is escaped, and bytes are shown as Python writes them."""
    print(json.dumps(row, default=repr), flush=True)  # noqa: T201 - stdout is what this file is for


def _print_line(text: str) -> None:
    _console().print(_literal(text), soft_wrap=True)


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str | int]]) -> None:
    """Numbers stand to the right with their thousands marked."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(header):
        numeric = any(isinstance(row[number], int) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_literal(f"{cell:,}" if isinstance(cell, int) else cell) for cell in row))
    console = _console()
    with console.capture() as laid_out:
        console.print(table)
    console.out("\n".join(line.rstrip() for line in laid_out.get().split("\n")), end="")


def _print_more(count: int) -> None:
    if count > 0:
        _print_line(f"and {count:,} more, --json lists all")
