"""Why the other side of a connection did not answer, in words for people.

The libraries' own sentences name their classes, pools and retries; they reach logs as the cause of our error, never
a message. Each hides the reason elsewhere: botocore in `kwargs["error"]`, urllib3 and urllib in `reason`, others
as the cause.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import urllib3

_Kinds = tuple[type[BaseException], ...]

# The first row of which an error is found decides. Since 2.8 urllib3's refused connections are timeouts as well.
_REASONS: tuple[tuple[_Kinds, str], ...] = (
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), "its name is not known here"),
    ((urllib3.exceptions.SSLError, ssl.SSLError), "its certificate is not trusted"),
    ((urllib3.exceptions.ProxyError,), "the proxy does not answer"),
    (
        (urllib3.exceptions.NewConnectionError, ConnectionRefusedError),
        "it refuses connections, or there is no route to it",
    ),
    ((urllib3.exceptions.ProtocolError, ConnectionError), "it closed the connection"),
    ((urllib3.exceptions.TimeoutError, TimeoutError), "it did not answer in time"),
)
# botocore's and requests' classes, which not every function has: by the name.
_NAMES = {
    "SSLError": "its certificate is not trusted",
    "ProxyConnectionError": "the proxy does not answer",
    "ConnectionClosedError": "it closed the connection",
    "ConnectTimeoutError": "it did not answer in time",
    "ReadTimeoutError": "it did not answer in time",
}
_OTHERWISE = "no connection came about"


def why_unreachable(error: BaseException) -> str:
    """Half a sentence: it did not answer in time."""
    causes = list(_causes(error))
    for kinds, reason in _REASONS:
        if any(isinstance(cause, kinds) for cause in causes):
            return reason
    return next((_NAMES[name] for cause in causes if (name := type(cause).__name__) in _NAMES), _OTHERWISE)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and every error that it carries."""
    waiting: list[object] = [error]
    yielded: list[BaseException] = []
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or any(cause is other for other in yielded):
            continue
        yielded.append(cause)
        yield cause
        details = getattr(cause, "kwargs", None)
        waiting += [getattr(cause, "reason", None), cause.__cause__, cause.__context__, *cause.args]
        waiting += [details.get("error")] if isinstance(details, dict) else []
