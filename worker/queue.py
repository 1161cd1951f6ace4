"""The two queues as the worker sees them: take a message, hold it, settle it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient


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

    async def receive(self, wait_seconds: int) -> list[Delivery]:
        """One message or none, hidden from others for ``visibility`` seconds from some time after the call."""
        before = time.monotonic()
        answer = await self.client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=1,
            WaitTimeSeconds=wait_seconds,
            VisibilityTimeout=self.visibility,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [
            Delivery(
                message_id=message["MessageId"],
                receipt_handle=message["ReceiptHandle"],
                body=message["Body"],
                attempt=int(message["Attributes"]["ApproximateReceiveCount"]),
                sent_at=int(message["Attributes"]["SentTimestamp"]) / 1_000,
                received=before,
            )
            for message in answer.get("Messages", [])
        ]

    async def hide(self, delivery: Delivery, seconds: int) -> None:
        """Keep the message from others for ``seconds`` from now; 0 makes it visible at once."""
        await self.client.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=delivery.receipt_handle, VisibilityTimeout=seconds
        )

    async def delete(self, delivery: Delivery) -> None:
        """The message is done with."""
        await self.client.delete_message(QueueUrl=self.url, ReceiptHandle=delivery.receipt_handle)

    async def bury(self, delivery: Delivery, attributes: Mapping[str, str]) -> None:
        """To the dead-letter queue first, off the work queue second: a crash between leaves two copies, never none."""
        await self.client.send_message(
            QueueUrl=self.dead_letter_url,
            MessageBody=delivery.body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
            },
        )
        await self.delete(delivery)
