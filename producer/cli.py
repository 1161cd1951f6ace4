"""The command ``dpss-producer``: argv → settings → telemetry → clients → command."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

import click
import structlog
from botocore.exceptions import BotoCoreError, ClientError

from producer import blacklist as blacklists
from producer import clients, options, report, run_id
from producer import gallery as galleries
from producer import replay as replays
from producer import status as queues
from producer.dead_letters import DeadLetterQueue
from producer.enqueue import WorkQueue
from producer.plan import Plan, Request
from producer.progress import watched
from producer.published import FigureBucket
from producer.run import Run
from producer.sources.listed import source
from producer.sources.named import named
from producer.sources.project import Candidate, Project, Unusable
from shared import aws, messages, telemetry
from shared.errors import (
    BY_REASON,
    InternalError,
    InvalidMessageError,
    JobCrashedError,
    PublishFailedError,
    SettingsError,
    SummaryStatsError,
    one_line,
)
from shared.messages import Requester
from shared.settings import ProducerSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

FAILED: Final = 1
WRONG_USAGE: Final = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. The last line of stderr says what failed, reason code first."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return int(cli.main(args=argv, prog_name="dpss-producer", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return WRONG_USAGE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - each is told in one line, a defect with its trace
        explained = _in_our_words(error)
    if isinstance(explained, SettingsError):
        return _ended(WRONG_USAGE, f"Error: {explained}")
    return _ended(FAILED, f"{explained.reason}: {explained.line}")


def _in_our_words(error: BaseException) -> SummaryStatsError | SettingsError:
    match error:
        case SummaryStatsError() | SettingsError():
            return error
        case BotoCoreError() | ClientError():
            return aws.explain(error, "reaching AWS")
        case click.Abort() | KeyboardInterrupt():
            return JobCrashedError("interrupted; what was sent stays sent")
        case _:
            telemetry.logger("cli").error("a defect of ours", exc_info=error)
            return InternalError(f"{type(error).__name__}: {error}")


def _ended(code: int, line: str) -> int:
    click.echo(one_line(line), err=True)
    return code


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}, epilog=options.SETTINGS_HELP
)
def cli() -> None:
    """Send the projects that are due to the workers, and look after the two queues."""


@cli.command(epilog=options.SETTINGS_HELP)
@options.selecting
def run(projects: tuple[str, ...], *, force: bool, dry_run: bool, as_json: bool, **given: object) -> int:
    """The daily run: list all projects, leave out what is not due, enqueue the rest; then refresh their index."""
    settings = _configured(given, "figure_bucket", "" if dry_run else "queue_url", lists=True)
    s3 = clients.s3()
    plan = _plan(settings, s3, "schedule", projects, force=force)
    queue = _work_queue(settings, dry_run=dry_run)
    tally = Run(plan, _figures(settings, s3), queue, as_json).carry_out(source(settings, s3).projects())
    if queue:
        telemetry.metrics(
            {
                "ProjectsFound": (tally.found, "Count"),
                "ProjectsEnqueued": (tally.counts["enqueued"], "Count"),
                "ProjectsUnusable": (tally.counts["unusable"], "Count"),
                "ProjectsFailed": (tally.counts["failed"], "Count"),
            },
            environ=settings.environ,
        )
    unwritten = _refreshed(_figures(settings, s3)) if queue else None
    return _verdict(tally) or (_ended(FAILED, unwritten) if unwritten else 0)


@cli.command(epilog=options.SETTINGS_HELP)
@click.argument("project_ids", metavar="PROJECT_ID…", nargs=-1, callback=options.project_ids)
@options.matrices
@options.selecting
def enqueue(
    project_ids: tuple[str, ...],
    uris: tuple[str, ...],
    projects: tuple[str, ...],
    *,
    force: bool,
    dry_run: bool,
    as_json: bool,
    **given: object,
) -> int:
    """A message by hand for each PROJECT_ID: the matrices that the source lists, or those given with --matrix."""
    asked = tuple(dict.fromkeys((*project_ids, *projects)))
    if not asked:
        raise click.UsageError("name at least one PROJECT_ID")
    if uris and len(asked) > 1:
        raise click.UsageError("--matrix belongs to one project: name one PROJECT_ID")
    settings = _configured(given, "figure_bucket", "" if dry_run else "queue_url", lists=not uris)
    s3 = clients.s3()
    candidates: Iterable[Candidate]
    if plain := next((uri for uri in uris if uri.startswith("http://") and not _of_portal(uri, settings)), None):
        raise click.UsageError(f"--matrix {plain}: without TLS only DPSS_PORTAL_URL itself is asked; give https://")
    if uris:
        candidates = [Project(asked[0], tuple(named(uri, asked[0], s3) for uri in uris))]
    else:
        listed = source(settings, s3)
        candidates = (_asked_for(candidate, asked) for each in asked for candidate in listed.projects(each))
    plan = _plan(settings, s3, "manual", asked, force=force)
    queue = _work_queue(settings, dry_run=dry_run)
    return _verdict(Run(plan, _figures(settings, s3), queue, as_json, missing="failed").carry_out(candidates))


@cli.command(epilog=options.SETTINGS_HELP)
@options.as_json
def gallery(*, as_json: bool) -> int:
    """The index page of all projects, from the manifests and failure records below the figure prefix."""
    settings = _configured({}, "figure_bucket")
    written = galleries.refresh(_figures(settings, clients.s3()), live=not as_json)
    report.print_gallery(written, as_json=as_json)
    return 0


@cli.command(epilog=options.SETTINGS_HELP)
@options.as_json
def status(*, as_json: bool) -> int:
    """How deep the queues are, how old their oldest messages, and why letters are dead."""
    settings = _configured({}, "queue_url", "dlq_url")
    sqs = clients.sqs()
    now = datetime.now(UTC)
    work, dead = queues.depth(sqs, settings.queue_url), queues.depth(sqs, settings.dlq_url)
    oldest = queues.oldest_message_seconds(clients.cloudwatch(), settings.queue_url, now)
    with DeadLetterQueue(sqs, settings.dlq_url) as box:
        letters = queues.summarise(watched(box.letters(), "letters looked at"))
    report.print_status(queues.Status(now, work, dead, oldest, letters), as_json=as_json)
    return 0


@cli.group()
def dlq() -> None:
    """What is in the dead-letter queue, why, and back to work with it."""


@dlq.command("list", epilog=options.SETTINGS_HELP)
@options.as_json
def list_letters(*, as_json: bool) -> int:
    """Every dead letter and its reason; they stay where they are."""
    settings = _configured({}, "dlq_url")
    with DeadLetterQueue(clients.sqs(), settings.dlq_url) as box:
        report.print_letters(watched(box.letters(), "letters looked at", live=not as_json), as_json=as_json)
    return 0


@dlq.command(epilog=options.SETTINGS_HELP)
@click.argument("message_id")
@options.as_json
def show(message_id: str, *, as_json: bool) -> int:
    """All of one letter, found by its MESSAGE_ID; it stays where it is."""
    settings = _configured({}, "dlq_url")
    with DeadLetterQueue(clients.sqs(), settings.dlq_url) as box:
        letters = watched(box.letters(), "letters looked at")
        letter = next((letter for letter in letters if letter.message_id == message_id), None)
    if not letter:
        raise InvalidMessageError(
            f"no letter {message_id} is in the dead-letter queue (one in another reader's hands cannot be seen)"
        )
    report.print_letter(letter, as_json=as_json)
    return 0


@dlq.command(epilog=options.SETTINGS_HELP)
@click.option("--project", "projects", metavar="ID", multiple=True, help=f"Of this project; repeatable. {options.ALL}")
@click.option(
    "--reason",
    "reasons",
    type=click.Choice(sorted(BY_REASON)),
    metavar="CODE",
    multiple=True,
    help=f"Dead for this reason; repeatable. {options.ALL}",
)
@options.limit
@options.rate
@options.dry_run
@options.as_json
def replay(
    projects: tuple[str, ...],
    reasons: tuple[str, ...],
    limit: int | None,
    rate: float | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Dead letters back to the work queue: of the projects and for the reasons given, else all of them."""
    settings = _configured({}, "queue_url", "dlq_url")
    sqs = clients.sqs()
    selection = replays.Selection(datetime.now(UTC), frozenset(projects), frozenset(reasons))
    send = None if dry_run else replays.sender(sqs, settings.queue_url, replays.Pace(rate))
    counts, problem = Counter[replays.ReplayOutcome](), ""
    with DeadLetterQueue(sqs, settings.dlq_url) as box:
        replayed = replays.replay(box, send, selection, limit)
        for each in watched(replayed, "letters looked at", live=not (as_json or dry_run)):
            counts[each.outcome] += 1
            problem = problem or (each.code and f"{each.code}: {each.letter.message_id}: {each.reason}")
            report.print_replayed(each, as_json=as_json)
    report.print_replay(counts, dry_run=dry_run, as_json=as_json)
    return _ended(FAILED, problem) if problem else 0


