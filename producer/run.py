"""One run: candidates through the plan, onto the queue and into the report."""

from collections.abc import Iterable
from dataclasses import dataclass

from producer import report
from producer.enqueue import WorkQueue
from producer.listing import Listing
from producer.plan import Outcome, Plan, decisions
from producer.progress import watched
from producer.published import FigureBucket
from producer.sources.project import Candidate
from shared.errors import SummaryStatsError


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
                report.print_decision(decision, as_json=self.as_json)
        except SummaryStatsError as error:
            tally.error = error
        tally.error = tally.error or listing.error
        report.print_run(tally, dry_run=not self.queue, as_json=self.as_json)
        return tally
