"""Whether a write that failed surely had no effect.

boto3 repeats a call by itself and reports its last attempt alone, while an earlier one may have taken effect with its
answer lost. botocore emits `needs-retry` after each attempt (`Endpoint._needs_retry`), which is where they are seen.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

from ip_remediator.clients.aws.errors import classify
from ip_remediator.common.errors import ServiceUnavailable

_DOUBT = "ip-remediator-doubt"
_REFUSED = "SurelyRefused"
# The request never left.
_NOT_SENT = (ConnectTimeoutError, EndpointConnectionError)


def watch_attempts(client: Any, service: str) -> None:
    """Has `surely_refused` know every attempt of the client's calls. A repeat is fine."""
    client.meta.events.register_first(f"needs-retry.{service}", _note, unique_id=f"attempts-{service}")


def surely_refused(error: BaseException, action: str) -> bool:
    """Whether an error of `aws_call` is about this action, and AWS refused each attempt of it. False for a client that
    is not watched."""
    cause = error.__cause__
    if not isinstance(cause, ClientError) or cause.operation_name != action:
        return False
    return bool(cause.response.get("ResponseMetadata", {}).get(_REFUSED))


def _note(
    response: Any = None, caught_exception: BaseException | None = None, request_dict: Any = None, **_: Any
) -> None:
    context = request_dict["context"]
    context[_DOUBT] = context.get(_DOUBT, False) or _may_have_taken_effect(response, caught_exception)
    if response is not None:
        response[1].setdefault("ResponseMetadata", {})[_REFUSED] = not context[_DOUBT]


def _may_have_taken_effect(response: Any, caught: BaseException | None) -> bool:
    if caught is not None or response is None:
        return not isinstance(caught, _NOT_SENT)
    http, parsed = response
    if http.status_code < 300:
        return True
    return isinstance(classify(ClientError(parsed, ""), ""), ServiceUnavailable)