def _refreshed(figures: FigureBucket) -> str | None:
    """The index after a run: why it could not be written, which does not undo the run."""
    log = telemetry.logger("gallery")
    try:
        written = galleries.refresh(figures, live=False)
    except Exception as error:  # noqa: BLE001 - the run has its own outcome to tell
        explained = _in_our_words(error)
        reason = explained.reason if isinstance(explained, SummaryStatsError) else PublishFailedError.reason
        line = f"{reason}: the index of projects was not written: {one_line(str(explained))}"
        log.warning(line)
        return line
    for project_id, problem in written.unreadable:
        log.warning("cannot be read", project_id=project_id, problem=problem)
    log.info("index written", uri=written.uri, projects=written.states.total())
    return None


def _configured(given: dict[str, Any], *required: str, lists: bool = False) -> ProducerSettings:
    """Settings, complete for the command; one that ``lists`` projects needs a source."""
    settings = ProducerSettings.load(os.environ, **given)
    from_bucket = (lists and settings.source == "canned") or settings.blacklist
    settings.require(*filter(None, required), *(["matrix_bucket"] if from_bucket else []))
    telemetry.configure(settings.log_format, settings.metric_namespace)
    aws.adopt_region(os.environ)
    return settings


def _asked_for(candidate: Candidate, asked: Sequence[str]) -> Candidate:
    """Who asks for a project by its id is failed by one that cannot be used."""
    if isinstance(candidate, Unusable) and candidate.name in asked:
        return replace(candidate, outcome="failed")
    return candidate


