"""The queues and buckets of the fleet, with the attributes they have in AWS."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType

DAY_SECONDS = 86_400
MAX_RECEIVE_COUNT = 8
"""Attempts at a message; releases by stopping workers count among them."""

WORK_QUEUE_ATTRIBUTES: "dict[QueueAttributeNameType, str]" = {
    "VisibilityTimeout": "120",
    "ReceiveMessageWaitTimeSeconds": "20",
    "MessageRetentionPeriod": str(4 * DAY_SECONDS),
    "MaximumMessageSize": "1048576",
}
DEAD_LETTER_QUEUE_ATTRIBUTES: "dict[QueueAttributeNameType, str]" = {
    "MessageRetentionPeriod": str(14 * DAY_SECONDS),
    "MaximumMessageSize": "1048576",
}


@dataclass(frozen=True, slots=True)
class Stack:
    """Where the fleet's things are."""

    queue_url: str
    dlq_url: str
    matrix_bucket: str
    figure_bucket: str

    def environ(self) -> dict[str, str]:
        """The settings that point producer and worker here."""
        return {
            "DPSS_QUEUE_URL": self.queue_url,
            "DPSS_DLQ_URL": self.dlq_url,
            "DPSS_MATRIX_BUCKET": self.matrix_bucket,
            "DPSS_FIGURE_BUCKET": self.figure_bucket,
        }


def create(sqs: "SQSClient", s3: "S3Client", name: str = "dpss", max_receive_count: int = MAX_RECEIVE_COUNT) -> Stack:
    """Queues ``{name}-work`` and ``{name}-dead-letters``, buckets ``{name}-matrices`` and ``{name}-figures``."""
    dlq_url = sqs.create_queue(QueueName=f"{name}-dead-letters", Attributes=DEAD_LETTER_QUEUE_ATTRIBUTES)["QueueUrl"]
    dlq_arn = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": max_receive_count})
    queue_url = sqs.create_queue(
        QueueName=f"{name}-work", Attributes={**WORK_QUEUE_ATTRIBUTES, "RedrivePolicy": redrive}
    )["QueueUrl"]
    matrix_bucket, figure_bucket = f"{name}-matrices", f"{name}-figures"
    for bucket in (matrix_bucket, figure_bucket):
        s3.create_bucket(Bucket=bucket)
    return Stack(queue_url, dlq_url, matrix_bucket, figure_bucket)
