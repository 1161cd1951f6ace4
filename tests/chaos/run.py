"""The chaos run: workers are killed, frozen and told to stop, behind a network that fails."""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from infra.local import stack as stacks
from infra.local.emulator import client_environ
from infra.local.processes import Processes, wait
from infra.local.stack import Stack
from producer.dead_letters import DeadLetterQueue
from producer.status import depth
from shared.settings import PREFIX, WorkerSettings
from tests.chaos.campaign import Campaign
from tests.chaos.observer import Observer, Store
from tests.chaos.seat import Ended, Seat
from tests.chaos.server import served
from tests.chaos.tormentor import Tormentor
from tests.chaos.verdict import CRASHED, SLACK_SECONDS, STOP_SECONDS, Facts, Letter
from tests.faults.proxy import FaultyServer
from tests.faults.weather import Weather

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

GRACE_SECONDS: Final = 5
START_SECONDS: Final = 120
"""For a worker to start, on a machine that has other things to do."""
LOOK_SECONDS: Final = 0.1
COUNT_SECONDS: Final = 0.5
TELL_SECONDS: Final = 10
SENDING: Final = 0.7
"""Share of the torment in which messages are sent."""
SCRATCH, TEMPORARY, LOGS = "scratch", "temporary", "logs"


@dataclass(frozen=True)
class Plan:
    """What is to be gone through; ``seconds`` of torment, then up to ``calm_seconds`` until all is done."""

    seed: int
    messages: int = 300
    workers: int = 3
    seconds: float = 240
    lease: int = 10
    torment_every: float = 6
    faults: float = 0.2
    calm_seconds: float = 1_800


@dataclass(frozen=True)
class Ground:
    """What the run stands on: the embedded AWS, a server that fails before each worker, folders."""

    sqs: "SQSClient"
    s3: "S3Client"
    stack: Stack
    store: Store
    servers: list[FaultyServer]
    weathers: list[Weather]
    environ: dict[str, str]
    folder: Path

    def in_work(self) -> str | None:
        """The project whose matrix was asked for last."""
        place = f"/{self.stack.matrix_bucket}/"
        asked = [request for server in self.servers for request in server.requests[-30:] if place in request.path]
        last = max(asked, key=lambda request: request.at, default=None)
        return last.path.removeprefix(place).partition(".")[0] if last else None

    def messages_left(self) -> int:
        """Messages in the work queue, those in hand or pausing among them."""
        return sum(astuple(depth(self.sqs, self.stack.queue_url)))


def run(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Facts:
    """Go through ``plan``; gives what is found afterwards. ``folder`` is where workers work, and log below ``logs``."""
    lot = random.Random(plan.seed)  # noqa: S311 - to be repeated, not to be secret
    with _standing(plan, folder) as ground:
        campaign = Campaign(ground.sqs, ground.s3, ground.stack, lot)
        tormentor = Tormentor(lot, plan.torment_every, plan.lease)
        observer = Observer(ground.store, campaign.projects, plan.seed)
        with ExitStack() as stack, observer.looking():
            seats = [stack.enter_context(seat) for seat in _seats(ground)]
            _torment(plan, ground, campaign, tormentor, seats, tell)
            for weather in ground.weathers:
                weather.bad = False
            _work_off(plan, ground, seats, tell)
            _stop(seats)
        ended = [*(ended for seat in seats for ended in seat.ended), _sweep(ground)]
        return _facts(ground, campaign, tormentor, observer, seats, ended)


@contextmanager
def _standing(plan: Plan, folder: Path) -> Iterator[Ground]:
    for name in (SCRATCH, TEMPORARY, LOGS):
        (folder / name).mkdir()
    with ExitStack() as stack:
        address = stack.enter_context(served())
        aws = boto3.Session("emulator", "emulator", region_name=client_environ(address)["AWS_REGION"])
        sqs, s3 = aws.client("sqs", endpoint_url=address), aws.client("s3", endpoint_url=address)
        made = stacks.create(sqs, s3, "chaos")
        servers = [stack.enter_context(FaultyServer(address)) for _ in range(plan.workers)]
        weathers = [Weather(plan.seed + number, plan.faults) for number in range(plan.workers)]
        for server, weather in zip(servers, weathers, strict=True):
            server.rules.append(weather)
        store = Store(s3, made.figure_bucket, WorkerSettings.load({}).figure_prefix)
        environ = _environ(plan, made, folder) | client_environ(address)
        yield Ground(sqs, s3, made, store, servers, weathers, environ, folder)


def _environ(plan: Plan, stack: Stack, folder: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "AWS_"))}
    return {
        **inherited,
        **stack.environ(),
        "DPSS_VISIBILITY_SECONDS": str(plan.lease),
        "DPSS_SHUTDOWN_GRACE_SECONDS": str(GRACE_SECONDS),
        "DPSS_SCRATCH_DIR": str(folder / SCRATCH),
        "DPSS_LOG_FORMAT": "json",
        "TMPDIR": str(folder / TEMPORARY),
    }


