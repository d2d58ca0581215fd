"""The fewest calls that a remediation of the reference scenario can do with, to hold what was counted against.

The writes are the cure itself. The reads are the facts that diagnosis, plan and proof rest on, each read once, and the
looks that a write needs before it (the ACL association's id, the add-on's configuration) or after it (is it done?).
"""

from __future__ import annotations

from collections.abc import Mapping

ZONES, STUCK_PODS = 2, 2
_EC2, _EKS, _KUBERNETES = "ec2", "eks", "kubernetes"

WRITES: Mapping[tuple[str, str], int] = {
    (_EC2, "AssociateVpcCidrBlock"): 1,
    (_EC2, "CreateSubnet"): ZONES,
    (_EC2, "AssociateRouteTable"): ZONES,
    (_EC2, "ReplaceNetworkAclAssociation"): ZONES,
    (_EKS, "UpdateAddon"): 1,
    (_KUBERNETES, "PATCH eniconfigs"): ZONES,
}

READS: Mapping[tuple[str, str], int] = {
    # The endpoint, and the facts of the cluster.
    (_EKS, "DescribeCluster"): 1,
    # The configuration to merge with, and the end of the update.
    (_EKS, "DescribeAddon"): 2,
    # The CIDRs, and the association once it is there.
    (_EC2, "DescribeVpcs"): 2,
    # Free addresses before and after.
    (_EC2, "DescribeSubnets"): 2,
    (_EC2, "DescribeRouteTables"): 1,
    # The nodes' ACLs, and the new subnets' associations with the default one.
    (_EC2, "DescribeNetworkAcls"): 2,
    # The nodes' ENIs, and the proof that the pods' addresses lie on ENIs of the new subnets.
    (_EC2, "DescribeNetworkInterfaces"): 2,
    # A filter for the VPC as requester and one for it as accepter cannot be joined.
    (_EC2, "DescribeVpcPeeringConnections"): 2,
    (_EC2, "DescribeInstanceTypes"): 1,
    (_KUBERNETES, "GET nodes"): 1,
    (_KUBERNETES, "GET events"): 1,
    # The stuck ones, then the list that the watch starts from.
    (_KUBERNETES, "GET pods"): 2,
    (_KUBERNETES, "WATCH pods"): 1,
    (_KUBERNETES, "GET eniconfigs"): 1,
    # The settings, then the list that the watch of the rollout starts from.
    (_KUBERNETES, "GET daemonsets"): 2,
    (_KUBERNETES, "WATCH daemonsets"): 1,
}

MINIMUM: Mapping[tuple[str, str], int] = {**WRITES, **READS}
