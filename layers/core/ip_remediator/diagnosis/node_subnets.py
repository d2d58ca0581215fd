"""Shortages that no pod subnet cures: nodes that cannot be launched, and a cluster that cannot be updated.

A node's primary ENI takes an address of the node subnet, whatever the pods have (karpenter-provider-aws#8874). EKS
needs up to five free addresses in the cluster's subnets to update the cluster (EKS User Guide, "Update existing cluster
to new Kubernetes version"), and a load balancer eight in each of its subnets (Elastic Load Balancing, "Subnets for your
load balancer").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.launcher_commands import create_node_group, extend_auto_scaling_group, select_by_id
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, NodeClass, NodeGroup
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_places import launched_in, node_sources, node_subnets, outpost_of, unread_sources
from ip_remediator.snapshot.node_room.free_space import free_space
from ip_remediator.snapshot.subnet_owner import other_cluster

FOR_UPDATES = 5
FOR_LOAD_BALANCERS = 8
LOAD_BALANCER_TAGS = ("kubernetes.io/role/elb", "kubernetes.io/role/internal-elb")
_SHOWN = 5
_COMMANDS = 3


def full_node_subnets(snapshot: Snapshot) -> tuple[Subnet, ...]:
    """Node subnets without a free address, where their launcher has no other subnet at the same place. Where not all
    launchers were read, subnets of nodes without a known launcher count as well."""
    sources = node_sources(snapshot)
    short = {subnet.id for source in sources for subnet in without_room(snapshot, source.subnets)}
    if not sources or unread_sources(snapshot):
        launching = {id_ for source in sources for id_ in source.subnets}
        short |= {subnet.id for subnet in node_subnets(snapshot) if subnet.id not in launching and _is_full(subnet)}
    return tuple(subnet for subnet in node_subnets(snapshot) if subnet.id in short)


def without_room(snapshot: Snapshot, ids: Iterable[str]) -> tuple[Subnet, ...]:
    """Those of the subnets at whose place (zone and Outpost) all of them are full: Karpenter and Auto Scaling try all
    their subnets of a zone."""
    by_place: dict[tuple[str, str | None], list[Subnet]] = {}
    for subnet in (subnet for id_ in ids if (subnet := snapshot.subnet(id_))):
        by_place.setdefault((subnet.zone, outpost_of(snapshot, subnet)), []).append(subnet)
    return tuple(subnet for place in by_place.values() if all(map(_is_full, place)) for subnet in place)


def _is_full(subnet: Subnet) -> bool:
    return _most_free(subnet) == 0


def low_cluster_subnets(snapshot: Snapshot) -> tuple[Subnet, ...]:
    """The cluster's own subnets with too few addresses for an update of the cluster."""
    return _with_less(snapshot, snapshot.cluster.subnets or (), FOR_UPDATES)


def low_load_balancer_subnets(snapshot: Snapshot) -> tuple[Subnet, ...]:
    """Subnets tagged for load balancers, or else the cluster's, with too few addresses for one."""
    tagged = [subnet.id for subnet in snapshot.subnets if any(subnet.tags.get(tag) for tag in LOAD_BALANCER_TAGS)]
    return _with_less(snapshot, tagged or snapshot.cluster.subnets or (), FOR_LOAD_BALANCERS)


def _with_less(snapshot: Snapshot, ids: Iterable[str], needed: int) -> tuple[Subnet, ...]:
    candidates = sorted((subnet for id_ in set(ids) if (subnet := snapshot.subnet(id_))), key=lambda subnet: subnet.id)
    return tuple(subnet for subnet in candidates if (free := _most_free(subnet)) is not None and free < needed)


def _most_free(subnet: Subnet) -> int | None:
    """The free addresses for the ENI of a node, of the control plane or of a load balancer: reserved ones
    do not count."""
    return free_space(subnet, prefixes=False).most_addresses


