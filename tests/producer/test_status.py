"""How the queues stand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from mypy_boto3_cloudwatch import CloudWatchClient
from mypy_boto3_sqs import SQSClient

from infra.local.stack import Stack
from producer import status
from tests.producer.conftest import Command
from tests.producer.letters import bury, message_body, visible


@pytest.fixture
def cloudwatch(aws: str) -> Iterator[CloudWatchClient]:
    """A client of the embedded CloudWatch."""
    client = boto3.client("cloudwatch", endpoint_url=aws)
    yield client
    client.close()


def _report_age(cloudwatch: CloudWatchClient, stack: Stack, seconds: float, at: datetime) -> None:
    cloudwatch.put_metric_data(
        Namespace="AWS/SQS",
        MetricData=[
            {
                "MetricName": "ApproximateAgeOfOldestMessage",
                "Dimensions": [{"Name": "QueueName", "Value": stack.queue_url.rpartition("/")[2]}],
                "Value": seconds,
                "Timestamp": at,
            }
        ],
    )


def test_depths_ages_and_reasons_are_told(
    dpss: Command, sqs: SQSClient, stack: Stack, cloudwatch: CloudWatchClient
) -> None:
    # given two messages waiting, one in flight, one delayed, three dead letters and a metric
    for number in range(3):
        sqs.send_message(QueueUrl=stack.queue_url, MessageBody=message_body(f"p{number}"))
    sqs.receive_message(QueueUrl=stack.queue_url, MaxNumberOfMessages=1)
    sqs.send_message(QueueUrl=stack.queue_url, MessageBody="later", DelaySeconds=900)
    for reason in ("timeout", "timeout", ""):
        bury(sqs, stack, message_body("p"), reason)
    _report_age(cloudwatch, stack, 3_725, datetime.now(UTC) - timedelta(minutes=2))
    # when asked
    found = dpss("status", "--json").summary
    # then all of it is told, and the letters are where they were
    assert found["work"] == {"visible": 2, "in_flight": 1, "delayed": 1, "oldest_message_seconds": 3_725}
    assert found["by_reason"] == {"timeout": 2, "crashed": 1}
    assert found["dead_letters"]["visible"] == 3
    assert 0 <= found["dead_letters"]["oldest_message_seconds"] < 60
    table = dpss("status").out
    assert "1 h 2 min" in table
    assert "timeout" in table
    assert visible(sqs, stack.dlq_url) == 3


def test_an_age_without_a_metric_is_not_known_and_an_empty_queue_has_none(
    dpss: Command, sqs: SQSClient, stack: Stack
) -> None:
    assert "not known" not in dpss("status").out
    sqs.send_message(QueueUrl=stack.queue_url, MessageBody="waits")
    done = dpss("status")
    assert done.code == 0
    assert done.out.count("not known") == 1


def test_the_last_datapoint_counts(cloudwatch: CloudWatchClient, stack: Stack) -> None:
    now = datetime.now(UTC)
    for age, minutes in ((10, 9), (30, 3), (20, 6), (99, 60)):
        _report_age(cloudwatch, stack, age, now - timedelta(minutes=minutes))
    assert status.oldest_message_seconds(cloudwatch, stack.queue_url, now) == 30


def test_a_cloudwatch_that_does_not_answer_is_no_failure(dpss: Command) -> None:
    done = dpss("status", "--json", AWS_ENDPOINT_URL_CLOUDWATCH="http://127.0.0.1:9")
    assert done.code == 0
    assert done.summary["work"]["oldest_message_seconds"] is None
    assert '"the oldest message\'s age is not known"' in done.err
