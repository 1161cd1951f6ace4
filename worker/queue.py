"""The two queues as the worker sees them: take messages, hold them, settle them. One attempt a call."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.messages import MAX_MESSAGE_BYTES
from worker.persistence import understood

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sqs.type_defs import MessageTypeDef, ReceiveMessageResultTypeDef

POLL_SECONDS: Final = 1
"""How long a receive waits for messages. A poll that is cut off may have been handed a message that nobody sees for a
lease, so a worker told to stop lets its poll end: it has to be short. An idle worker's 86,400 a day cost 4 cents."""
MOST_MESSAGES: Final = 10
"""Of one ReceiveMessage (SQS API reference)."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of a message; ``received`` on the monotonic clock, not too late; ``sent_at`` since the epoch."""

    message_id: str
    receipt_handle: str
    body: str
    attempt: int
    sent_at: float
    received: float


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """The work queue and its dead-letter queue; ``visibility`` in seconds, ``limit`` attempts before a dead letter."""

    client: "SQSClient"
    url: str
    dead_letter_url: str
    visibility: int
    limit: int

    async def receive(self, at_most: int) -> list[Delivery]:
        """Messages that are there or come within a second, hidden from others for ``visibility`` seconds."""
        before = time.monotonic()

        async def ask() -> "ReceiveMessageResultTypeDef":
            return await self.client.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=min(at_most, MOST_MESSAGES),
                WaitTimeSeconds=POLL_SECONDS,
                VisibilityTimeout=self.visibility,
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            )

        answer = await understood(ask)
        return [_delivery(message, before) for message in answer.get("Messages", [])]

    async def hide(self, delivery: Delivery, seconds: int) -> None:
        """Keep the message from others for ``seconds`` from now; 0 makes it visible at once."""
        await self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=delivery.receipt_handle, VisibilityTimeout=seconds
        )

    async def delete(self, delivery: Delivery) -> None:
        """The message is done with."""
        await self.client.delete_message(QueueUrl=self.url, ReceiptHandle=delivery.receipt_handle)

    async def send_anew(self, delivery: Delivery) -> None:
        """A copy to the work queue, of which no attempt was made yet."""
        await self.client.send_message(QueueUrl=self.url, MessageBody=delivery.body)

    async def send_dead_letter(self, delivery: Delivery, attributes: Mapping[str, str]) -> None:
        """A copy to the dead-letter queue, byte for byte, with as many ``attributes`` as there is room for."""
        await self.client.send_message(
            QueueUrl=self.dead_letter_url,
            MessageBody=delivery.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in fitting(delivery.body, attributes).items()
            },
        )


def fitting(body: str, attributes: Mapping[str, str]) -> dict[str, str]:
    """The first of ``attributes`` that SQS takes with ``body``: names, types and values count as parts of a message."""
    room = MAX_MESSAGE_BYTES - len(body.encode())
    kept = {}
    for name, value in attributes.items():
        room -= len(name) + len("String") + len(value.encode())
        if room < 0:
            break
        if value:
            kept[name] = value
    return kept


def _delivery(message: "MessageTypeDef", before: float) -> Delivery:
    return Delivery(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attempt=int(message["Attributes"]["ApproximateReceiveCount"]),
        sent_at=int(message["Attributes"]["SentTimestamp"]) / 1_000,
        received=before,
    )
