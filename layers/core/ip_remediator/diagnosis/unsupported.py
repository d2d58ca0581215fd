"""Clusters and nodes whose pods can't get addresses of a new range."""

from __future__ import annotations

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Node
from ip_remediator.snapshot.subnet_owner import owner_of_others

# Provisioners of nodes that run aws-node in a cluster that has EKS Auto Mode, too.
_OTHER_PROVISIONERS = frozenset({"managed", "self-managed", "karpenter"})


def unsupported(snapshot: Snapshot) -> str | None:
    """Clusters that a secondary CIDR cannot help, with the reason (field limits of the VPC CNI)."""
    cluster, vpc = snapshot.cluster, snapshot.vpc
    if cluster.ip_family == "ipv6":
        return "the cluster is IPv6: pods get IPv6 addresses, and custom networking does not exist there"
    if cluster.auto_mode and not _has_nodes_beside_auto_mode(snapshot):
        return "EKS Auto Mode ignores ENIConfigs: give its NodeClass podSubnetSelectorTerms and subnets of a new CIDR"
    if not snapshot.cni.installed:
        return "the cluster does not run the Amazon VPC CNI (no pods of aws-node): its own CNI hands out addresses"
    if vpc and (owner := owner_of_others(snapshot)):
        return f"the VPC {vpc.id} is shared by account {owner}: only its owner may add CIDRs and subnets"
    return _served_by_others(snapshot)


def _has_nodes_beside_auto_mode(snapshot: Snapshot) -> bool:
    """A cluster in Auto Mode may have node groups with aws-node as well: those are judged like any other."""
    return any(node.runs_vpc_cni and node.provisioner in _OTHER_PROVISIONERS for node in _concerned(snapshot))


def _concerned(snapshot: Snapshot) -> list[Node]:
    """The nodes of the stuck pods; all nodes, where no pod's node is known."""
    hosts = {pod.node for pod in snapshot.stuck_pods}
    return [node for node in snapshot.nodes if node.name in hosts] or list(snapshot.nodes)


def _served_by_others(snapshot: Snapshot) -> str | None:
    """The reason, if all nodes, or the nodes of all stuck pods, are of a kind that uses no ENIConfig; else None."""
    concerned = _concerned(snapshot)
    if not concerned or any(node.runs_vpc_cni for node in concerned):
        return None
    subject = "every node is" if len(concerned) == len(snapshot.nodes) else "the pods wait on nodes that all are"
    if any(node.fargate for node in concerned):
        return f"{subject} Fargate: pods take addresses of the Fargate profile's subnets, add subnets there"
    if any(node.own_cni for node in concerned):
        return f"{subject} hybrid or of EKS Auto Mode: aws-node does not run there"
    return f"{subject} Windows: their pods take addresses of the node's own ENI, and ENIConfigs do not apply"
