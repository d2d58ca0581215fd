"""The Kubernetes API as plain JSON over the official client's transport (TLS, tokens, connection pool).

The typed models are left aside on purpose: a controller copies documents, and must keep fields it does not know.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from kubernetes import client, config

from local.cluster.objects import Obj

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

_CONNECT_SECONDS = 5.0
_READ_SECONDS = 30.0
_POOL_CONNECTIONS = 64


class ApiError(Exception):
    """A `Status` answer of the API server. `status` is the HTTP code, `reason` Kubernetes' own (`NotFound`, ...)."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason


class ApiUnreachable(Exception):
    """No answer: the API server is down, restarting or not reachable."""


@dataclass(frozen=True)
class Resource:
    """Where a resource lives: `group` is "" for the core group."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The URL path of the collection, of an object, or of its subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        tail = "".join(f"/{part}" for part in (name, subresource) if part)
        return f"{root}{scope}/{self.plural}{tail}"

    def path_of(self, obj: Obj, subresource: str | None = None) -> str:
        """The URL path of the object, or of its subresource."""
        return self.path(obj["metadata"].get("namespace"), obj["metadata"]["name"], subresource)


PODS = Resource("", "v1", "pods")
NODES = Resource("", "v1", "nodes", namespaced=False)
EVENTS = Resource("", "v1", "events")
DAEMONSETS = Resource("apps", "v1", "daemonsets")
DEPLOYMENTS = Resource("apps", "v1", "deployments")
REPLICASETS = Resource("apps", "v1", "replicasets")
CONTROLLER_REVISIONS = Resource("apps", "v1", "controllerrevisions")
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")
CONFIG_MAPS = Resource("", "v1", "configmaps")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", namespaced=False)
ENICONFIGS = Resource("crd.k8s.amazonaws.com", "v1alpha1", "eniconfigs", namespaced=False)


class KubeApi:
    """Requests to one API server. Safe to use from many threads."""

    def __init__(
        self, kubeconfig: Path | None = None, *, url: str = "", ca_cert: Path | None = None, token: str = ""
    ) -> None:
        """Connect by a kubeconfig, or directly by URL, certificate authority and bearer token."""
        configuration = client.Configuration()
        if kubeconfig is not None:
            config.load_kube_config(str(kubeconfig), client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            configuration.host = url
            configuration.ssl_ca_cert = str(ca_cert)
            configuration.api_key = {"authorization": f"Bearer {token}"}
        configuration.connection_pool_maxsize = _POOL_CONNECTIONS
        # A controller retries by reconciling again; retries hidden in the client would only obscure failures.
        configuration.retries = urllib3.Retry(total=0)
        self._client = client.ApiClient(configuration)

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
    ) -> Obj:
        """One call. Raises ApiError for an error answer and ApiUnreachable when there is none."""
        response = self._send(method, path, query or {}, body, content_type, _READ_SECONDS)
        try:
            text = response.read()
        except urllib3.exceptions.HTTPError as error:
            raise ApiUnreachable(str(error)) from error
        if response.status >= 300:
            raise _api_error(response.status, text)
        return dict(json.loads(text))

    def get(self, path: str) -> Obj:
        """Reads an object or a list."""
        return self.request("GET", path)

    def create(self, resource: Resource, obj: Obj) -> Obj:
        """Creates the object in its own namespace."""
        return self.request("POST", resource.path(obj["metadata"].get("namespace")), body=obj)

    def patch(self, path: str, body: Obj, content_type: str = MERGE_PATCH) -> Obj:
        """Patches the object at `path`; a merge patch by default."""
        return self.request("PATCH", path, body=body, content_type=content_type)

    def apply(self, path: str, obj: Obj, manager: str, *, force: bool = True) -> Obj:
        """Server-side apply; `force` takes over what others own, without it their fields are an ApiError 409."""
        query = {"fieldManager": manager, **({"force": "true"} if force else {})}
        return self.request("PATCH", path, query=query, body=obj, content_type=APPLY_PATCH)

    def delete(self, path: str, *, uid: str | None = None, grace_seconds: int | None = None) -> None:
        """Deletes the object at `path`, only if it still has `uid` when one is given."""
        options: Obj = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        self.request("DELETE", path, body=options)

    def delete_all(self, path: str) -> None:
        """Delete every object of a collection, their dependents in the background."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self.request("DELETE", path, body=options)

    def watch(self, path: str, resource_version: str, timeout_seconds: int) -> Iterator[Obj]:
        """Watch events (`type`, `object`) with bookmarks, until the server ends the watch."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        response = self._send("GET", path, query, None, "application/json", timeout_seconds + _READ_SECONDS)
        raw = response.response
        try:
            if response.status >= 300:
                raise _api_error(response.status, response.read())
            for line in raw:
                if line.strip():
                    yield json.loads(line)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnreachable(str(error)) from error
        finally:
            raw.close()

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str, read_seconds: float
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        serialized = self._client.param_serialize(
            method, path, query_params=list(query.items()), header_params=headers, auth_settings=["BearerToken"]
        )
        payload = None if body is None else body
        try:
            return self._client.call_api(*serialized[:3], payload, _request_timeout=(_CONNECT_SECONDS, read_seconds))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ApiUnreachable(str(error)) from error


def _api_error(status: int, text: bytes) -> ApiError:
    try:
        document = json.loads(text)
        return ApiError(status, str(document.get("reason", "")), str(document.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", text.decode(errors="replace").strip()[:500])
