"""Nodes by their EC2 instance, cordoned and uncordoned."""

from __future__ import annotations

from dataclasses import dataclass

from ip_remediator.clients.gone import unless_gone
from ip_remediator.clients.kubernetes.addressing import object_path
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import instance_id, is_ready

_NODES = "/api/v1/nodes"


@dataclass(frozen=True)
class NodeLook:
    """A node when it was looked at. Its name may come back with another node, its `uid` does not."""

    uid: str
    cordoned: bool


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

    def look(self, name: str) -> NodeLook | None:
        """None: there is no such node (any more)."""
        node = self._api.find(object_path(_NODES, name))
        return None if node is None else NodeLook(node["metadata"]["uid"], bool(node["spec"].get("unschedulable")))

    def cordon(self, name: str, uid: str) -> bool:
        """Keeps new pods off the node. False: it is gone; one that came in its place is not touched."""
        return self._set_unschedulable(name, uid, True)

    def uncordon(self, name: str, uid: str | None) -> bool:
        """As `kubectl uncordon` leaves it. `uid` None: whichever node has the name. False: as for `cordon`."""
        return self._set_unschedulable(name, uid, None)

    def _set_unschedulable(self, name: str, uid: str | None, wanted: bool | None) -> bool:
        node = self.look(name)
        if node is None or uid not in (None, node.uid):
            return False
        if node.cordoned is bool(wanted):
            return True
        # The API server refuses the uid of an object that was made anew under the same name (422 Invalid: see
        # ReleasePod in kubernetes, pkg/controller/controller_ref_manager.go).
        body = {"metadata": {"uid": node.uid}, "spec": {"unschedulable": wanted}}
        with unless_gone(lambda: self._is_there(name, node.uid)) as target:
            self._api.patch(object_path(_NODES, name), body)
        return not target.gone

    def _is_there(self, name: str, uid: str) -> bool:
        node = self.look(name)
        return node is not None and node.uid == uid
