"""What to run for nodes on an Outpost: a subnet made with the Outpost's ARN, and an ENIConfig of its own.

EKS User Guide, "Deploy Amazon EKS on-premises with AWS Outposts"; CreateSubnet, OutpostArn. Told, not done: the address
ranges of an Outpost are agreed with the network that its local gateway leads to.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.planning import sizing
from ip_remediator.planning.changes import eni_config_manifest, new_groups, without_our_mark
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import EXTERNAL_ENI_CONFIG_LABEL, ZONE_LABEL, Node
from ip_remediator.snapshot.node_places import outpost_of_node

_SHOWN = 3
_NODES_NAMED = 3
_FIRST_OUTPOST = '$(aws outposts list-outposts --query "Outposts[0].OutpostArn" --output text)'


def cures(snapshot: Snapshot, diagnosis: Diagnosis) -> Iterator[str]:
    """For each Outpost with nodes in need."""
    short = [zone.zone for zone in diagnosis.zones if zone.verdict in CURABLE]
    by_place: dict[tuple[str, str], list[Node]] = {}
    for zone in short:
        for node in sizing.nodes_in_need(snapshot, zone):
            if place := outpost_of_node(snapshot, node):
                by_place.setdefault((zone, place), []).append(node)
    for (zone, place), nodes in sorted(by_place.items())[:_SHOWN]:
        yield _describe(snapshot, zone, place, nodes)


def _describe(snapshot: Snapshot, zone: str, place: str, nodes: list[Node]) -> str:
    arn = place if place.startswith("arn:") else _FIRST_OUTPOST
    vpc_id = snapshot.vpc.id if snapshot.vpc else snapshot.cluster.vpc_id or "VPC-ID"
    name = f"{zone}-outpost"
    config = eni_config_manifest(name, "subnet-NEW", new_groups(snapshot, name))
    manifest = shlex.quote(json.dumps(without_our_mark(config)))
    hosts = " ".join(node.name for node in nodes[:_NODES_NAMED])
    more = f" (and the other {len(nodes) - _NODES_NAMED:,} nodes)" if len(nodes) > _NODES_NAMED else ""
    return (
        f"on {place}: aws ec2 create-subnet --vpc-id {vpc_id} --availability-zone {zone} --outpost-arn {arn} "
        f"--cidr-block {_block(snapshot, zone, nodes)}; then kubectl apply -f - <<< {manifest}; and "
        f"kubectl label node {hosts} {_label(snapshot)}={name} --overwrite{more}"
    )


def _label(snapshot: Snapshot) -> str:
    """The label of the zone stays what it is; the external label goes before it (pkg/eniconfig of the VPC CNI)."""
    label = snapshot.cni.eni_config_label
    return EXTERNAL_ENI_CONFIG_LABEL if label == ZONE_LABEL else label


def _block(snapshot: Snapshot, zone: str, nodes: list[Node]) -> str:
    """A range of the VPC that no subnet has, as large as these nodes need; a name to fill in where there is none."""
    there = snapshot.model_copy(update={"nodes": tuple(nodes)})
    prefix = cidrs.subnet_prefix_for(sizing.demand(there, zone))
    taken = [IPv4Network(subnet.cidr) for subnet in snapshot.subnets]
    own = [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs if cidr.state == "associated"] if snapshot.vpc else []
    free = (block for cidr in own for block in cidrs.free_blocks(cidr, taken, prefix))
    return str(next(free, "A-FREE-CIDR"))
