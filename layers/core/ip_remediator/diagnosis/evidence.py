"""The facts that support a verdict, and the facts that are unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.node_relief import describe_attached_enis
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import PREFIX_SIZE, ZONE_LABEL, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room.eni_subnets import pod_nodes, zone_subnets
from ip_remediator.snapshot.node_room.limits import (
    addresses_per_eni,
    eni_limit,
    free_slots,
    may_be_trunk,
    on_default_card,
)

# EC2's error code for each cause.
_EC2_WORDS = {
    Cause.SUBNET_FULL: "InsufficientFreeAddressesInSubnet",
    Cause.PREFIX_FRAGMENTED: "InsufficientCidrBlocks",
    Cause.ENI_QUOTA: "NetworkInterfaceLimitExceeded",
    Cause.CNI_IAM: "UnauthorizedOperation",
    Cause.CNI_THROTTLED: "RequestLimitExceeded",
    Cause.NODE_LIMIT: "AttachmentLimitExceeded",
}
_EXCERPT = 300
_NODES_SHOWN = 3


def evidence(
    snapshot: Snapshot, zones: Sequence[str], signals: frozenset[Cause], proven_by_pods: Mapping[Cause, StuckPod]
) -> tuple[str, ...]:
    """`signals`: what the incident's signals proved; `said`: one stuck pod for each cause that its event proves."""
    return (
        *_of_subnets(snapshot, zones),
        *_of_pods(snapshot, zones),
        *_of_full_nodes(snapshot),
        *_of_words(signals, proven_by_pods),
        *_of_quota(snapshot, signals.union(proven_by_pods)),
        *_of_cni(snapshot),
    )


def _of_subnets(snapshot: Snapshot, zones: Sequence[str]) -> Iterator[str]:
    used = {zone: zone_subnets(snapshot, zone) or _where_enis_may_be(snapshot, zone) for zone in zones}
    for zone, subnets in used.items():
        for subnet in subnets:
            yield f"subnet {subnet.id} ({subnet.cidr}, {zone}) has {_describe_free(snapshot, subnet)}"
    for subnet in (subnet for subnets in used.values() for subnet in subnets):
        if subnet.full_at and subnet.free:
            forecast = describe_forecast(snapshot, subnet.full_at)
            yield f"subnet {subnet.id} {forecast}, by its free addresses of the last 14 days"


def _where_enis_may_be(snapshot: Snapshot, zone: str) -> list[Subnet]:
    """All of the zone's, where its nodes' ENIs are unknown: the verdict then rests on these."""
    dark = any(not node.interfaces for node in pod_nodes(snapshot, zone))
    return [subnet for subnet in snapshot.subnets if dark and subnet.zone == zone]


def _of_pods(snapshot: Snapshot, zones: Sequence[str]) -> Iterator[str]:
    zone_of = {node.name: zone for zone in zones for node in pod_nodes(snapshot, zone)}
    counts = dict.fromkeys(zones, 0)
    elsewhere: dict[str, int] = {}
    for pod in snapshot.stuck_pods:
        if pod.node in zone_of:
            counts[zone_of[pod.node]] += 1
        elif pod.node and (node := snapshot.node(pod.node)):
            elsewhere[_kind(node)] = elsewhere.get(_kind(node), 0) + 1
    for zone, count in counts.items():
        if count:
            yield f"{counted(count, 'pod')} without an address in {zone}"
    for kind, count in sorted(elsewhere.items()):
        yield f"{counted(count, 'pod')} without an address on {kind}"


def _kind(node: Node) -> str:
    if node.fargate:
        return "Fargate, which takes addresses of the profile's subnets"
    if node.windows:
        return "Windows nodes, which know no ENIConfig"
    if node.own_cni:
        return "hybrid nodes or nodes of EKS Auto Mode, where aws-node does not run"
    return f"nodes whose zone is unknown (no label {ZONE_LABEL})"


