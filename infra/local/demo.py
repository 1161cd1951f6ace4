"""The demo: samples in, the daily run, two workers, the index of projects, and a table of what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from rich.console import Console

from infra.local.fleet import Fleet, standing
from infra.local.outcome import Outcome, outcomes
from infra.local.processes import Processes, wait
from infra.local.progress import Progress
from infra.local.samples import PROJECTS
from shared import keys

WORKERS: Final = 2
IDLE_SECONDS: Final = 30
"""A worker with nothing to do leaves after this: longer than the first pauses before another try."""
LOOK_SECONDS: Final = 0.5
PRODUCER_SECONDS: Final = 300
"""Far more than the producer takes for the samples."""


class ProcessFailedError(Exception):
    """A process of the demo did not end well; its last words."""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a demo; ``figures`` is the folder to look at."""

    figures: Path
    enqueued: int
    outcomes: list[Outcome]

    @property
    def index(self) -> Path:
        """The page of all projects."""
        return self.figures / keys.INDEX

    @property
    def unexpected(self) -> list[Outcome]:
        """Samples that did not end as they should."""
        return [outcome for outcome in self.outcomes if not outcome.as_expected]

    def record(self) -> dict[str, Any]:
        """For programs."""
        return {
            "figures": str(self.figures),
            "index": str(self.index),
            "enqueued": self.enqueued,
            "as_expected": not self.unexpected,
            "projects": [outcome.record() for outcome in self.outcomes],
        }


def run(folder: Path, *, fresh: bool, table_to: IO[str]) -> Report:
    """The whole demo on the state in ``folder``; the producer's table goes to ``table_to``, progress to stderr."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("Starting SQS and S3 on loopback, with the samples and what earlier runs left …")
    with standing(folder, fresh=fresh) as fleet:
        environ = {**fleet.process_environ(), "DPSS_LOG_FORMAT": "json"}
        with Processes(environ, fleet.state.logs) as processes:
            _complete(processes, "producer", ["dpss-producer", "run", "--source", "canned", "--blacklist"], table_to)
            enqueued = fleet.messages()
            if enqueued:
                console.print(f"{WORKERS} workers begin on {enqueued} projects; their logs are in {fleet.state.logs}/")
                _work(fleet, processes, console)
                _complete(processes, "gallery", ["dpss-producer", "gallery"])
            else:
                console.print("Nothing new to do: every sample is as it was. (--fresh starts over.)")
        console.print(f"Keeping figures and dead letters in {folder}/ …")
    return Report(fleet.figures, enqueued, outcomes(PROJECTS, fleet.figures, fleet.state.kept_dead_letters()))


def _complete(processes: Processes, name: str, command: Sequence[str], stdout: IO[str] | None = None) -> None:
    process = processes.start(name, command, stdout)
    if not wait([process], PRODUCER_SECONDS) or process.failed:
        raise ProcessFailedError(process.last_words())


def _work(fleet: Fleet, processes: Processes, console: Console) -> None:
    """Until the queue is empty or the workers have left; an idle worker needs no more than to be told to stop."""
    command = ["dpss-worker", "run", "--until-idle", str(IDLE_SECONDS)]
    workers = [processes.start(f"worker-{number}", command) for number in range(1, WORKERS + 1)]
    waiting = [outcome.project for outcome in outcomes(PROJECTS, fleet.figures, ()) if outcome.ending == "not finished"]
    progress = Progress(PROJECTS, waiting, [worker.log for worker in workers], console)
    with progress.shown():
        while fleet.messages() and not wait(workers, LOOK_SECONDS):
            progress.look()
        progress.look()
    for worker in workers:
        if worker.failed:
            raise ProcessFailedError(worker.last_words())
