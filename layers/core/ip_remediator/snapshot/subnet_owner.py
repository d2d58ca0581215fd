"""Whose a subnet is, by its tags (EKS User Guide, "Subnet requirements"; amazon-vpc-cni-k8s, CHANGELOG of v1.22.1)."""

from __future__ import annotations

from ip_remediator.common import tag_names
from ip_remediator.snapshot.model_cluster import CLUSTER_DISCOVERY_TAG
from ip_remediator.snapshot.model_vpc import Subnet

# By this people offer a subnet for pods: to the cluster of the value, or to every one with "shared".
POD_SUBNET_TAG = tag_names.POD_SUBNET
SHARED = "shared"
INCIDENT_TAG = tag_names.INCIDENT
_OUR_CLUSTER_TAG = tag_names.CLUSTER
_CLUSTER_TAG = "kubernetes.io/cluster/"


def other_cluster(cluster: str, subnet: Subnet) -> str | None:
    """The other cluster that the subnet belongs to, however idle it looks from `cluster`; None where it may be used."""
    meant_for = subnet.tags.get(POD_SUBNET_TAG, SHARED)
    if meant_for not in (cluster, SHARED):
        return meant_for
    for prefix in (CLUSTER_DISCOVERY_TAG, _CLUSTER_TAG):
        names = sorted(key.removeprefix(prefix) for key in subnet.tags if key.startswith(prefix))
        if names and cluster not in names:
            return names[0]
    tagged_cluster = subnet.tags.get(_OUR_CLUSTER_TAG, cluster)
    return tagged_cluster if tagged_cluster != cluster else None
