"""Space of the VPC's own CIDRs that no subnet has. Only people know for whom it is kept, so it is shown, not used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning import sizing
from ip_remediator.planning.served import zones_short_in_the_region
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_vpc import Vpc
from ip_remediator.snapshot.node_room.eni_subnets import pod_nodes
from ip_remediator.snapshot.subnet_owner import POD_SUBNET_TAG

_TOLD = 3


def offers(snapshot: Snapshot, diagnosis: Diagnosis) -> Iterator[str]:
    """The commands that make a subnet for pods in each zone in need; nothing where the VPC's subnets are not all known.

    CG-NAT CIDRs are left out: the planner carves those itself.
    """
    vpc = snapshot.vpc
    if vpc is None or not is_known(snapshot):
        return
    zones = zones_short_in_the_region(snapshot, diagnosis)
    blocks = _a_block_each(snapshot, zones[:_TOLD], pools(vpc))
    if blocks:
        yield _describe(snapshot, vpc.id, blocks, len(zones) - len(blocks))


def is_known(snapshot: Snapshot) -> bool:
    """Whether every subnet of the VPC was read."""
    vpc = snapshot.vpc
    return vpc is not None and vpc.subnet_count is not None and len(snapshot.subnets) >= vpc.subnet_count


def pools(vpc: Vpc) -> list[IPv4Network]:
    """The VPC's CIDRs outside CG-NAT, which networks beyond the VPC may route."""
    own = [IPv4Network(cidr.cidr) for cidr in vpc.cidrs if cidr.state == "associated"]
    return [cidr for cidr in own if not cidr.subnet_of(cidrs.CGNAT)]


def _a_block_each(snapshot: Snapshot, zones: Iterable[str], ranges: list[IPv4Network]) -> dict[str, IPv4Network]:
    """By zone, a block of the ranges that no subnet has; none at all unless every zone gets one."""
    taken = [IPv4Network(subnet.cidr) for subnet in snapshot.subnets]
    blocks: dict[str, IPv4Network] = {}
    for zone in zones:
        prefix = cidrs.subnet_prefix_for(sizing.demand(snapshot, zone))
        free = next((block for pool in ranges for block in cidrs.free_blocks(pool, taken, prefix)), None)
        if free is None:
            return {}
        blocks[zone] = free
        taken.append(free)
    return blocks


def _describe(snapshot: Snapshot, vpc_id: str, blocks: dict[str, IPv4Network], more: int) -> str:
    (zone, block), *others = blocks.items()
    table = next(
        (table for node in pod_nodes(snapshot, zone) if (table := _route_table(snapshot, node.primary_subnet))), ""
    )
    likewise = "".join(f", {cidr} in {other}" for other, cidr in others) + (f" and {more} more zones" if more else "")
    return (
        f"unused space of the VPC, if it is not reserved for others: aws ec2 create-subnet --vpc-id "
        f"{vpc_id} --availability-zone {zone} --cidr-block {block} --tag-specifications "
        f"'ResourceType=subnet,Tags=[{{Key={POD_SUBNET_TAG},Value={snapshot.cluster.name}}}]'"
        + (f" (likewise{likewise[1:]})" if likewise else "")
        + (f"; route table {table}" if table else "")
    )


def _route_table(snapshot: Snapshot, subnet_id: str | None) -> str | None:
    subnet = snapshot.subnet(subnet_id)
    return subnet.route_table if subnet else None
