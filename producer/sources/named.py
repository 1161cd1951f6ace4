"""A matrix that a person names by its address."""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared import aws, keys
from shared.errors import EmptyMatrixError
from shared.messages import MatrixReference

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def named(uri: str, project_id: str, s3: "S3Client") -> MatrixReference:
    """A matrix in S3 is looked at for its version and size, another is taken as it is.

    Raises MatrixNotFoundError, AccessDeniedError, EmptyMatrixError or SourceUnavailableError.
    """
    if not uri.startswith("s3://"):
        return MatrixReference(uri=uri)
    bucket, key = keys.split_s3_uri(uri)
    try:
        head = s3.head_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError) as error:
        raise aws.explain(error, uri) from error
    if not head["ContentLength"]:
        raise EmptyMatrixError(f"{uri}: the object is empty")
    return MatrixReference(
        uri=uri,
        version=aws.etag(head["ETag"]),
        size_bytes=head["ContentLength"],
        species=_species(key.rpartition("/")[2], project_id),
    )


def _species(name: str, project_id: str) -> str | None:
    """The species in the canned name of this project's matrix; other names say nothing."""
    try:
        parsed = keys.parse_canned(name)
    except ValueError:
        return None
    return parsed.species if parsed.project_id == project_id else None