def shortage_beside_pods(snapshot: Snapshot) -> tuple[Verdict, str] | None:
    """A shortage of nodes or of the cluster, although every pod has an address; None if there is none."""
    shortages = describe_shortages(snapshot)
    if not shortages:
        return None
    verdict = Verdict.NODE_LAUNCH if full_node_subnets(snapshot) else Verdict.CLUSTER_SUBNETS
    return verdict, "; ".join(shortages)


def describe_shortages(snapshot: Snapshot) -> tuple[str, ...]:
    """Each shortage of nodes or of the cluster, in words, the worst first."""
    full, low = full_node_subnets(snapshot), low_cluster_subnets(snapshot)
    tight = low_load_balancer_subnets(snapshot)
    shortages = []
    if full:
        zones = some_of(sorted({subnet.zone for subnet in full}))
        ids = some_of([f"{subnet.id} ({launched_in(snapshot, subnet)})" for subnet in full], _SHOWN)
        shortages.append(f"no node can be launched in {zones}: no free address in {ids}")
    if low:
        shortages.append(
            f"EKS refuses to update the cluster ({FOR_UPDATES} free addresses are needed in each of its subnets): "
            f"{_counts(low)}"
        )
    if tight:
        shortages.append(
            f"no load balancer can be created ({FOR_LOAD_BALANCERS} free addresses are needed): {_counts(tight)}"
        )
    return tuple(shortages)


def _counts(subnets: Iterable[Subnet]) -> str:
    return some_of([f"{subnet.id} of {subnet.zone} has {_most_free(subnet)}" for subnet in subnets], _SHOWN)


def node_launch_reason(snapshot: Snapshot, zone: str) -> str | None:
    """Why no node can be launched in the zone."""
    full = [subnet.id for subnet in full_node_subnets(snapshot) if subnet.zone == zone]
    others = [s.id for s in node_subnets(snapshot) if s.zone == zone and s.id not in full and _most_free(s)]
    if not full:
        return None
    also = f" (still possible in {some_of(others)})" if others else ""
    return f"no free address in {some_of(full)}: no node can be launched there{also}; pods have addresses"


def cures(snapshot: Snapshot) -> Iterator[str]:
    """Subnets for nodes and for the cluster: what to run for what the cluster has."""
    low, full = low_cluster_subnets(snapshot), full_node_subnets(snapshot)
    if any(not outpost_of(snapshot, subnet) for subnet in full):
        yield (
            "more pod subnets do not help: nodes need further subnets of their own. A plan makes them, "
            "and gives them to what launches nodes: ip-remediator plan --snapshot FILE"
        )
    yield from launcher_cures(snapshot)
    if low:
        yield f"other subnets for the cluster, of the same zones: {update_cluster_subnets(snapshot)}"
    if low_load_balancer_subnets(snapshot):
        tags = "Key=kubernetes.io/role/internal-elb,Value=1"
        yield f"for load balancers, tag larger subnets: aws ec2 create-tags --resources subnet-NEW --tags {tags}"


def launcher_cures(snapshot: Snapshot) -> Iterator[str]:
    """The commands that give further subnets to the launchers of full ones, for each its own."""
    full = full_node_subnets(snapshot)
    if not full:
        return
    cluster, unused = snapshot.cluster, _unused_subnets(snapshot)
    instead = {subnet.id: _substitute(snapshot, unused, subnet) for subnet in full}
    yield from _subnets_on_outposts(snapshot, full)
    for group in _launching_in(instead, cluster.auto_scaling_groups or ()):
        yield f"Auto Scaling group {group.name}: {extend_auto_scaling_group(group, _of(group, instead))}"
    for node_class in _launching_in(instead, _node_classes(snapshot, full)):
        yield f"Karpenter: {select_by_id(node_class, _of(node_class, instead))}"
    for managed in _launching_in(instead, cluster.node_groups):
        yield (
            f"node group {managed.name} cannot change its subnets: create one beside it: "
            f"{create_node_group(cluster.name, managed, f'{managed.name}-2', _of(managed, instead))}"
        )


