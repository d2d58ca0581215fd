"""The launchers of nodes other than managed node groups: Auto Scaling groups and Karpenter's EC2NodeClasses."""

from __future__ import annotations

from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.snapshot.model_cluster import AutoScalingGroup, NodeClass, SubnetTerm

_OF_NODE_GROUP = "eks:nodegroup-name"
_IN_SERVICE = "InService"


def auto_scaling_groups(autoscaling: Any, cluster: str) -> tuple[AutoScalingGroup, ...]:
    """The cluster's Auto Scaling groups that EKS did not make; `autoscaling` is boto3's client.

    Self-managed nodes bear the tag kubernetes.io/cluster/NAME, by which the cloud provider knows them, and get it from
    their group (EKS User Guide, "Create self-managed Amazon Linux nodes").

    Raises the errors of `common.errors`.
    """
    filters = [{"Name": "tag-key", "Values": [f"kubernetes.io/cluster/{cluster}"]}]
    with aws_call("DescribeAutoScalingGroups"):
        pages = autoscaling.get_paginator("describe_auto_scaling_groups").paginate(Filters=filters)
        described = [group for page in pages for group in page["AutoScalingGroups"]]
    groups = (auto_scaling_group(group) for group in described)
    return tuple(sorted((group for group in groups if _OF_NODE_GROUP not in group.tags), key=lambda group: group.name))


def auto_scaling_group(described: Any) -> AutoScalingGroup:
    """One of DescribeAutoScalingGroups; its subnets are in its order."""
    instances = described.get("Instances") or ()
    return AutoScalingGroup(
        name=described["AutoScalingGroupName"],
        subnets=tuple(id_ for id_ in (described.get("VPCZoneIdentifier") or "").split(",") if id_),
        instance_types=tuple(sorted({kind for instance in instances if (kind := instance.get("InstanceType"))})),
        desired=described.get("DesiredCapacity"),
        running=sum(instance.get("LifecycleState") == _IN_SERVICE for instance in instances),
        tags={tag["Key"]: tag["Value"] for tag in described.get("Tags") or ()},
    )


def node_class(item: dict[str, Any]) -> NodeClass:
    """An EC2NodeClass of karpenter.k8s.aws/v1."""
    terms = (item.get("spec") or {}).get("subnetSelectorTerms") or ()
    return NodeClass(
        name=item["metadata"]["name"],
        subnets=tuple(subnet["id"] for subnet in (item.get("status") or {}).get("subnets") or ()),
        selector_terms=tuple(SubnetTerm(id=term.get("id"), tags=term.get("tags") or {}) for term in terms),
    )
