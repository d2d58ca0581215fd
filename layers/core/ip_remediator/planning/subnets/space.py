"""Address space of subnets for nodes and for the cluster.

Pods leave the VPC with the address of their node ("SNAT for Pods" of the EKS User Guide), so the node's own address is
the one that other networks see. Where routes lead to such networks, a piece of a CIDR that they may know comes first;
elsewhere addresses of CG-NAT do: NAT gateways and internet gateways translate every address of the VPC.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ip_remediator.planning.model import Option
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.space import address_source, own_space, unallocated_space
from ip_remediator.planning.space.address_source import AddressSource
from ip_remediator.risks.routing import leads_to_others
from ip_remediator.snapshot.model import Snapshot


def find(snapshot: Snapshot, options: PlanningOptions, demand: Mapping[str, int], *, largest: int) -> AddressSource:
    """Space for the zones of `demand`; pieces of the VPC's CIDRs outside CG-NAT are at most a /`largest`.

    Raises:
        CannotPlan: a quota, a pending peering or AWS's table of ranges is in the way.
    """
    needed, vpc = dict(demand), snapshot.vpc
    if vpc and not options.block and leads_to_others(snapshot) and unallocated_space.is_known(snapshot):
        pools = unallocated_space.pools(vpc)
        pieces = own_space.pieces(snapshot, options, needed, pools=pools, largest=largest)
        if pieces:
            places = ", ".join(f"{piece} in {zone}" for zone, piece in pieces.items())
            reason = f"no subnet of {vpc.id} has {places}, and networks beyond the VPC may route it"
            return AddressSource("existing-cidr", reason, pieces=pieces)
    return address_source.find(snapshot, options, needed)


def fields(source: AddressSource, options: PlanningOptions) -> dict[str, Any]:
    """The fields of a requirement that its address source decides."""
    return {
        "source": source.source,
        "pools": tuple(str(pool) for pool in source.pools),
        "prefix": source.prefix,
        "subnet_prefix": source.subnet_prefix,
        "smaller": tuple((size.block, size.subnet) for size in source.smaller),
        "pieces": {zone: str(piece) for zone, piece in source.pieces.items()},
        "ipam_pool": options.ipam_pool if source.source == "ipam-pool" else None,
        "excluded": source.excluded,
        "options": (
            Option(option="existing-subnet", taken=False, reason="whom idle subnets are kept for only people know"),
            *address_source.options(source, options),
        ),
    }
