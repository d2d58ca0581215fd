"""Nodes that custom networking leaves without an ENI for pods, or with next to none.

It keeps the primary ENI free of pods, and a node whose pool stays empty never becomes ready (amazon-vpc-cni-k8s,
ipamd.go, handlePreScaling: "Failed to attach any ENIs for custom networking").
"""

from __future__ import annotations

from ip_remediator.risks.migration import Migration, shown
from ip_remediator.risks.model import Risk, Severity
from ip_remediator.snapshot.model_cluster import MAX_ENI, Node
from ip_remediator.snapshot.node_room.limits import HOST_NETWORK_PODS, pods_that_fit

# DaemonSets alone take as many.
_NEXT_TO_NOTHING = 4


def no_eni_for_pods(migration: Migration) -> Risk | None:
    """Instance types that have hardly an address for pods once the primary ENI serves the node alone (EKS User Guide,
    custom networking).
    """
    if not migration.first_time:
        return None
    room = dict(sorted((kind, pods) for kind, pods in _room_of(migration).items() if pods < _NEXT_TO_NOTHING))
    if not room:
        return None
    descriptions = [
        f"{name} has {'no ENI for pods' if not pods else f'addresses for {pods} pods'}" for name, pods in room.items()
    ]
    none = [name for name, pods in room.items() if not pods]
    chosen = migration.snapshot.cni.number(MAX_ENI)
    return Risk(
        id="no-eni-for-pods",
        severity=Severity.HIGH,
        found=f"with custom networking, which keeps the primary ENI free of pods: {shown(descriptions, 5)}"
        + (f" ({MAX_ENI}={chosen})" if chosen else ""),
        breaks=f"nodes like {shown(none)} can attach no ENI for pods and never become ready"
        if none
        else "nodes of these types hold hardly any pod beside those of DaemonSets",
        remedy="choose the strategy subnet-discovery or node-group, or move to instance types with more ENIs"
        + (f" and unset {MAX_ENI}" if chosen else ""),
    )


def _room_of(migration: Migration) -> dict[str, int]:
    """Pods with an address of their own that a new node holds, by instance type (or the node's name)."""
    cni, cluster = migration.snapshot.cni, migration.snapshot.cluster
    types = {kind for group in cluster.node_groups for kind in group.instance_types}
    types |= {kind for group in cluster.auto_scaling_groups or () for kind in group.instance_types}
    candidates = [*migration.nodes, *(Node(name=kind, instance_type=kind) for kind in sorted(types))]
    room: dict[str, int] = {}
    for node in candidates:
        fitting = pods_that_fit(cni, node, custom_networking=True)
        if fitting is not None:
            name = node.instance_type or node.name
            room[name] = min(room.get(name, fitting), fitting - HOST_NETWORK_PODS)
    return room
