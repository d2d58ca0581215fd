"""The record of a replacement of nodes, as it is stored with the incident."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from ip_remediator.common.actor import ActorField, RecordsActors
from ip_remediator.common.document import Document
from ip_remediator.common.text import counted

# At once, over any number of executions: a record holds 400 KB. What is left is offered again.
MOST_AT_ONCE = 100


Host = Literal["auto_scaling", "karpenter"]


class NodeState(StrEnum):
    """How far a node's replacement is. From `terminating` on it cannot be reverted."""

    WAITING = "waiting"
    DRAINING = "draining"
    TERMINATING = "terminating"
    REPLACED = "replaced"


class NodeReplacement(Document):
    """A node that is (to be) replaced. `instance` tells it from a fresh one, which may get its address and so its name.
    `host` and `owner` say by whom: an Auto Scaling group or a NodeClaim, and its name."""

    name: str
    instance: str
    host: Host
    owner: str
    pods: int = Field(default=0, ge=0, description="pods that move when it is drained")
    state: NodeState = NodeState.WAITING
    since: datetime | None = Field(default=None, description="when it was cordoned")
    new_node: str | None = Field(default=None, alias="successor", description="the node that replaced it")


class ZoneReplacement(Document):
    """A zone's nodes, in the order in which they are replaced: one at a time."""

    nodes: tuple[NodeReplacement, ...] = ()

    @property
    def current(self) -> NodeReplacement | None:
        """The node to work on: the first that is not replaced yet; None when all are."""
        return next((node for node in self.nodes if node.state is not NodeState.REPLACED), None)

    def with_node(self, changed: NodeReplacement) -> ZoneReplacement:
        """The same zone with the node of that instance changed."""
        nodes = tuple(changed if node.instance == changed.instance else node for node in self.nodes)
        return ZoneReplacement(nodes=nodes)


class WaitingPod(Document):
    """A pod that waits for an address on such a node, and must run once it is recreated: `controller` is its owner's
    uid."""

    namespace: str
    name: str
    uid: str
    controller: str


class ReplacementState(StrEnum):
    """How far a replacement is. `stopped`: something is in its way, and the next one goes on from there."""

    ASSESSED = "assessed"
    RUNNING = "running"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    DONE = "done"


class Replacement(RecordsActors):
    """The incident's latest replacement of nodes; how far each node is: `Incident.replacements`.

    `waiting` and `since` are of the first one: what it moved is what must run in the end.
    """

    actor_fields = ("requested_by",)

    state: ReplacementState
    requested_by: ActorField
    since: datetime
    waiting: tuple[WaitingPod, ...] = ()
    in_the_way: tuple[str, ...] = ()
    gone: tuple[str, ...] = Field(default=(), description="nodes that somebody else ended before they were replaced")
    notes: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


def summary(zones: Mapping[str, ZoneReplacement]) -> str:
    """2 nodes in 2 zones, 11 pods"""
    nodes = [node for zone in zones.values() for node in zone.nodes if node.state is not NodeState.REPLACED]
    places = sum(zone.current is not None for zone in zones.values())
    pods = sum(node.pods for node in nodes)
    return f"{counted(len(nodes), 'node')} in {counted(places, 'zone')}, {counted(pods, 'pod')} to be moved"
