"""The cluster's part of a node replacement: who can replace which node, and the steps for one node of a zone at a
time."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.evictor import Evictor
from ip_remediator.clients.kubernetes.nodes import KubeNodes
from ip_remediator.clients.kubernetes.objects import NodePod, instance_id, is_ready
from ip_remediator.clients.kubernetes.workload_pods import KubeDrain
from ip_remediator.common.actor import Actor
from ip_remediator.common.clock import Clock
from ip_remediator.common.errors import NotYet, RequestRefused
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.record import ChangeKind, Incident, RecordedChange, StepState
from ip_remediator.incidents.replacement_record import (
    NodeReplacement,
    NodeState,
    Replacement,
    ReplacementState,
    WaitingPod,
    ZoneReplacement,
    summary,
)
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.node_replacement.owners import AutoScalingGroups, NodeClaims
from ip_remediator.node_replacement.rules import (
    NODE_GROUP_TAG,
    Candidate,
    OwningGroup,
    blocking,
    obstacles,
    refusal,
    unwell,
)
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cordons import cordon, take_back
from ip_remediator.risks.migration import WITH_ENI_CONFIGS
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.model_node_group import NodeGroupState
from ip_remediator.snapshot.node_groups import NodeGroups

_NO_WAY_BACK = (NodeState.TERMINATING, NodeState.REPLACED)


class ReplacementBlocked(RequestRefused):
    """None of the nodes can be replaced; the message says why, and who could replace them."""


@dataclass(frozen=True)
class NodeReplacer:
    """Raises the errors of `common.errors` and `clients.kubernetes.api`.

    `sleep` is time.sleep unless a test says so.

    Each step of a zone works on its current node: the first one that is not replaced yet.
    """

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    kube: KubeApi
    groups: AutoScalingGroups
    ec2: Ec2Reader
    node_groups: NodeGroups
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    # ------------------------------------------------------------------------------------------ assessing
    def assess(self, requested_by: Actor, nodes: list[str]) -> dict[str, Any]:
        """Stores who replaces which of `nodes`, so that people can decide: `{"zones", "nodes", "pods"}`.

        Raises:
            ReplacementBlocked
        """
        snapshot = snapshot_of(self.incidents, self.incident.id)
        before = self.incident.replacement
        candidates, gone = self._candidates(nodes, snapshot)
        budgets = KubeDrain(self.kube).budgets() if candidates else []
        reasons = {node.name: obstacles(node, self.incident.cluster, budgets) for node in candidates}
        replaceable = [node for node in candidates if not reasons[node.name]]
        zones = self._zones(nodes, replaceable)
        replacement = Replacement(
            state=ReplacementState.ASSESSED,
            requested_by=requested_by,
            since=before.since if before else self.clock(),
            waiting=self._waiting(snapshot, before),
            in_the_way=tuple(chain.from_iterable(reasons.values())),
            gone=tuple(gone),
            notes=(
                *(f"{name} is gone already" for name in gone),
                *unwell(replaceable),
                *blocking(replaceable, budgets),
            ),
        )
        note = summary(zones)
        self.incidents.record_replacement(self.incident, replacement, StepState.RUNNING, note, zones=zones)
        if replacement.in_the_way and not zones:
            raise ReplacementBlocked("; ".join(replacement.in_the_way))
        to_replace = [node for zone in zones.values() for node in zone.nodes]
        return {"zones": sorted(zones), "nodes": len(to_replace), "pods": sum(node.pods for node in to_replace)}

    def _candidates(self, nodes: list[str], snapshot: Snapshot) -> tuple[list[Candidate], list[str]]:
        """The nodes that still exist, and the names of those that others terminated."""
        present = KubeNodes(self.kube).by_instance()
        begun = [node for zone in self.incident.replacements.values() for node in zone.nodes]
        ended = {node.instance for node in begun if node.state in _NO_WAY_BACK}
        present_nodes, gone = [], []
        for name in nodes:
            node = snapshot.node(name)
            if node is None or node.instance_id is None or present.get(node.instance_id) != name:
                gone.append(name)
            elif node.instance_id not in ended:
                present_nodes.append(node)
        return self._described(present_nodes), gone

    def _described(self, nodes: list[Node]) -> list[Candidate]:
        claims = NodeClaims(self.kube).by_instance() if any(node.provisioner == "karpenter" for node in nodes) else {}
        groups = self.groups.of(
            node.instance_id for node in nodes if node.instance_id and node.instance_id not in claims
        )
        drain = KubeDrain(self.kube)
        return [
            Candidate(
                name=node.name,
                zone=node.zone or "unknown",
                instance=node.instance_id or "",
                provisioner=node.provisioner,
                pods=drain.pods_on(node.name),
                group=groups.get(node.instance_id or ""),
                claim=claims.get(node.instance_id or ""),
                node_group=self._node_group(groups.get(node.instance_id or "")),
            )
            for node in nodes
        ]

    def _node_group(self, group: OwningGroup | None) -> NodeGroupState | None:
        name = group.tags.get(NODE_GROUP_TAG) if group else None
        return self.node_groups.state(name) if name else None

    def _zones(self, nodes: list[str], replaceable: list[Candidate]) -> dict[str, ZoneReplacement]:
        """Nodes that an earlier replacement already terminates come first: the new nodes are still awaited."""
        zones: dict[str, list[NodeReplacement]] = {}
        for zone, progress in self.incident.replacements.items():
            begun = [node for node in progress.nodes if node.name in nodes and node.state is NodeState.TERMINATING]
            zones[zone] = begun
        for candidate in replaceable:
            zones.setdefault(candidate.zone, []).append(candidate.replacement())
        return {zone: ZoneReplacement(nodes=tuple(in_zone)) for zone, in_zone in zones.items() if in_zone}

    def _waiting(self, snapshot: Snapshot, before: Replacement | None) -> tuple[WaitingPod, ...]:
        """The pods that wait, with their controllers, which can't be found any more once the pods are evicted."""
        noted = {pod.uid: pod for pod in before.waiting} if before else {}
        stuck = self.incident.verification.still_stuck if self.incident.verification else ()
        for pod in self._pods_beside(stuck, snapshot):
            if pod.shown in stuck and pod.controller and pod.uid not in noted:
                noted[pod.uid] = WaitingPod(
                    namespace=pod.namespace, name=pod.name, uid=pod.uid, controller=pod.controller
                )
        return tuple(noted.values())

    def _pods_beside(self, stuck: Collection[str], snapshot: Snapshot) -> Iterator[NodePod]:
        """All pods of the nodes on which the `stuck` ones are."""
        hosts = {pod.node for pod in snapshot.stuck_pods if f"{pod.namespace}/{pod.name}" in stuck and pod.node}
        pods = KubeDrain(self.kube)
        for host in sorted(hosts):
            yield from pods.pods_on(host)

    # ------------------------------------------------------------------------------------------ one node
    def drain(self, zone: str) -> dict[str, Any]:
        """Cordons the zone's node and moves its pods; some per call.

        Raises:
            NotYet: pods are still there; call again. The message names the disruption budgets that keep them.
        """
        node = self._current(zone)
        if node is None or node.state in _NO_WAY_BACK:
            return {"zone": zone, "pods": 0}
        if KubeNodes(self.kube).instance_of(node.name) != node.instance:
            return self._ended_by_others(zone, node)
        if node.state is NodeState.WAITING:
            note = f"cordoned, {counted(node.pods, 'pod')} to be moved"
            node = self._note(zone, node, note, state=NodeState.DRAINING, since=self._since(node))
        if not cordon(KubeNodes(self.kube), self.log, node.name):
            return self._ended_by_others(zone, node)
        moving = [pod for pod in KubeDrain(self.kube).pods_on(node.name) if not pod.stays]
        if not moving:
            return {"zone": zone, "pods": 0}
        refused = self._evict([pod for pod in moving if not pod.leaving])
        why = f"; {some_of(refused)}" if refused else ""
        raise NotYet(f"{node.name}: {counted(len(moving), 'pod')} still there, being moved{why}")

    def _since(self, node: NodeReplacement) -> datetime:
        return node.since or self.clock()

    def _ended_by_others(self, zone: str, node: NodeReplacement) -> dict[str, Any]:
        self._note(zone, node, "ended by somebody else", state=NodeState.TERMINATING, since=self._since(node))
        return {"zone": zone, "pods": 0}

    def _evict(self, pods: list[NodePod]) -> list[str]:
        """The disruption budgets' refusals."""
        self.log.require_lock()
        refusals = Evictor(self.kube, self.sleep).evict(pods)
        budgets = KubeDrain(self.kube).budgets() if refusals else []
        return [refusal(refused.pod, budgets) for refused in refusals]

    def end(self, zone: str) -> dict[str, Any]:
        """Has the owner terminate the zone's node and make another one. Safe to repeat.

        Raises:
            ReplacementBlocked: the owner would make no other node by now.
        """
        node = self._current(zone)
        if node is None or node.state is NodeState.WAITING:
            return {"zone": zone}
        if node.state is NodeState.DRAINING:
            self._require_owner(zone, node)
            note = f"drained; {_owner(node)} replaces instance {node.instance}"
            node = self._note(zone, node, note, state=NodeState.TERMINATING)
        self.log.require_lock()
        if node.host == "karpenter":
            NodeClaims(self.kube).delete(node.owner)
        else:
            self.groups.terminate(node.instance)
        for change in self._cordons(node.name):
            self.log.undone(change)
        return {"zone": zone}

    def _require_owner(self, zone: str, node: NodeReplacement) -> None:
        """Draining takes time, in which others may have suspended the group's processes, taken the node out of it, or
        begun an update of the node group, which replaces the nodes itself."""
        if node.host == "karpenter" or KubeNodes(self.kube).instance_of(node.name) != node.instance:
            return
        group = self.groups.of([node.instance]).get(node.instance)
        managed = self._node_group(group)
        candidate = Candidate(node.name, zone, node.instance, None, (), group, claim=None, node_group=managed)
        if reasons := obstacles(candidate, self.incident.cluster):
            raise ReplacementBlocked("; ".join(reasons))

    def await_new_node(self, zone: str) -> dict[str, Any]:
        """Returns once the zone's new node is
        ready: `{"zone", "left"}`, the number of nodes that remain to be replaced.

        Raises:
            NotYet
        """
        node = self._current(zone)
        progress = self.incident.replacements[zone]
        if node is not None and node.state is NodeState.TERMINATING:
            new_node = self._new_node(zone, node, progress)
            note = f"replaced by {new_node}" if new_node else "replaced: its pods fit on the nodes that are there"
            done = self._note(zone, node, note, state=NodeState.REPLACED, new_node=new_node)
            progress = progress.with_node(done)
        return {"zone": zone, "left": sum(zone_node.state is not NodeState.REPLACED for zone_node in progress.nodes)}

    def _new_node(self, zone: str, node: NodeReplacement, progress: ZoneReplacement) -> str | None:
        """The new node's name; None where Karpenter needs none. Raises NotYet."""
        if node.host == "karpenter" and not NodeClaims(self.kube).is_gone(node.owner):
            raise NotYet(f"{node.name}: Karpenter is ending it")
        taken = {f"{zone_node.new_node}" for zone_node in progress.nodes}
        joined = [fresh for fresh in KubeDrain(self.kube).nodes_of(zone) if _is_fresh(fresh, node, taken)]
        ready = [fresh for fresh in joined if _takes_pods(fresh)]
        new_node = next(filter(self._has_eni, ready), None)
        if new_node is not None:
            return _name_and_instance(new_node)
        if not joined and self._needs_no_new_node(node):
            return None
        raise NotYet(f"{zone}: the node that takes the place of {node.name} {_missing(joined, ready)}")

    def _needs_no_new_node(self, node: NodeReplacement) -> bool:
        """Karpenter makes a node only for pods that fit on no other one."""
        return node.host == "karpenter" and not KubeDrain(self.kube).unschedulable(_began(node))

    def _has_eni(self, node: dict[str, Any]) -> bool:
        """With custom networking every node that runs pods has one in its ENIConfig's subnet."""
        if self.incident.require_plan().strategy not in WITH_ENI_CONFIGS:
            return True
        return self.ec2.has_interface(_instance_of(node), self.incident.subnets.values())

    # ------------------------------------------------------------------------------------------ giving back
    def give_back(self, zone: str) -> dict[str, Any]:
        """Uncordons the zone's node, unless it is being terminated."""
        node = self._current(zone)
        if node is None or node.state is NodeState.WAITING:
            return {"zone": zone}
        if node.state is NodeState.TERMINATING and self._is_leaving(node):
            return {"zone": zone}
        for change in self._cordons(node.name):
            take_back(KubeNodes(self.kube), self.log, change)
        self._note(zone, node, "given back", state=NodeState.WAITING, since=None)
        return {"zone": zone}

    def _is_leaving(self, node: NodeReplacement) -> bool:
        if node.host == "karpenter":
            return NodeClaims(self.kube).is_leaving(node.owner)
        return self.groups.is_leaving(node.instance)

    def _cordons(self, name: str) -> list[RecordedChange]:
        """The node's own, if the record has one."""
        return [change for change in self.log.made(ChangeKind.CORDON) if change.target == name]

    # ------------------------------------------------------------------------------------------ record
    def _current(self, zone: str) -> NodeReplacement | None:
        return self.incident.replacements[zone].current

    def _note(self, zone: str, node: NodeReplacement, note: str, **update: Any) -> NodeReplacement:
        changed = node.model_copy(update=update)
        progress = self.incident.replacements[zone].with_node(changed)
        self.incidents.record_zone(self.incident.id, zone, progress, f"{node.name}: {note}")
        self.incidents.restart_cooldown(self.incident)
        return changed


