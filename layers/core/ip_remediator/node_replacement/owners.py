"""The owners of nodes, which replace them: Auto Scaling groups and Karpenter's NodeClaims."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.gone import unless_gone
from ip_remediator.clients.kubernetes.addressing import object_path
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.clients.kubernetes.objects import instance_id
from ip_remediator.node_replacement.rules import OwningGroup

_NODE_CLAIMS = "/apis/karpenter.sh/v1/nodeclaims"
# DescribeAutoScalingInstances takes as many ids at once.
_AT_ONCE = 50


@dataclass(frozen=True)
class AutoScalingGroups:
    """Raises the errors of `common.errors`. `autoscaling` is boto3's client."""

    autoscaling: Any

    def of(self, instances: Iterable[str]) -> dict[str, OwningGroup]:
        """The group of each instance that is in one."""
        names = self._names(sorted(set(instances)))
        if not names:
            return {}
        group_names = sorted(set(names.values()))
        with aws_call("DescribeAutoScalingGroups"):
            pages = self.autoscaling.get_paginator("describe_auto_scaling_groups").paginate(
                AutoScalingGroupNames=group_names
            )
            groups = {
                group["AutoScalingGroupName"]: _group(group) for page in pages for group in page["AutoScalingGroups"]
            }
        return {instance: groups[name] for instance, name in names.items() if name in groups}

    def _names(self, instances: list[str]) -> dict[str, str]:
        return {instance["InstanceId"]: instance["AutoScalingGroupName"] for instance in self._described(instances)}

    def _described(self, instances: list[str]) -> list[Any]:
        described = []
        for start in range(0, len(instances), _AT_ONCE):
            with aws_call("DescribeAutoScalingInstances"):
                answer = self.autoscaling.describe_auto_scaling_instances(
                    InstanceIds=instances[start : start + _AT_ONCE]
                )
            described += answer["AutoScalingInstances"]
        return described

    def is_leaving(self, instance: str) -> bool:
        """Whether its group ends the instance, or has ended it."""
        states = [str(described["LifecycleState"]) for described in self._described([instance])]
        return not states or states[0].startswith("Terminat")

    def terminate(self, instance: str) -> None:
        """Terminates the instance and lets its group launch another one; does nothing if it is already terminating.

        The lifecycle hook that EKS has on the groups of managed node groups drains it once more: nothing is left to do.
        """
        if self.is_leaving(instance):
            return
        with unless_gone(lambda: not self.is_leaving(instance)), aws_call("TerminateInstanceInAutoScalingGroup"):
            self.autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=False
            )


@dataclass(frozen=True)
class NodeClaims:
    """Karpenter's NodeClaims, one for each of its nodes. Raises the errors of `clients.kubernetes.api`."""

    kube: KubeApi

    def by_instance(self) -> dict[str, str]:
        """The claim's name, by instance id."""
        named = {}
        for claim in self.kube.items(_NODE_CLAIMS):
            if instance := instance_id((claim.get("status") or {}).get("providerID")):
                named[instance] = claim["metadata"]["name"]
        return named

    def is_leaving(self, name: str) -> bool:
        """Whether the NodeClaim is being deleted, or is gone."""
        claim = self.kube.find(object_path(_NODE_CLAIMS, name))
        return claim is None or "deletionTimestamp" in claim["metadata"]

    def is_gone(self, name: str) -> bool:
        """Whether the NodeClaim no longer exists."""
        return self.kube.find(object_path(_NODE_CLAIMS, name)) is None

    def delete(self, name: str) -> None:
        """Karpenter drains what is left, ends the instance, and provisions what pods need. A repeat is fine."""
        self.kube.delete(object_path(_NODE_CLAIMS, name))


def _group(described: Any) -> OwningGroup:
    return OwningGroup(
        name=described["AutoScalingGroupName"],
        tags={tag["Key"]: tag["Value"] for tag in described.get("Tags", [])},
        suspended=tuple(process["ProcessName"] for process in described.get("SuspendedProcesses", [])),
    )
