"""The one place that classifies AWS's error codes, as errors of `common.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as AwsConnectionError

from ip_remediator.clients.unreachable import why_unreachable
from ip_remediator.common.errors import (
    NotFound,
    NotYet,
    PermissionDenied,
    QuotaReached,
    RequestRefused,
    ServiceUnavailable,
    Throttled,
)

_THROTTLED = {
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "ProvisionedThroughputExceededException",
    "RequestThrottled",
    "EC2ThrottledException",
    # reasons of a TransactionCanceledException
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
}
_UNAVAILABLE = {
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "ServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "Unavailable",
    "RequestTimeout",
    "TransactionConflictException",
    "TransactionConflict",  # reason of a TransactionCanceledException
    "TransactionInProgressException",
    "IncorrectState",
    "ResourceInUseException",
}
_DENIED = {
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "AuthFailure",
}
_STILL_HELD = {"DependencyViolation", "InvalidCidrBlock.InUse"}


def classify(error: ClientError, doing: str) -> Exception:
    """The error of ours for AWS's answer to `doing` (an action's name, for the message)."""
    code = str(error.response.get("Error", {}).get("Code", "Unknown"))
    message = str(error.response.get("Error", {}).get("Message", error))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    text = f"{doing}: {code}: {message}"
    reasons = cancellation_reasons(error)
    if code in _THROTTLED or status == 429 or reasons & _THROTTLED:
        return Throttled(text)
    if code in _UNAVAILABLE or status >= 500 or reasons & _UNAVAILABLE:
        return ServiceUnavailable(text)
    if code in _DENIED:
        return PermissionDenied(text)
    if code in _STILL_HELD:
        return NotYet(text)
    if "LimitExceeded" in code or code == "ServiceQuotaExceededException":
        return QuotaReached(text)
    if "NotFound" in code:
        return NotFound(text)
    return RequestRefused(text)


def cancellation_reasons(error: ClientError) -> set[str]:
    """The codes for which DynamoDB cancelled a transaction. A condition that failed outweighs the rest: empty then."""
    reasons = {str(reason.get("Code")) for reason in error.response.get("CancellationReasons", [])}
    return set() if "ConditionalCheckFailed" in reasons else reasons


def _host(error: BotoCoreError) -> str:
    return urlsplit(str(error.kwargs.get("endpoint_url", ""))).netloc or "AWS"


@contextmanager
def aws_call(doing: str) -> Iterator[None]:
    """Turns what boto3 raises inside the block into the errors of `common.errors`.

    Raises:
        Throttled, ServiceUnavailable, NotYet, PermissionDenied, QuotaReached, NotFound, RequestRefused
    """
    try:
        yield
    except ClientError as error:
        raise classify(error, doing) from error
    except (AwsConnectionError, HTTPClientError) as error:
        raise ServiceUnavailable(f"{doing}: {_host(error)} cannot be reached, {why_unreachable(error)}") from error
