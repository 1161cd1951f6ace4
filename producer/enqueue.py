"""Projects that are due, onto the work queue: in full batches, every entry's answer looked at."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from producer.batches import Sleep, settle
from producer.plan import Decision
from shared import aws
from shared.errors import PublishFailedError, SettingsError, SummaryStatsError
from shared.messages import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef


class WorkQueue:
    """The work queue, as its sender sees it."""

    def __init__(self, sqs: "SQSClient", url: str, sleep: Sleep = time.sleep) -> None:
        self._sqs, self._url, self._sleep = sqs, url, sleep

    def deliver(self, decisions: Iterable[Decision]) -> Iterator[Decision]:
        """What is due becomes enqueued or failed; every other decision passes by.

        Raises PublishFailedError, AccessDeniedError or SettingsError once the queue takes no calls at all.
        """
        batch, size = list[tuple[Decision, str]](), 0
        for decision in decisions:
            if decision.message is None:
                yield decision
                continue
            body = decision.message.body()
            size += len(body.encode())
            if len(batch) == aws.BATCH_ENTRIES or size > MAX_MESSAGE_BYTES:
                yield from self._send(batch)
                batch, size = [], len(body.encode())
            batch.append((decision, body))
        if batch:
            yield from self._send(batch)

    def _send(self, batch: list[tuple[Decision, str]]) -> Iterator[Decision]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": body} for number, (_, body) in enumerate(batch)
        ]
        try:
            failures = settle(
                lambda left: self._sqs.send_message_batch(QueueUrl=self._url, Entries=left), entries, self._sleep
            )
        except (BotoCoreError, ClientError) as error:
            explained = aws.explain(error, "sending to the work queue", PublishFailedError)
            if isinstance(explained, SettingsError):
                raise explained from error
            yield from (_failed(decision, explained) for decision, _ in batch)
            raise explained from error
        for number, (decision, _) in enumerate(batch):
            failure = failures.get(str(number))
            refused = failure and PublishFailedError(f"the work queue did not take the message: {failure.reason}")
            yield _failed(decision, refused) if refused else replace(decision, outcome="enqueued")


def _failed(decision: Decision, error: SummaryStatsError) -> Decision:
    return replace(decision, outcome="failed", code=error.reason, reason=error.line)
