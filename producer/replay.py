"""Dead letters back onto the work queue: selected, paced, sent first and deleted second."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final, Literal

from botocore.exceptions import BotoCoreError, ClientError

from producer.batches import Sleep
from producer.dead_letters import PREFIX, DeadLetter, DeadLetterQueue
from shared import aws
from shared.errors import PublishFailedError, SummaryStatsError

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ReplayOutcome = Literal["replayed", "due", "skipped", "failed", "not_deleted"]
REQUESTED_BY: Final = PREFIX + "requested_by"


@dataclass(frozen=True, slots=True)
class Selection:
    """The letters to replay: sent no later than ``until``; an empty set of projects or reasons takes all of them."""

    until: datetime
    projects: frozenset[str] = field(default_factory=frozenset)
    reasons: frozenset[str] = field(default_factory=frozenset)

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of them."""
        return (
            letter.sent_at <= self.until
            and (not self.projects or letter.project_id in self.projects)
            and (not self.reasons or letter.reason in self.reasons)
        )


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of a letter; ``not_deleted`` was sent but is still among the dead letters, a harmless duplicate."""

    letter: DeadLetter
    outcome: ReplayOutcome
    code: str = ""
    reason: str = ""


class Pace:
    """At most ``rate`` steps a second, evenly; None is no limit."""

    def __init__(
        self, rate: float | None, clock: Callable[[], float] = time.monotonic, sleep: Sleep = time.sleep
    ) -> None:
        self._interval = 1 / rate if rate else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = clock()

    def wait(self) -> None:
        """Return when the next step is due."""
        pause = self._next - self._clock()
        if pause > 0:
            self._sleep(pause)
        self._next = max(self._next, self._clock()) + self._interval


def parse_rate(text: str) -> float:
    """``5``, ``0.5`` or ``5/s`` as steps a second; ValueError for anything else."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(?:/s)?", text.strip())
    rate = float(match[1]) if match else 0.0
    if not rate:
        raise ValueError(f"{text!r} is no rate above zero like 5 or 5/s")
    return rate


def replay(
    dead_letters: DeadLetterQueue, send: Callable[[DeadLetter], None] | None, selection: Selection, limit: int | None
) -> Iterator[Replayed]:
    """What becomes of each letter, up to ``limit`` selected ones; nothing is sent or deleted without ``send``."""
    taken = 0
    for letter in dead_letters.letters():
        if not selection.takes(letter):
            yield Replayed(letter, "skipped")
            continue
        yield _replayed(dead_letters, letter, send) if send else Replayed(letter, "due")
        taken += 1
        if taken == limit:
            return


def sender(sqs: "SQSClient", queue_url: str, pace: Pace) -> Callable[[DeadLetter], None]:
    """Sends a letter's body to the work queue, byte for byte, with the attributes that were not written on its death.

    Raises PublishFailedError, AccessDeniedError or SettingsError.
    """

    def send(letter: DeadLetter) -> None:
        pace.wait()
        own = {name: value for name, value in letter.attributes.items() if not name.startswith(PREFIX)}
        try:
            sqs.send_message(
                QueueUrl=queue_url,
                MessageBody=letter.body,
                MessageAttributes={**own, REQUESTED_BY: {"DataType": "String", "StringValue": "replay"}},
            )
        except (BotoCoreError, ClientError) as error:
            raise aws.explain(error, "sending to the work queue", PublishFailedError) from error

    return send


def _replayed(dead_letters: DeadLetterQueue, letter: DeadLetter, send: Callable[[DeadLetter], None]) -> Replayed:
    try:
        send(letter)
    except SummaryStatsError as error:
        return Replayed(letter, "failed", error.reason, error.line)
    try:
        dead_letters.delete(letter)
    except SummaryStatsError as error:
        return Replayed(letter, "not_deleted", error.reason, f"sent, but {error.line}")
    return Replayed(letter, "replayed")
