"""When nodes can be launched again in a full node subnet, while pods wait for addresses as well.

A subnet for pods gives nodes no address: the primary ENI of each node takes one of the node's own subnet, and
running pods keep theirs. So a full node subnet gets addresses back only when a node is terminated. These are all
addresses that the node's ENIs hold there (ipamd has them deleted with the instance: amazon-vpc-cni-k8s v1.23.1,
pkg/awsutils, AllocENI, DeleteOnTermination), minus those that the primary ENI of its replacement takes. With custom
networking that is one address. Otherwise ipamd fills that ENI as far as it can (pkg/ipamd, nodeInit,
increaseDatastorePool), unless a tag excludes the subnet from pods.
"""

from __future__ import annotations

import sys
from collections import Counter

from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.node_subnets import full_node_subnets, without_room
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import launched_in, outpost_of
from ip_remediator.snapshot.node_room.eni_subnets import excluded
from ip_remediator.snapshot.node_room.limits import addresses_per_eni, uses_prefixes

_SHOWN = 3


def unlaunchable(snapshot: Snapshot) -> str | None:
    """Where no node can be launched, in words: "subnet-a of eu-west-1a (node group workers)"; None: nowhere."""
    full = full_node_subnets(snapshot)
    ids = [f"{subnet.id} of {subnet.zone} ({launched_in(snapshot, subnet)})" for subnet in full]
    return some_of(ids, _SHOWN) if ids else None


def zones_missing_nodes(snapshot: Snapshot) -> tuple[str, ...]:
    """The zones of the Region in which a group is below its size, and no node can be launched."""
    groups = snapshot.cluster.auto_scaling_groups or ()
    below_size = [group for group in groups if (group.running or 0) < (group.desired or 0)]
    full = [subnet for group in below_size for subnet in without_room(snapshot, group.subnets)]
    return tuple(sorted({subnet.zone for subnet in full if not outpost_of(snapshot, subnet)}))


def launchable_again(snapshot: Snapshot, *, custom_networking: bool) -> str:
    """What gives the full subnets addresses back, with numbers, as words that follow "before".

    `custom_networking`: it is on once the plan is done.
    """
    texts = []
    for subnet_id, returns in sorted(_returns(snapshot, custom_networking).items()):
        most = sorted(returns.items(), key=lambda item: (-item[1], item[0]))
        nodes = some_of([f"{addresses} addresses with the replacement of {name}" for name, addresses in most], _SHOWN)
        texts.append(f"{subnet_id} gets back {nodes}")
    return some_of(texts, _SHOWN) or "addresses there are freed"


def _returns(snapshot: Snapshot, custom_networking: bool) -> dict[str, dict[str, int]]:
    """By full subnet and node, the least number of addresses that the subnet gains when the node was replaced by one of
    the same type; nodes that are not certain to give any back are left out."""
    full = {subnet.id: subnet for subnet in full_node_subnets(snapshot)}
    returns: dict[str, dict[str, int]] = {}
    for node in snapshot.nodes:
        for id_, used in _used_by(node).items():
            if id_ in full and (rest := used - _taken_by_successor(snapshot, node, full[id_], custom_networking)) > 0:
                returns.setdefault(id_, {})[node.name] = rest
    return returns


def _used_by(node: Node) -> Counter[str]:
    used = Counter[str]()
    for eni in node.interfaces:
        used[eni.subnet_id] += eni.addresses + PREFIX_SIZE * eni.prefixes
    return used


def _taken_by_successor(snapshot: Snapshot, node: Node, subnet: Subnet, custom_networking: bool) -> int:
    if node.primary_subnet != subnet.id:
        return 0
    addresses = addresses_per_eni(node)
    if custom_networking or excluded(snapshot, subnet):
        return 1
    if addresses is None:
        return sys.maxsize
    return 1 + (addresses - 1) * (PREFIX_SIZE if uses_prefixes(snapshot.cni, node) else 1)
