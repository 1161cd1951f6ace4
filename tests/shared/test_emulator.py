"""The embedded server behaves as the fleet needs."""

from mypy_boto3_s3 import S3Client
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack


def test_a_stack_has_queues_with_a_redrive_policy_and_empty_buckets(stack: Stack, sqs: SQSClient, s3: S3Client) -> None:
    attributes = sqs.get_queue_attributes(QueueUrl=stack.queue_url, AttributeNames=["All"])["Attributes"]
    assert '"maxReceiveCount": 8' in attributes["RedrivePolicy"]
    assert attributes["VisibilityTimeout"] == "120"
    assert "Contents" not in s3.list_objects_v2(Bucket=stack.figure_bucket)
