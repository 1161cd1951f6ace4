"""One run: candidates through the plan, onto the queue and into the report."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from producer import report
from producer.enqueue import WorkQueue
from producer.listing import Listing
from producer.plan import Outcome, Plan, decisions
from producer.progress import watched
from producer.published import FigureBucket
from producer.sources.project import Candidate
from shared import telemetry
from shared.errors import SummaryStatsError

LOGGED: Final[tuple[Outcome, ...]] = ("enqueued", "unusable", "failed")
"""What becomes of a project that somebody may ask the log about later."""

log = telemetry.logger("run")


@dataclass(frozen=True, slots=True)
class Run:
    """What a run needs; no ``queue`` is a dry run, ``missing`` is what becomes of a target that is not listed."""

    plan: Plan
    figures: FigureBucket
    queue: WorkQueue | None
    as_json: bool
    missing: Outcome = "unusable"

    def carry_out(self, candidates: Iterable[Candidate]) -> report.Tally:
        """Decide, send and report, a project at a time. Raises SettingsError."""
        listing, tally = Listing(candidates, self.plan.targets), report.Tally()
        decided = decisions(listing, self.plan, self.figures.published, self.missing)
        if self.queue:
            decided = self.queue.deliver(decided)
        try:
            for decision in watched(decided, "projects", live=bool(self.queue) and not self.as_json):
                tally.add(decision)
                if decision.outcome in LOGGED:
                    log.info(
                        decision.outcome, project_id=decision.project_id, code=decision.code, reason=decision.reason
                    )
                report.print_decision(decision, as_json=self.as_json)
        except SummaryStatsError as error:
            tally.error = error
        tally.error = tally.error or listing.error
        report.print_run(tally, dry_run=not self.queue, as_json=self.as_json)
        return tally