def _missing(joined: list[dict[str, Any]], ready: list[dict[str, Any]]) -> str:
    """What the new node still lacks: none of the `ready` ones of the `joined` nodes has its ENI."""
    if ready:
        return "has no ENI in a new subnet yet"
    return "is not Ready yet" if joined else "has not joined yet"


def _owner(node: NodeReplacement) -> str:
    return f"Karpenter (NodeClaim {node.owner})" if node.host == "karpenter" else f"Auto Scaling group {node.owner}"


def _instance_of(node: dict[str, Any]) -> str:
    return instance_id(node["spec"].get("providerID")) or ""


def _name_and_instance(node: dict[str, Any]) -> str:
    """As the record names the node that replaces another."""
    return f"{node['metadata']['name']} {_instance_of(node)}"


def _began(node: NodeReplacement) -> datetime | None:
    """When it was cordoned, in whole seconds, as Kubernetes tells when an object was made."""
    return node.since.replace(microsecond=0) if node.since else None


def _is_fresh(node: dict[str, Any], old: NodeReplacement, taken: Iterable[str]) -> bool:
    """Whether it joined after the old node was cordoned, and is not the new node of another."""
    metadata = node["metadata"]
    joined = datetime.fromisoformat(metadata["creationTimestamp"])
    began = _began(old) or joined
    return _instance_of(node) != old.instance and joined >= began and _name_and_instance(node) not in taken


def _takes_pods(node: dict[str, Any]) -> bool:
    return is_ready(node) and not node["spec"].get("unschedulable")
