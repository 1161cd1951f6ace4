"""The producer's AWS clients, made by its composition root."""

from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config

from producer.plan import READERS
from shared.aws import CLIENT_OPTIONS
from shared.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

CONFIG: Final = Config(**CLIENT_OPTIONS, max_pool_connections=READERS)
GLANCE: Final = CONFIG.merge(Config(retries={"mode": "standard", "total_max_attempts": 2}))
"""For what a command can do without."""


def s3() -> "S3Client":
    """S3; safe to share between threads."""
    return _made(lambda: boto3.client("s3", config=CONFIG))


def sqs() -> "SQSClient":
    """SQS."""
    return _made(lambda: boto3.client("sqs", config=CONFIG))


def cloudwatch() -> "CloudWatchClient":
    """CloudWatch."""
    return _made(lambda: boto3.client("cloudwatch", config=GLANCE))


def _made[C](make: "Callable[[], C]") -> C:
    """The client; SettingsError where the endpoint is no address."""
    try:
        return make()
    except ValueError as error:
        raise SettingsError(f"AWS_ENDPOINT_URL: {error}") from None
