"""The Kubernetes API over the official client's transport, in plain JSON.

The client's generated models are not used: 100,000 pods as model objects do not fit a Lambda function, and an unusual
answer of an older server must not become a validation error.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client import ApiClient, Configuration
from urllib3.util.ssl_ import create_urllib3_context

from ip_remediator.clients.unreachable import why_unreachable
from ip_remediator.common.errors import NotFound, PermissionDenied, RequestRefused, ServiceUnavailable

FIELD_MANAGER = "eks-ip-remediator"
APPLY = "application/apply-patch+yaml"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
_CONNECT_SECONDS = 5
_READ_SECONDS = 20
_PAGE = 500
# A server that is busy says when to come back, as client-go obeys it for any request (rest/with_retry.go). What takes
# longer is up to the state machine.
_RETRIES = 3
_LONGEST_PAUSE_SECONDS = 10
Json = dict[str, Any]


class KubernetesUnreachable(ServiceUnavailable):
    """The API server does not answer (in time), or answers that it cannot now.

    `expired`: a resourceVersion or continue token is too old (410); a later try lists again and gets a fresh one.
    """

    def __init__(self, message: str, *, expired: bool = False) -> None:
        super().__init__(message)
        self.expired = expired


class KubernetesDenied(PermissionDenied):
    """The API server refuses the function's identity or lacks an RBAC rule for it; the message is the server's."""


class Conflict(RequestRefused):
    """Somebody else owns the field, or made the object first. `owners` names field managers in conflict."""

    def __init__(self, message: str, owners: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.owners = owners


class EvictionRefused(RequestRefused):
    """A disruption budget does not let the pod go now; the message is the server's."""


class WatchExpired(Exception):
    """The watch's resourceVersion is too old (410): list again."""


class KubeApi:
    """One cluster's API.

    Args:
        host: the endpoint, `https://…`.
        ca_data: the CA certificate as EKS gives it, base64 of PEM.
        token: a bearer token; EKS's live 15 minutes, so make a new one per invocation.
        seconds: after this long no further request is sent, and no answer waited for; None: no such limit.

    Raises (every method): KubernetesUnreachable, KubernetesDenied, NotFound, Conflict, RequestRefused.
    """

    def __init__(self, host: str, ca_data: str, token: str, seconds: float | None = None) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds
        configuration = Configuration(host=host, ca_cert_data=base64.b64decode(ca_data).decode(), retries=0)
        self._client = ApiClient(configuration)
        self._client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = _ssl_context()
        self._host = host.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": FIELD_MANAGER}

    def get(self, path: str, **query: str) -> Json:
        """The object at `path`. Raises NotFound, and the other errors of this module."""
        return self._json("GET", path, query)

    def find(self, path: str) -> Json | None:
        """The object, or None when it (or its whole API group) does not exist."""
        try:
            return self.get(path)
        except NotFound:
            return None

    def items(self, path: str, page_size: int = _PAGE, /, **query: str) -> Iterator[Json]:
        """All objects of a list, fetched page by page. One page is in memory at a time, less what was handed out."""
        following: dict[str, str] = {}
        while True:
            page = self.get(path, limit=str(page_size), **query, **following)
            items, token = page["items"], page["metadata"].get("continue")
            del page
            items.reverse()
            while items:
                yield items.pop()
            if not token:
                return
            following = {"continue": token}

    def create(self, path: str, body: Json) -> Json:
        """Creates an object at the collection `path`. Raises Conflict if its name is taken."""
        return self._json("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    def apply(self, path: str, body: Json, *, force: bool = False) -> Json:
        """Server-side apply of exactly the fields in `body`. Raises Conflict when others own one and not `force`."""
        query = {"fieldManager": FIELD_MANAGER, "force": str(force).lower()}
        return self._json("PATCH", path, query, body, APPLY)

    def patch(self, path: str, body: Json) -> Json:
        """Changes the object at `path` and returns it as it is then."""
        return self._json("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, STRATEGIC_MERGE)

    def replace(self, path: str, body: Json) -> Json:
        """PUT; the resourceVersion in `body` guards against a change in between (Conflict)."""
        return self._json("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    def delete(self, path: str) -> None:
        """Deletes the object; one that is gone already is fine."""
        try:
            self._json("DELETE", path, {})
        except NotFound:
            return

    def watch(self, path: str, seconds: int, **query: str) -> Iterator[Json]:
        """Events `{"type", "object"}` until `seconds` have passed or the server ends the watch.

        Raises:
            WatchExpired: list again and start from the new resourceVersion.
        """
        arguments = {**query, "watch": "true", "timeoutSeconds": str(seconds), "allowWatchBookmarks": "true"}
        try:
            response = self._call("GET", path, arguments, read_seconds=seconds + _CONNECT_SECONDS)
        except KubernetesUnreachable as error:
            if error.expired:
                raise WatchExpired(str(error)) from error
            raise
        try:
            for line in _lines(response):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    if event["object"].get("code") == 410:
                        raise WatchExpired(event["object"].get("message", ""))
                    raise KubernetesUnreachable(f"watch {path}: {event['object'].get('message')}")
                yield event
        except urllib3.exceptions.HTTPError:
            return
        finally:
            response.close()

    def _json(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, content_type: str | None = None
    ) -> Json:
        response = self._call(method, path, query, body, content_type)
        try:
            data = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise KubernetesUnreachable(f"{method} {path}: the answer broke off, {why_unreachable(error)}") from error
        try:
            answer: Json = json.loads(data)
        except ValueError as error:
            raise KubernetesUnreachable(f"{method} {path}: not JSON: {data[:200]!r}") from error
        return answer

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Json | None = None,
        content_type: str | None = None,
        read_seconds: float = _READ_SECONDS,
    ) -> Any:
        for retries in range(_RETRIES, -1, -1):
            answer = self._send(method, path, query, body, content_type, read_seconds)
            pause = _pause_asked_for(path, answer) if retries else None
            if pause is None or (self._until is not None and time.monotonic() + pause > self._until):
                break
            answer.close()
            time.sleep(pause)
        if answer.status >= 400:
            raise _refusal(method, path, answer.status, answer.read())
        return answer

    def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: Json | None,
        content_type: str | None,
        read_seconds: float,
    ) -> Any:
        url = f"{self._host}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {**self._headers, "Content-Type": content_type or "application/json"}
        seconds = read_seconds if self._until is None else min(read_seconds, self._until - time.monotonic())
        if seconds <= 0:
            raise KubernetesUnreachable(f"{method} {path}: {self._host} took too long for what was asked before")
        try:
            return self._client.call_api(
                method, url, headers, body, _request_timeout=(min(_CONNECT_SECONDS, seconds), seconds)
            ).response
        except Exception as error:
            # The client wraps urllib3's errors in its own; whatever it is, no answer came.
            raise KubernetesUnreachable(
                f"{method} {path}: no answer from {self._host}, {why_unreachable(error)}"
            ) from error


class _NoCluster(KubeApi):
    """The API of a cluster that was deleted: there is nothing in it, and nothing can be written."""

    def __init__(self) -> None:
        """Nothing is connected to."""

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str],  # noqa: ARG002 - the signature of KubeApi
        body: Json | None = None,  # noqa: ARG002
        content_type: str | None = None,  # noqa: ARG002
        read_seconds: float = _READ_SECONDS,  # noqa: ARG002
    ) -> Any:
        raise NotFound(f"{method} {path}: the cluster is gone")

    def items(self, path: str, page_size: int = _PAGE, /, **query: str) -> Iterator[Json]:  # noqa: ARG002
        return iter(())


