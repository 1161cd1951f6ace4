"""The dead-letter queue, looked through without taking anything away."""

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import batched
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from producer.batches import Sleep, settle
from shared import aws, telemetry
from shared.errors import InvalidMessageError, JobCrashedError, PublishFailedError
from shared.messages import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import (
        ChangeMessageVisibilityBatchRequestEntryTypeDef,
        MessageAttributeValueOutputTypeDef,
        MessageTypeDef,
    )

VISIBILITY_SECONDS: Final = 900
"""A letter that is looked at is hidden from other readers for so long, unless it is released before."""
WAIT_SECONDS: Final = 1
"""A long poll, however short, asks all of SQS's servers; a short poll only some (SQS developer guide)."""
EMPTY_RECEIVES: Final = 2
"""Receives without a new letter that end the look, once the queue counts none as visible."""
MAX_EMPTY_RECEIVES: Final = 10
"""The same, whatever the queue counts: its number is approximate."""
NO_REASON: Final = "left without a word: SQS moved the message here after its last attempt, whose worker died"
NO_ROOM: Final = "the message is about as long as SQS allows, which left no room for what was wrong with it"
PREFIX: Final = "dpss."
REASON_BYTES: Final = 64
"""More than a reason's name, type and code take."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter; ``attributes`` are the message's own, ``system`` those that SQS gives it."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: "dict[str, MessageAttributeValueOutputTypeDef]" = field(default_factory=dict)
    system: dict[str, str] = field(default_factory=dict)

    def said(self, name: str) -> str:
        """What the worker wrote under ``dpss.{name}``, empty where it wrote nothing."""
        value = self.attributes.get(PREFIX + name)
        return value.get("StringValue", "") if value else ""

    @property
    def reason(self) -> str:
        """The reason code; a letter without one was moved by SQS itself, or left no room for one."""
        return self.said("reason") or (InvalidMessageError if self._is_full else JobCrashedError).reason

    @property
    def _is_full(self) -> bool:
        return len(self.body.encode()) + REASON_BYTES > MAX_MESSAGE_BYTES

    @property
    def error(self) -> str:
        """The line that says what went wrong."""
        if self.said("reason"):
            return self.said("error") or NO_ROOM
        return NO_ROOM if self._is_full else NO_REASON

    @property
    def project_id(self) -> str:
        """The project that the body names, empty where it names none."""
        document = json_or_none(self.body)
        value = document.get("project_id") if isinstance(document, dict) else None
        return value if isinstance(value, str) else ""

    @property
    def sent_at(self) -> datetime:
        """When the letter was sent; one that SQS moved keeps the time of its message."""
        return datetime.fromtimestamp(int(self.system["SentTimestamp"]) / 1_000, UTC)


def json_or_none(body: str) -> Any:
    """``body`` parsed, None where it is no JSON that a parser takes."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


class DeadLetterQueue(AbstractContextManager["DeadLetterQueue"]):
    """The dead-letter queue; when the block ends, however it does, all letters not deleted are visible again."""

    def __init__(self, sqs: "SQSClient", url: str, sleep: Sleep = time.sleep) -> None:
        self._sqs, self._url, self._sleep = sqs, url, sleep
        self._held: dict[str, str] = {}
        self._seen: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def letters(self) -> Iterator[DeadLetter]:
        """Every letter once, as it is received. Raises AccessDeniedError, SourceUnavailableError or SettingsError."""
        empty = 0
        while empty < EMPTY_RECEIVES or (empty < MAX_EMPTY_RECEIVES and self._visible()):
            received = [_letter(message) for message in self._receive()]
            fresh = [letter for letter in received if letter.message_id not in self._seen]
            self._held |= {letter.message_id: letter.receipt_handle for letter in received}
            self._seen |= {letter.message_id for letter in fresh}
            empty = 0 if fresh else empty + 1
            yield from fresh

    def delete(self, letter: DeadLetter) -> None:
        """Take a letter away for good. Raises PublishFailedError or AccessDeniedError."""
        handle = self._held[letter.message_id]
        try:
            self._sqs.delete_message(QueueUrl=self._url, ReceiptHandle=handle)
        except (BotoCoreError, ClientError) as error:
            raise aws.explain(error, "deleting the letter", PublishFailedError) from error
        del self._held[letter.message_id]

    def _receive(self) -> "list[MessageTypeDef]":
        try:
            answer = self._sqs.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=aws.BATCH_ENTRIES,
                VisibilityTimeout=VISIBILITY_SECONDS,
                WaitTimeSeconds=WAIT_SECONDS,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
        except (BotoCoreError, ClientError) as error:
            raise aws.explain(error, "reading the dead-letter queue") from error
        return answer.get("Messages", [])

    def _visible(self) -> bool:
        name: Final = "ApproximateNumberOfMessages"
        try:
            answer = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=[name])
        except (BotoCoreError, ClientError) as error:
            raise aws.explain(error, "counting the dead-letter queue") from error
        return int(answer["Attributes"][name]) > 0

    def _release(self) -> None:
        for handles in batched(self._held.values(), aws.BATCH_ENTRIES):
            entries: list[ChangeMessageVisibilityBatchRequestEntryTypeDef] = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for number, handle in enumerate(handles)
            ]
            try:
                failures = settle(
                    lambda left: self._sqs.change_message_visibility_batch(QueueUrl=self._url, Entries=left),
                    entries,
                    self._sleep,
                )
            except (BotoCoreError, ClientError) as error:
                _warn(len(entries), str(aws.explain(error, "releasing letters")))
                continue
            # The sender's fault here is a letter that is visible or gone already.
            stuck = [failure for failure in failures.values() if not failure.sender_fault]
            if stuck:
                _warn(len(stuck), stuck[0].reason)
        self._held.clear()


def _warn(letters: int, reason: str) -> None:
    telemetry.logger("dead_letters").warning(
        "letters stay hidden for a while", letters=letters, at_most_seconds=VISIBILITY_SECONDS, reason=reason
    )


def _letter(message: "MessageTypeDef") -> DeadLetter:
    return DeadLetter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes=message.get("MessageAttributes", {}),
        system={str(name): value for name, value in message.get("Attributes", {}).items()},
    )
