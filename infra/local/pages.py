"""Pages and their figures for a browser on this machine, which signs no requests: the bucket has to let it read."""

import json
from typing import TYPE_CHECKING

from shared import keys

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def let_anyone_read(s3: "S3Client", bucket: str) -> None:
    """Objects of ``bucket`` are served to who asks without a signature."""
    actions = ["s3:GetObject", "s3:HeadObject"]  # the second is moto's own
    allow = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": f"arn:aws:s3:::{bucket}/*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allow]}))


def index_address(endpoint: str, bucket: str, prefix: str) -> str:
    """Where a browser finds the page of all projects."""
    return f"{endpoint}/{bucket}/{prefix}{keys.INDEX}"
