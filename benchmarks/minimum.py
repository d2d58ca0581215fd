"""The fewest calls that a remediation of the reference scenario can do with, to hold what was counted against.

The writes are the cure itself. The reads are the facts that diagnosis, plan and proof rest on, each read once, and the
looks that a write needs before it (the ACL association's id, the add-on's configuration) or after it (is it done?).
What only the preflight looks at is counted apart: a script that does not ask what the change would break goes without.
"""

from __future__ import annotations

from collections import Counter
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

# What may break when pods move to another range: a risk that is not looked for is not told. Each is asked once, and no
# two can be joined. Peerings, routes, ACLs and ENIs, which the preflight judges as well, are among the cure's reads.
PREFLIGHT: Mapping[tuple[str, str], int] = {
    # Who admits the nodes' range, and not the pods' one.
    (_EC2, "DescribeSecurityGroups"): 1,
    # Ways that the new range has none of, or that do not know it.
    (_EC2, "DescribeTransitGatewayAttachments"): 1,
    (_EC2, "DescribeNatGateways"): 1,
    (_EC2, "DescribeVpcEndpoints"): 1,
    # Who makes the nodes that come next, and which pods have no node.
    (_EKS, "ListNodegroups"): 1,
    (_EKS, "ListFargateProfiles"): 1,
    # How many CIDRs, subnets and routes there may be.
    ("servicequotas", "ListServiceQuotas"): 1,
    # Webhooks and overlay networks; a list cannot be restricted to names or images.
    (_KUBERNETES, "GET mutatingwebhookconfigurations"): 1,
    (_KUBERNETES, "GET validatingwebhookconfigurations"): 1,
    (_KUBERNETES, "GET daemonsets"): 1,
    (_KUBERNETES, "GET deployments"): 1,
    (_KUBERNETES, "GET statefulsets"): 1,
    # Karpenter's API group.
    (_KUBERNETES, "GET discovery"): 1,
}

_CURE_READS: Mapping[tuple[str, str], int] = {
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

READS: Mapping[tuple[str, str], int] = Counter(_CURE_READS) + Counter(PREFLIGHT)
MINIMUM: Mapping[tuple[str, str], int] = {**WRITES, **READS}
