"""Nodes by their EC2 instance, cordoned and uncordoned."""

from __future__ import annotations

from ip_remediator.clients.gone import unless_gone
from ip_remediator.clients.kubernetes.addressing import object_path
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import instance_id, is_ready

_NODES = "/api/v1/nodes"


class KubeNodes:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def by_instance(self) -> dict[str, str]:
        """Node name by instance id."""
        named = {}
        for node in self._api.items(_NODES):
            instance = instance_id(node.get("spec", {}).get("providerID"))
            if instance:
                named[instance] = node["metadata"]["name"]
        return named

    def ready_by_instance(self) -> dict[str, str]:
        """Name by instance id of the nodes that are Ready."""
        return {
            instance: node["metadata"]["name"]
            for node in self._api.items(_NODES)
            if is_ready(node) and (instance := instance_id(node.get("spec", {}).get("providerID")))
        }

    def instance_of(self, name: str) -> str | None:
        """The EC2 instance behind the node; None when there is none, or no such node (any more)."""
        node = self._api.find(object_path(_NODES, name))
        return None if node is None else instance_id(node.get("spec", {}).get("providerID"))

    def is_cordoned(self, name: str) -> bool | None:
        """None: there is no such node (any more)."""
        node = self._api.find(object_path(_NODES, name))
        return None if node is None else bool(node["spec"].get("unschedulable"))

    def cordon(self, name: str) -> bool:
        """Keeps new pods off the node. False: there is no such node (any more)."""
        return self._set_unschedulable(name, True)

    def uncordon(self, name: str) -> bool:
        """As `kubectl uncordon` leaves it. False: there is no such node (any more)."""
        return self._set_unschedulable(name, None)

    def _set_unschedulable(self, name: str, wanted: bool | None) -> bool:
        cordoned = self.is_cordoned(name)
        if cordoned is None or cordoned is bool(wanted):
            return cordoned is not None
        with unless_gone(lambda: self.is_cordoned(name) is not None) as node:
            self._api.patch(object_path(_NODES, name), {"spec": {"unschedulable": wanted}})
        return not node.gone