def _of_portal(uri: str, settings: ProducerSettings) -> bool:
    return urlsplit(uri)[:2] == urlsplit(settings.portal_url)[:2]


def _figures(settings: ProducerSettings, s3: "S3Client") -> FigureBucket:
    return FigureBucket(s3, settings.figure_bucket, settings.figure_prefix)


def _work_queue(settings: ProducerSettings, *, dry_run: bool) -> WorkQueue | None:
    return None if dry_run else WorkQueue(clients.sqs(), settings.queue_url)


def _plan(
    settings: ProducerSettings, s3: "S3Client", requested_by: Requester, targets: Iterable[str], *, force: bool
) -> Plan:
    blacklist = frozenset[str]()
    if settings.blacklist:
        blacklist = blacklists.read(s3, settings.matrix_bucket, settings.blacklist_key)
    request = Request(settings.source, run_id.new(), requested_by, messages.now(), force)
    structlog.contextvars.bind_contextvars(run_id=request.run_id)
    return Plan(request, frozenset(targets), blacklist)


def _verdict(tally: report.Tally) -> int:
    """The exit code of a run: its last line names what stopped it, else the first project that failed."""
    failed = tally.counts["failed"]
    if tally.error:
        return _ended(FAILED, f"{tally.error.reason}: {tally.error.line}")
    if not failed:
        return 0
    first = tally.examples["failed"][0]
    others = f" (and {failed - 1:,} more failed)" if failed > 1 else ""
    return _ended(FAILED, f"{first.code}: {first.project_id}: {first.reason}{others}")


if __name__ == "__main__":
    sys.exit(main())
