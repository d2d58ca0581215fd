"""Watches pods that wait for an address, and evicts pods."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from ip_remediator.clients.kubernetes.addressing import namespaced, object_path
from ip_remediator.clients.kubernetes.api import Conflict, KubeApi, WatchExpired
from ip_remediator.common.errors import NotFound

_PODS = "/api/v1/pods"
_PENDING = {"fieldSelector": "status.phase=Pending"}
# From so many pods of a namespace on, the namespace is listed: a page holds 500 pods, and where thousands hang, a call
# for each takes longer than the function may run.
_LIST_FROM = 50


class Evictable(Protocol):
    """A pod that is to go, and no other one of its name."""

    @property
    def namespace(self) -> str:
        """The pod's namespace."""

    @property
    def name(self) -> str:
        """The pod's name."""

    @property
    def uid(self) -> str:
        """The pod's uid: another pod of the same name is not evicted."""


class KubePods:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def present(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The pods of these names ("namespace/name"), by name. Left out: those that are gone, or cannot exist."""
        by_namespace: dict[str, set[str]] = {}
        for path in names:
            namespace, _, name = path.partition("/")
            by_namespace.setdefault(namespace, set()).add(name)
        return {
            f"{namespace}/{pod['metadata']['name']}": pod
            for namespace, wanted in by_namespace.items()
            for pod in self._present_in(namespace, wanted)
        }

    def without_node(self, namespaces: Collection[str], since: datetime | None) -> list[str]:
        """The pods of these namespaces ("namespace/name") that were made since then and that no node has."""
        pending = self._api.items(_PODS, fieldSelector="status.phase=Pending,spec.nodeName=") if namespaces else ()
        return sorted(
            f"{pod['namespace']}/{pod['name']}"
            for pod in (item["metadata"] for item in pending)
            if pod["namespace"] in namespaces and (since is None or _created(pod) >= since.replace(microsecond=0))
        )

    def _present_in(self, namespace: str, wanted: set[str]) -> Iterator[dict[str, Any]]:
        with suppress(NotFound):
            path = namespaced("pods", namespace)
            if len(wanted) >= _LIST_FROM:
                yield from (pod for pod in self._api.items(path) if pod["metadata"]["name"] in wanted)
                return
            for name in sorted(wanted):
                if pod := self._find(path, name):
                    yield pod

    def _find(self, path: str, name: str) -> dict[str, Any] | None:
        with suppress(NotFound):
            return self._api.find(object_path(path, name))
        return None

    def evict(self, pod: Evictable) -> None:
        """Asks for the pod's eviction; one that is gone, or another one of its name, is fine.

        Raises:
            EvictionRefused: a disruption budget does not allow it now.
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        }
        try:
            self._api.create(object_path(namespaced("pods", pod.namespace), pod.name, "eviction"), body)
        except (NotFound, Conflict):
            return

    def await_not_pending(self, uids: set[str], seconds: float) -> set[str]:
        """Waits until none of the pods is Pending any more, at most `seconds`; returns those that still are.

        Watches only Pending pods, so that a large cluster's other pods cost nothing: a pod that starts running leaves
        the selection, which the server tells as DELETED.
        """
        deadline = time.monotonic() + seconds
        while True:
            waiting, version = self._pending(uids)
            remaining = deadline - time.monotonic()
            if not waiting or remaining <= 0:
                return waiting
            if self._watched_until_gone(waiting, version, remaining):
                return set()

    def _pending(self, uids: set[str]) -> tuple[set[str], str]:
        pending: set[str] = set()
        page = self._api.get(_PODS, limit="500", **_PENDING)
        while True:
            pending |= {item["metadata"]["uid"] for item in page["items"]} & uids
            following = page["metadata"].get("continue")
            if not following:
                return pending, page["metadata"]["resourceVersion"]
            page = self._api.get(_PODS, limit="500", **_PENDING, **{"continue": following})

    def _watched_until_gone(self, waiting: set[str], version: str, seconds: float) -> bool:
        """Whether all of them stopped being Pending; False only means that the pods must be listed again."""
        remaining = set(waiting)
        try:
            for event in self._api.watch(_PODS, max(1, int(seconds)), resourceVersion=version, **_PENDING):
                if event["type"] == "DELETED":
                    remaining.discard(event["object"]["metadata"]["uid"])
                if not remaining:
                    return True
        except WatchExpired:
            pass
        return False


def _created(metadata: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(metadata["creationTimestamp"])
