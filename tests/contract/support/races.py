"""Somebody else acts in the moment between a look and the write that follows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from tests.contract.support.clusters import WRITER, Kubernetes

Act = Callable[[], object]


def just_before(client: Any, action: str, act: Act) -> None:
    """Has `act` happen before the client's next call of this action leaves, once."""
    service = client.meta.service_model.service_name
    event = f"before-call.{service}.{action}"

    def handler(**_: Any) -> None:
        client.meta.events.unregister(event, handler)
        act()

    client.meta.events.register(event, handler)


class Overtaken(KubeApi):
    """The API as a function has it. `act` happens before its next write of `method` leaves, once."""

    def __init__(self, kubernetes: Kubernetes, method: str, act: Act) -> None:
        super().__init__(kubernetes.url, kubernetes.ca_data, WRITER)
        self._method = method
        self._acts = [act]

    def _send(self, method: str, *rest: Any) -> Any:
        if method == self._method and self._acts:
            self._acts.pop()()
        return super()._send(method, *rest)
