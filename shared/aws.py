"""How a process reaches AWS: one set of limits for every client, and AWS's answers in our words."""

from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Final

from botocore.exceptions import (
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from shared.errors import (
    AccessDeniedError,
    MatrixNotFoundError,
    PassingError,
    SettingsError,
    SourceUnavailableError,
    SummaryStatsError,
    one_line,
)

USER_AGENT: Final = "data-portal-summary-stats"
CLIENT_OPTIONS: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 6},
    "user_agent_extra": USER_AGENT,
}
"""For botocore's Config; seconds. The read timeout is how long a connection may be silent, not a whole body."""

BATCH_ENTRIES: Final = 10
"""Entries of one SQS batch call (SQS API reference)."""

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchBucket", "NotFound"})
_FORBIDDEN = frozenset(
    {
        "401",
        "403",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
    }
)
_PRECONDITION = frozenset({"412", "PreconditionFailed", "409", "ConditionalRequestConflict"})
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "KMS.ThrottlingException",
        "KmsThrottled",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""What botocore's own retries take for throttling or a timeout, and what an encrypted queue adds."""
_NO_QUEUE = frozenset({"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"})
_UNCONFIGURED = (NoCredentialsError, PartialCredentialsError, NoRegionError, ProfileNotFound)


def adopt_region(environ: MutableMapping[str, str]) -> None:
    """Let AWS_REGION count, as it does for AWS's other tools: boto3 reads only AWS_DEFAULT_REGION."""
    if region := environ.get("AWS_REGION"):
        environ["AWS_DEFAULT_REGION"] = region


def code(error: BaseException) -> str:
    """The service's error code, or an empty string where the service did not answer."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_missing(error: BaseException) -> bool:
    """Whether the object or bucket is not there."""
    return code(error) in _MISSING


def is_forbidden(error: BaseException) -> bool:
    """Whether the caller may not."""
    return code(error) in _FORBIDDEN


def is_precondition_failed(error: BaseException) -> bool:
    """Whether If-Match or If-None-Match did not hold."""
    return code(error) in _PRECONDITION


def is_passing(error: BaseException) -> bool:
    """Whether the same call may go well a moment later: no answer, a busy service, or one that is not well."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR or code(error) in _THROTTLED
    return not isinstance(error, (ParamValidationError, *_UNCONFIGURED))


def explain(
    error: Exception, what: str, passing: type[PassingError] = SourceUnavailableError
) -> SummaryStatsError | SettingsError:
    """``error``, met while doing ``what``, in the project's words; ``passing`` where another try may help."""
    if isinstance(error, ParamValidationError):
        return SettingsError(f"{what}: {one_line(str(error))}")
    if isinstance(error, _UNCONFIGURED):
        return SettingsError(f"{what}: {one_line(str(error))}; set AWS_REGION and credentials as for any AWS tool")
    if code(error) in _NO_QUEUE:
        return SettingsError(f"{what}: the queue is not there; check DPSS_QUEUE_URL and DPSS_DLQ_URL")
    if is_missing(error):
        return MatrixNotFoundError(f"{what}: not found")
    if is_forbidden(error):
        return AccessDeniedError(f"{what}: access denied ({code(error)})")
    return passing(f"{what}: {one_line(str(error))}")


def etag(value: str) -> str:
    """An ETag without the quotes that HTTP wraps it in."""
    return value.removeprefix("W/").strip('"')
