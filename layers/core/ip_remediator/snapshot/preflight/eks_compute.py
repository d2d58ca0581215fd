"""The managed node groups and Fargate profiles of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.snapshot.model_cluster import FargateProfile, NodeGroup
from ip_remediator.snapshot.read_failures import ReadFailures

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

DocumentT = TypeVar("DocumentT")
# Each is described by a call of its own, and EKS throttles early: as many as a usual cluster has, and then some.
_MOST_DESCRIBED = 30


class EksCompute:
    """Raises the errors of `common.errors`; groups and profiles beyond a limit are reported in `unread`."""

    def __init__(self, eks: EKSClient, cluster: str, unread: ReadFailures) -> None:
        self._eks = eks
        self._cluster = cluster
        self._unread = unread

    def node_groups(self, pool: Executor) -> tuple[NodeGroup, ...]:
        """The cluster's managed node groups, described side by side."""
        with aws_call("ListNodegroups"):
            pages = self._eks.get_paginator("list_nodegroups").paginate(clusterName=self._cluster)
            names = [name for page in pages for name in page["nodegroups"]]
        return self._described("node group", names, self._node_group, pool)

    def fargate_profiles(self, pool: Executor) -> tuple[FargateProfile, ...]:
        """The cluster's Fargate profiles, described side by side."""
        with aws_call("ListFargateProfiles"):
            pages = self._eks.get_paginator("list_fargate_profiles").paginate(clusterName=self._cluster)
            names = [name for page in pages for name in page["fargateProfileNames"]]
        return self._described("Fargate profile", names, self._fargate_profile, pool)

    def _described(
        self, kind: str, names: Iterable[str], describe: Callable[[str], DocumentT], pool: Executor
    ) -> tuple[DocumentT, ...]:
        ordered = sorted(names)
        if (rest := len(ordered) - _MOST_DESCRIBED) > 0:
            self._unread.note(f"{kind}s of {self._cluster}", f"{rest} more than the {_MOST_DESCRIBED} described")
        results = pool.map(
            lambda name: self._unread.attempt(f"{kind} {name}", lambda: describe(name), None),
            ordered[:_MOST_DESCRIBED],
        )
        return tuple(result for result in results if result is not None)

    def _node_group(self, name: str) -> NodeGroup:
        with aws_call("DescribeNodegroup"):
            answer = self._eks.describe_nodegroup(clusterName=self._cluster, nodegroupName=name)
        return node_group(answer["nodegroup"])

    def _fargate_profile(self, name: str) -> FargateProfile:
        with aws_call("DescribeFargateProfile"):
            answer = self._eks.describe_fargate_profile(clusterName=self._cluster, fargateProfileName=name)
        return FargateProfile(name=name, subnets=tuple(answer["fargateProfile"].get("subnets") or ()))


# What DescribeNodegroup says beside scalingConfig, and where it stands in our document.
_FIELDS = {
    "name": "nodegroupName",
    "subnets": "subnets",
    "instance_types": "instanceTypes",
    "role": "nodeRole",
    "ami_type": "amiType",
    "capacity_type": "capacityType",
    "disk_size": "diskSize",
    "labels": "labels",
    "taints": "taints",
    "remote_access": "remoteAccess",
    "update_config": "updateConfig",
    "node_repair_config": "nodeRepairConfig",
    "warm_pool_config": "warmPoolConfig",
    "tags": "tags",
}


def node_group(described: Mapping[str, Any]) -> NodeGroup:
    """From DescribeNodegroup's answer."""
    sizes, template = described.get("scalingConfig") or {}, described.get("launchTemplate") or {}
    present = {field: described[name] for field, name in _FIELDS.items() if described.get(name) is not None}
    return NodeGroup(
        **present,
        desired=sizes.get("desiredSize"),
        auto_scaling_group=_scaled_by(described),
        least=sizes.get("minSize"),
        most=sizes.get("maxSize"),
        launch_template={key: str(template[key]) for key in ("id", "version") if template.get(key)},
    )


def _scaled_by(group: Mapping[str, Any]) -> str | None:
    behind = (group.get("resources") or {}).get("autoScalingGroups") or []
    return behind[0]["name"] if behind else None