def _seats(ground: Ground) -> Iterator[Seat]:
    for number, server in enumerate(ground.servers, 1):
        environ = ground.environ | {"AWS_ENDPOINT_URL": server.address}
        yield Seat(f"worker-{number}", environ, ground.folder / LOGS)


def _torment(
    plan: Plan, ground: Ground, campaign: Campaign, tormentor: Tormentor, seats: list[Seat], tell: Callable[[str], None]
) -> None:
    clock = Clock("torment", plan.seconds, tell)
    while clock.passed < plan.seconds or campaign.sent.total() < plan.messages:
        due = plan.messages * clock.passed / (SENDING * plan.seconds)
        if campaign.sent.total() < min(due, plan.messages):
            campaign.send(ground.in_work())
        else:
            time.sleep(LOOK_SECONDS)
        for seat in seats:
            seat.tend()
        tormentor.torment(seats)
        clock.say(lambda: f"{campaign.sent.total()} sent, {ground.messages_left()} left, {_so_far(ground, tormentor)}")


def _so_far(ground: Ground, tormentor: Tormentor) -> str:
    faults = sum(weather.injected.total() for weather in ground.weathers)
    return f"{tormentor.done.total()} torments, {faults} faults"


def _work_off(plan: Plan, ground: Ground, seats: list[Seat], tell: Callable[[str], None]) -> None:
    """Until the queue is empty; one that is not so in time is found out later."""
    clock = Clock("calm", plan.calm_seconds, tell)
    while (left := ground.messages_left()) and clock.passed < plan.calm_seconds:
        for seat in seats:
            seat.tend()
        clock.say(lambda: f"{left} left")
        time.sleep(COUNT_SECONDS)


def _stop(seats: list[Seat]) -> None:
    _await(lambda: all(seat.is_up for seat in seats), seats, START_SECONDS)
    for seat in seats:
        seat.retire()
    _await(lambda: all(seat.has_ended for seat in seats), seats, GRACE_SECONDS + STOP_SECONDS + SLACK_SECONDS)


def _await(condition: Callable[[], bool], seats: list[Seat], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        for seat in seats:
            seat.tend()


def _sweep(ground: Ground) -> Ended:
    """A last worker, which finds nothing but what others left."""
    with Processes(ground.environ, ground.folder / LOGS) as processes:
        worker = processes.start("sweeper", ["dpss-worker", "run", "--until-idle", "1"])
        wait([worker], START_SECONDS)
    return Ended("sweeper", "terminated", worker.popen.returncode, 0.0, worker.last_words().splitlines()[-1])


def _facts(
    ground: Ground,
    campaign: Campaign,
    tormentor: Tormentor,
    observer: Observer,
    seats: list[Seat],
    ended: list[Ended],
) -> Facts:
    published = {project_id: ground.store.manifest(project_id) for project_id in campaign.projects}
    manifests = {project_id: manifest for project_id, manifest in published.items() if manifest}
    digests = [ground.store.digests(manifest) for manifest in manifests.values()]
    places = (ground.folder / SCRATCH, ground.folder / TEMPORARY)
    return Facts(
        projects=campaign.projects,
        sent=campaign.sent,
        rubbish=campaign.rubbish,
        letters=list(_letters(ground)),
        manifests=manifests,
        digests={key: digest for each in digests for key, digest in each.items()},
        keys=ground.store.keys(),
        messages_left=ground.messages_left(),
        scratch_left=sorted(str(path.relative_to(ground.folder)) for place in places for path in place.rglob("*")),
        processes_left=sorted(pid for seat in seats for pid in seat.processes()),
        ended=ended,
        grace_seconds=GRACE_SECONDS,
        torments=tormentor.done,
        faults=sum((weather.injected for weather in ground.weathers), Counter[str]()),
        peak_mib=max(seat.peak_mib for seat in seats),
        looks=observer.judged,
        seen=observer.seen,
        outlived=[which for seat in seats for which in seat.outlived],
        defects=[line for seat in seats for line in seat.defects],
    )


def _letters(ground: Ground) -> Iterator[Letter]:
    with DeadLetterQueue(ground.sqs, ground.stack.dlq_url) as letters:
        for letter in letters.letters():
            yield Letter(letter.project_id, letter.said("reason") or CRASHED, letter.said("error"), letter.body)


class Clock:
    """The time since ``phase`` began, which may take ``seconds``; told now and then."""

    def __init__(self, phase: str, seconds: float, tell: Callable[[str], None]) -> None:
        self._phase, self._seconds, self._tell = phase, seconds, tell
        self._began = self._said = time.monotonic()

    @property
    def passed(self) -> float:
        """Seconds since the phase began."""
        return time.monotonic() - self._began

    def say(self, how_far: Callable[[], str]) -> None:
        """Tell how far it is, if it is time to."""
        if time.monotonic() - self._said >= TELL_SECONDS:
            self._said = time.monotonic()
            self._tell(f"{self._phase}, {self.passed:.0f} of {self._seconds:.0f} s: {how_far()}")
