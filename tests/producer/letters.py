"""Dead letters as a worker leaves them."""

from typing import TYPE_CHECKING

from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from shared.messages import MatrixReference, ProjectMessage

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageAttributeValueTypeDef


def message_body(project_id: str) -> str:
    """A message that was fine when it was sent."""
    matrices = (MatrixReference(uri=f"s3://bucket/{project_id}.h5ad"),)
    return ProjectMessage(schema_version=1, project_id=project_id, matrices=matrices).body()


def bury(sqs: SQSClient, stack: Stack, body: str, reason: str = "", error: str = "cut short", **own: str) -> str:
    """Put a dead letter into the queue, without a reason as SQS itself would; gives its id."""
    said = {"dpss.reason": reason, "dpss.error": error, "dpss.attempts": "1", "dpss.stage": "read"} if reason else {}
    said |= {"dpss.failed_at": "2026-11-22T03:00:00Z"} if reason else {}
    attributes: dict[str, MessageAttributeValueTypeDef] = {
        name: {"DataType": "String", "StringValue": value} for name, value in (said | own).items()
    }
    return sqs.send_message(QueueUrl=stack.dlq_url, MessageBody=body, MessageAttributes=attributes)["MessageId"]


def visible(sqs: SQSClient, queue_url: str) -> int:
    """Messages that a receiver would get now."""
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["ApproximateNumberOfMessages"])
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])