_Launcher = TypeVar("_Launcher", AutoScalingGroup, NodeClass, NodeGroup)


def _launching_in(subnets: Mapping[str, str], launchers: Iterable[_Launcher]) -> list[_Launcher]:
    return [launcher for launcher in launchers if subnets.keys() & set(launcher.subnets)][:_COMMANDS]


def _of(launcher: AutoScalingGroup | NodeClass | NodeGroup, instead: Mapping[str, str]) -> list[str]:
    return [instead[id_] for id_ in launcher.subnets if id_ in instead]


def _node_classes(snapshot: Snapshot, full: Iterable[Subnet]) -> tuple[NodeClass, ...]:
    """Those that were read; else one to be named, for the full subnets of Karpenter's nodes."""
    if snapshot.cluster.node_classes is not None:
        return snapshot.cluster.node_classes
    homes = {node.primary_subnet for node in snapshot.nodes if node.provisioner == "karpenter"}
    ids = tuple(subnet.id for subnet in full if subnet.id in homes or (snapshot.cluster.karpenter and not homes))
    return (NodeClass(name="NAME", subnets=ids),)


def _subnets_on_outposts(snapshot: Snapshot, full: Iterable[Subnet]) -> Iterator[str]:
    """No plan makes subnets there: their ranges are agreed with the network of the Outpost's local gateway."""
    vpc_id = snapshot.vpc.id if snapshot.vpc else snapshot.cluster.vpc_id or "VPC-ID"
    places = {(place, subnet.zone) for subnet in full if (place := outpost_of(snapshot, subnet))}
    for place, zone in sorted(places):
        arn = place if place.startswith("arn:") else "OUTPOST-ARN"
        yield (
            f"nodes on {place} need a further subnet there, one of the Region serves none: aws ec2 create-subnet "
            f"--vpc-id {vpc_id} --availability-zone {zone} --outpost-arn {arn} --cidr-block A-FREE-CIDR"
        )


def update_cluster_subnets(snapshot: Snapshot) -> str:
    """The command that gives the cluster others for its low subnets: they may be replaced by some of the same zones
    (EKS User Guide, network requirements)."""
    low = low_cluster_subnets(snapshot)
    unused = _unused_subnets(snapshot)
    instead = {subnet.id: _substitute(snapshot, unused, subnet, least=FOR_UPDATES) for subnet in low}
    wanted = dict.fromkeys(instead.get(id_, id_) for id_ in snapshot.cluster.subnets or ())
    name, ids = snapshot.cluster.name, ",".join(wanted)
    return f"aws eks update-cluster-config --name {name} --resources-vpc-config subnetIds={ids}"


def _substitute(snapshot: Snapshot, unused: Iterable[Subnet], subnet: Subnet, *, least: int = 16) -> str:
    """The largest of the subnets `unused` at the same place with the same route table; else a placeholder."""
    place = outpost_of(snapshot, subnet)
    fitting = [
        other
        for other in unused
        if (other.zone, other.route_table) == (subnet.zone, subnet.route_table)
        and outpost_of(snapshot, other) == place
        and (_most_free(other) or 0) >= least
    ]
    best = max(sorted(fitting, key=lambda other: other.id), key=lambda other: _most_free(other) or 0, default=None)
    return best.id if best else f"subnet-NEW-{'on-outpost-' if place else ''}{subnet.zone}"


def _unused_subnets(snapshot: Snapshot) -> list[Subnet]:
    """Subnets that no node, ENIConfig or other cluster uses."""
    used = {eni.subnet_id for node in snapshot.nodes for eni in node.interfaces}
    used |= {config.subnet for config in snapshot.eni_configs if config.subnet}
    unused = [subnet for subnet in snapshot.subnets if subnet.id not in used]
    return [subnet for subnet in unused if not other_cluster(snapshot.cluster.name, subnet)]
