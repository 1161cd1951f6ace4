"""A source's candidates on their way to the plan, with an eye on what is lacking."""

from collections.abc import Iterable, Iterator

from producer.sources.project import Candidate, Project
from shared.errors import SummaryStatsError


class Listing:
    """Candidates up to the ``error`` that ends them, if one does: what came before it is still decided and sent."""

    def __init__(self, candidates: Iterable[Candidate], targets: Iterable[str]) -> None:
        self._candidates = candidates
        self._unseen = dict.fromkeys(sorted(targets))
        self.error: SummaryStatsError | None = None

    def __iter__(self) -> Iterator[Candidate]:
        try:
            for candidate in self._candidates:
                name = candidate.project_id if isinstance(candidate, Project) else candidate.name
                self._unseen.pop(name, None)
                yield candidate
        except SummaryStatsError as error:
            self.error = error

    def lacking(self) -> list[str]:
        """The targets that did not come by; none can be named where the listing ended early."""
        return [] if self.error else list(self._unseen)