NO_CLUSTER = _NoCluster()


def _ssl_context() -> ssl.SSLContext:
    """A context that verifies the server, but not strictly by RFC 5280.

    Python 3.13 verifies strictly by default and then wants key identifiers. The CA of an EKS cluster that was created
    with Kubernetes 1.16 or before has none, and no upgrade of the cluster renews it.
    """
    context = create_urllib3_context(cert_reqs=ssl.CERT_REQUIRED)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def _lines(response: Any) -> Iterator[bytes]:
    rest = b""
    while chunk := response.read1(65536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line)


def _pause_asked_for(path: str, answer: Any) -> int | None:
    """The seconds after which a busy server wants to be asked again; an eviction that a budget refuses is no such."""
    busy = answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500
    if not busy or path.endswith("/eviction"):
        return None
    asked = str(answer.headers.get("Retry-After", ""))
    return int(asked) if asked.isdecimal() and int(asked) <= _LONGEST_PAUSE_SECONDS else None


def _refusal(method: str, path: str, status: int, body: bytes) -> Exception:
    """The error of ours for a Status object, or for the plain text of an unknown API group."""
    answer = _status_object(body)
    text = f"{method} {path}: {status}: {answer.get('message', '')}"
    if status in (401, 403):
        return KubernetesDenied(text)
    if status == 404:
        return NotFound(text)
    if status == 409:
        return Conflict(text, _owners_in_conflict(answer))
    if status == HTTPStatus.GONE:
        return KubernetesUnreachable(text, expired=True)
    if status == 429 and path.endswith("/eviction"):
        return EvictionRefused(text)
    if status == 429 or status >= 500:
        return KubernetesUnreachable(text)
    return RequestRefused(text)


def _status_object(body: bytes) -> Json:
    """The Status that the API server answers with; plain text as one with that message."""
    try:
        status: Json = json.loads(body)
    except ValueError:
        status = {"message": body[:200].decode("utf-8", "replace").strip()}
    return status


def _owners_in_conflict(status: Json) -> tuple[str, ...]:
    """The field managers in a Status's causes, whose messages are: conflict with "manager" using v1."""
    causes = (status.get("details") or {}).get("causes") or []
    owners = {str(cause.get("message", "")).partition('"')[2].partition('"')[0] for cause in causes}
    return tuple(sorted(owner for owner in owners if owner))