def _of_full_nodes(snapshot: Snapshot) -> Iterator[str]:
    """The hosts of stuck pods that can attach no further ENI."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    cni_nodes = [node for node in snapshot.nodes if node.name in hosts and node.runs_vpc_cni]
    full = [node for node in cni_nodes if free_slots(snapshot.cni, node) == 0]
    for node in full[:_NODES_SHOWN]:
        yield _full_node(snapshot, node)
    if len(full) > _NODES_SHOWN:
        yield f"{counted(len(full) - _NODES_SHOWN, 'more node')} with stuck pods and no free ENI slot"


def _full_node(snapshot: Snapshot, node: Node) -> str:
    most = (eni_limit(snapshot.cni, node) or 0) * (addresses_per_eni(node) or 0)
    used = sum(eni.addresses + eni.prefixes for eni in on_default_card(node) or ())
    kind = f" ({node.instance_type})" if node.instance_type else ""
    of_most = f" of {most}" if most else ""
    attached = describe_attached_enis(snapshot, node)
    return f"node {node.name}{kind} has {attached} with {used}{of_most} addresses or prefixes"


def _of_words(signals: frozenset[Cause], proven_by_pods: Mapping[Cause, StuckPod]) -> Iterator[str]:
    for cause in sorted(signals):
        words = f" (EC2 words it {_EC2_WORDS[cause]})" if cause in _EC2_WORDS else ""
        yield f"the signals prove {cause}{words}"
    for cause, pod in sorted(proven_by_pods.items()):
        yield f"the event of {pod.namespace}/{pod.name} proves {cause}: {(pod.message or '')[-_EXCERPT:]}"


def _of_quota(snapshot: Snapshot, causes: frozenset[Cause]) -> Iterator[str]:
    if Cause.ENI_QUOTA in causes:
        quotas = snapshot.quotas
        source = "as Service Quotas says" if quotas.applied else "AWS's default; the applied value was not read"
        yield f"the quota L-DF5E4CA3 is {quotas.interfaces_per_zone:,} network interfaces in the region ({source})"


def _of_cni(snapshot: Snapshot) -> Iterator[str]:
    cni = snapshot.cni
    state = "on" if cni.custom_networking else "off"
    yield f"the VPC CNI {cni.version or '(version unknown)'} runs with custom networking {state}"
    if cni.custom_networking:
        named = [f"{config.name} ({config.subnet or 'no subnet'})" for config in snapshot.eni_configs]
        yield f"{counted(len(named), 'ENIConfig')}: {some_of(named, 12)}" if named else "there is no ENIConfig"
    if cni.prefix_delegation:
        yield f"prefix delegation is on: nodes take {PREFIX_SIZE} contiguous addresses at a time"


def describe_forecast(snapshot: Snapshot, full_at: datetime) -> str:
    """When the subnet will be full, as the end of a sentence; in hours from the snapshot where its time is known."""
    hours = round((full_at - snapshot.taken_at).total_seconds() / 3600) if snapshot.taken_at else None
    about = f" in about {hours} h" if hours else ""
    return f"will be full{about}, at {full_at:%Y-%m-%d %H:%M} UTC"


def _describe_free(snapshot: Snapshot, subnet: Subnet) -> str:
    if subnet.free is None:
        return "an unknown number of free addresses"
    free = counted(subnet.free, "free address", "free addresses")
    if not snapshot.cni.prefix_delegation:
        return free
    was_counted = subnet.free_prefixes is not None
    return f"{free}, {subnet.free_prefixes if was_counted else 'an unknown number of'} free /28 prefixes"


def unknown(snapshot: Snapshot) -> tuple[str, ...]:
    """Facts that the snapshot lacks, and reads that were refused."""
    return (*_gaps(snapshot), *snapshot.unread)


def _gaps(snapshot: Snapshot) -> Iterator[str]:
    cni_nodes = [node for node in snapshot.nodes if node.runs_vpc_cni]
    yield from _gaps_of_subnets(snapshot)
    yield from _gaps_of_nodes(snapshot, cni_nodes)
    yield from _gap("the node of", (f"{pod.namespace}/{pod.name}" for pod in snapshot.stuck_pods if not pod.node))
    yield from _unread_parts(snapshot, cni_nodes)


def _gaps_of_subnets(snapshot: Snapshot) -> Iterator[str]:
    yield from _gap("free addresses of", (subnet.id for subnet in snapshot.subnets if subnet.free is None))
    if snapshot.cni.prefix_delegation:
        counted_subnets = [subnet for subnet in snapshot.subnets if subnet.free is not None]
        uncounted = (subnet.id for subnet in counted_subnets if subnet.free_prefixes is None)
        yield from _gap("free /28 prefixes of", uncounted)


def _gaps_of_nodes(snapshot: Snapshot, cni_nodes: Sequence[Node]) -> Iterator[str]:
    yield from _gap("ENI slots of", (node.name for node in cni_nodes if free_slots(snapshot.cni, node) is None))
    yield from _of_cards(cni_nodes)
    yield from _of_trunks(snapshot, cni_nodes)
    yield from _gap("the zone of", (node.name for node in cni_nodes if not node.zone))


def _unread_parts(snapshot: Snapshot, cni_nodes: Sequence[Node]) -> Iterator[str]:
    """Parts of the snapshot that are wholly missing."""
    if snapshot.stuck_pods and not snapshot.nodes:
        yield "the nodes"
    if cni_nodes and not snapshot.subnets:
        yield "the subnets"
    if snapshot.cni.installed and snapshot.cni.version is None:
        yield "the VPC CNI's version: one of 1.22 or later is assumed"
    if snapshot.vpc is None:
        yield "the VPC's CIDRs, peers and routes"


def _of_cards(cni_nodes: Iterable[Node]) -> Iterator[str]:
    """Pods use the default network card only; older snapshots do not say which ENI is on which card."""
    several = [node.name for node in cni_nodes if node.interfaces and on_default_card(node) is None]
    yield from _gap(
        "which network cards (of several) the ENIs are on, so how many slots the default card has, of", several
    )


def _of_trunks(snapshot: Snapshot, cni_nodes: Iterable[Node]) -> Iterator[str]:
    for node in cni_nodes:
        if eni := may_be_trunk(snapshot.cni, node):
            yield (
                f"whether {eni.id} of {node.name} is the trunk ENI, which has no addresses for other pods: it has one "
                "address beside ENABLE_POD_ENI=true, and is taken for it"
            )


def _gap(subject: str, names: Iterable[str]) -> Iterator[str]:
    distinct = sorted(set(names))
    if distinct:
        yield f"{subject} {some_of(distinct)}"
