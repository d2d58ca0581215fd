"""The owner of a subnet, by its tags (EKS User Guide, "Subnet requirements"; amazon-vpc-cni-k8s,
CHANGELOG of v1.22.1)."""

from __future__ import annotations

from ip_remediator.common import tag_names
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import CLUSTER_DISCOVERY_TAG, DISCOVERY_TAG
from ip_remediator.snapshot.model_vpc import Subnet

# By this people offer a subnet for pods: to the cluster of the value, or to every one with "shared".
POD_SUBNET_TAG = tag_names.POD_SUBNET
SHARED = "shared"
INCIDENT_TAG = tag_names.INCIDENT
EXCLUDED = "0"
_POD_ROLE_TAG = "kubernetes.io/role/pod"
_OUR_CLUSTER_TAG = tag_names.CLUSTER
_CLUSTER_TAG = "kubernetes.io/cluster/"


def owner_of_others(snapshot: Snapshot) -> str | None:
    """The other account that owns the VPC; None where it is ours, or not known. A shared subnet is the owner's as well,
    so it tells where the VPC's owner was not read (VPC User Guide, "Share your VPC subnets")."""
    owners = [snapshot.vpc.owner_id if snapshot.vpc else None, *(subnet.owner_id for subnet in snapshot.subnets)]
    owner = next((owner for owner in owners if owner), None)
    return owner if owner and snapshot.account_id and owner != snapshot.account_id else None


def is_meant_for_pods(cluster: str, subnet: Subnet) -> bool:
    """Whether a tag says that the subnet is for pods: of any cluster, or of this one.

    `kubernetes.io/role/pod` is what NodeClasses of EKS Auto Mode select (EKS User Guide, "Create a Node Class").
    """
    roles = (subnet.tags.get(DISCOVERY_TAG), subnet.tags.get(_POD_ROLE_TAG))
    scoped = POD_SUBNET_TAG in subnet.tags or CLUSTER_DISCOVERY_TAG + cluster in subnet.tags
    excluded = subnet.tags.get(DISCOVERY_TAG) == EXCLUDED
    return not excluded and (scoped or any(role not in (None, "", EXCLUDED) for role in roles))


def other_cluster(cluster: str, subnet: Subnet) -> str | None:
    """The other cluster that the subnet belongs to, even if it looks idle to `cluster`; None if it may be used."""
    meant_for = subnet.tags.get(POD_SUBNET_TAG, SHARED)
    if meant_for not in (cluster, SHARED):
        return meant_for
    for prefix in (CLUSTER_DISCOVERY_TAG, _CLUSTER_TAG):
        names = sorted(key.removeprefix(prefix) for key in subnet.tags if key.startswith(prefix))
        if names and cluster not in names:
            return names[0]
    tagged_cluster = subnet.tags.get(_OUR_CLUSTER_TAG, cluster)
    return tagged_cluster if tagged_cluster != cluster else None
