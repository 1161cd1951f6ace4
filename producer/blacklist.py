"""Projects that are not to be summarised: an object of one project id a line."""

import re
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, telemetry
from shared.errors import SettingsError, UnsupportedFormatError, one_line
from shared.messages import PROJECT_ID_PATTERN

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

COMMENT: Final = "#"
MAX_SHOWN_CHARACTERS: Final = 80
"""Of a line that is no project id, in a warning."""


def read(s3: "S3Client", bucket: str, key: str) -> frozenset[str]:
    """The ids in ``s3://bucket/key``; a missing object is an empty list and a warning.

    Raises AccessDeniedError, SourceUnavailableError, UnsupportedFormatError (not UTF-8), or SettingsError without a
    bucket.
    """
    uri = f"s3://{bucket}/{key}"
    try:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except (BotoCoreError, ClientError) as error:
        if aws.code(error) == "NoSuchBucket":
            raise SettingsError(f"DPSS_MATRIX_BUCKET: there is no bucket {bucket}") from error
        if not aws.is_missing(error):
            raise aws.explain(error, f"reading the blacklist {uri}") from error
        telemetry.logger("blacklist").warning("there is no blacklist, so no project is left out", uri=uri)
        return frozenset()
    return parse(body, uri)


def parse(body: bytes, place: str) -> frozenset[str]:
    """The ids in ``body``, without comments and blanks; a line that is no project id is warned of and has no effect."""
    try:
        lines = body.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise UnsupportedFormatError(f"{place}, line {line}, byte {error.start}: not UTF-8; save it as UTF-8") from None
    ids = {number: line.partition(COMMENT)[0].strip() for number, line in enumerate(lines, start=1)}
    for number, text in ids.items():
        if text and not re.fullmatch(PROJECT_ID_PATTERN, text):
            telemetry.logger("blacklist").warning(
                "a line of the blacklist is no project id",
                place=place,
                line=number,
                text=one_line(text, MAX_SHOWN_CHARACTERS),
            )
    return frozenset(filter(None, ids.values()))
