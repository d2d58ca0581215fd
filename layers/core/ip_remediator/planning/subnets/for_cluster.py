"""Other subnets for the cluster itself, where EKS lacks addresses to update it.

EKS takes subnets of the same VPC and the same set of Availability Zones as at the cluster's creation, each with enough
addresses ("View Amazon EKS networking requirements for VPC and subnets" of the EKS User Guide). So each subnet that is
too low is replaced by a new one of its zone.
"""

from __future__ import annotations

from ip_remediator.common.cidr import SMALLEST_PREFIX
from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.node_subnets import FOR_UPDATES, LOAD_BALANCER_TAGS, low_cluster_subnets
from ip_remediator.planning import preconditions
from ip_remediator.planning.model import BlockRequirement, Recipient
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.subnets import space
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_places import outpost_of

# "We recommend at least 16" (the same page). Larger ones are made where addresses cost nothing.
_ADDRESSES = 16


def requirement(snapshot: Snapshot, options: PlanningOptions) -> BlockRequirement:
    """Raises CannotPlan: it is not allowed, or no subnet of the cluster itself is low."""
    low = [subnet for subnet in low_cluster_subnets(snapshot) if not outpost_of(snapshot, subnet)]
    like = {subnet.zone: subnet for subnet in low}
    if not low:
        raise CannotPlan("cluster_subnets: the cluster's own subnets have room, only those of load balancers are low")
    if not options.may_replace_subnets_of(snapshot.cluster.name):
        raise CannotPlan(
            f"the cluster's own subnets are left to people, unless the parameter ClusterSubnetsOf names "
            f"{snapshot.cluster.name}"
        )
    zones = tuple(sorted(like))
    preconditions.require_below_subnet_quota(snapshot, len(zones))
    source = space.find(snapshot, options, dict.fromkeys(zones, _ADDRESSES), largest=SMALLEST_PREFIX)
    recipient = Recipient(
        kind="cluster",
        name=snapshot.cluster.name,
        zones=zones,
        present=snapshot.cluster.subnets or (),
        replaced=tuple(subnet.id for subnet in low),
    )
    ids = some_of(recipient.replaced)
    return BlockRequirement(
        strategy="cluster-subnets",
        strategy_reason=f"EKS needs {FOR_UPDATES} free addresses to update the cluster, and {ids} have fewer",
        zones=zones,
        **space.fields(source, options),
        recipients=(recipient,),
        like={zone: subnet.id for zone, subnet in like.items()},
        tags={
            zone: {key: value for key, value in subnet.tags.items() if key in LOAD_BALANCER_TAGS}
            for zone, subnet in like.items()
        },
        expected=f"EKS can update {snapshot.cluster.name} again: its subnets in {some_of(zones)} have room",
    )
