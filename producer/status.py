"""How the two queues stand."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from producer.dead_letters import DeadLetter
from shared import aws, telemetry

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_sqs import SQSClient

METRIC_LOOKBACK: Final = timedelta(minutes=15)
"""SQS reports each minute, up to 15 minutes late after a queue was idle (SQS developer guide, CloudWatch metrics)."""
METRIC_PERIOD_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Depth:
    """Approximate numbers of messages in a queue."""

    visible: int
    in_flight: int
    delayed: int


@dataclass(frozen=True, slots=True)
class DeadLetterSummary:
    """Dead letters by reason, commonest first, and when the oldest was sent."""

    by_reason: dict[str, int]
    oldest_sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """Both queues at one time; an age is None where it is not known."""

    at: datetime
    work: Depth
    dead_letters: Depth
    oldest_message_seconds: float | None
    letters: DeadLetterSummary

    @property
    def oldest_letter_seconds(self) -> float | None:
        """Age of the oldest dead letter."""
        sent_at = self.letters.oldest_sent_at
        return max(0.0, (self.at - sent_at).total_seconds()) if sent_at else None


def depth(sqs: "SQSClient", queue_url: str) -> Depth:
    """How many messages a queue holds. Raises AccessDeniedError, SourceUnavailableError or SettingsError."""
    try:
        found = sqs.get_queue_attributes(
            QueueUrl=queue_url,
            AttributeNames=[
                "ApproximateNumberOfMessages",
                "ApproximateNumberOfMessagesNotVisible",
                "ApproximateNumberOfMessagesDelayed",
            ],
        )["Attributes"]
    except (BotoCoreError, ClientError) as error:
        raise aws.explain(error, f"counting {queue_url}") from error
    return Depth(
        visible=int(found["ApproximateNumberOfMessages"]),
        in_flight=int(found["ApproximateNumberOfMessagesNotVisible"]),
        delayed=int(found["ApproximateNumberOfMessagesDelayed"]),
    )


def oldest_message_seconds(cloudwatch: "CloudWatchClient", queue_url: str, now: datetime) -> float | None:
    """Age of the oldest message by CloudWatch's last datapoint; None where there is none or it cannot be had."""
    try:
        points = cloudwatch.get_metric_statistics(
            Namespace="AWS/SQS",
            MetricName="ApproximateAgeOfOldestMessage",
            Dimensions=[{"Name": "QueueName", "Value": queue_url.rpartition("/")[2]}],
            StartTime=now - METRIC_LOOKBACK,
            EndTime=now,
            Period=METRIC_PERIOD_SECONDS,
            Statistics=["Maximum"],
        )["Datapoints"]
    except (BotoCoreError, ClientError) as error:
        reason = str(aws.explain(error, "reading CloudWatch"))
        telemetry.logger("status").warning("the oldest message's age is not known", reason=reason)
        return None
    return max(points, key=lambda point: point["Timestamp"])["Maximum"] if points else None


def summarise(letters: Iterable[DeadLetter]) -> DeadLetterSummary:
    """Count dead letters as they stream by."""
    reasons, oldest = Counter[str](), None
    for letter in letters:
        reasons[letter.reason] += 1
        oldest = min(oldest or letter.sent_at, letter.sent_at)
    return DeadLetterSummary(dict(reasons.most_common()), oldest)
