"""The subnets of an Auto Scaling group. AWS offers only to set all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotFound
from ip_remediator.snapshot.model_cluster import AutoScalingGroup
from ip_remediator.snapshot.preflight.node_launchers import auto_scaling_group


@dataclass(frozen=True)
class AutoScaling:
    """Raises the errors of `common.errors`. `autoscaling` is boto3's client."""

    autoscaling: Any

    def group(self, group: str) -> AutoScalingGroup:
        """Raises NotFound: there is no such group."""
        described = self._described(group)
        if not described:
            raise NotFound(f"there is no Auto Scaling group {group}")
        return auto_scaling_group(described[0])

    def exists(self, group: str) -> bool:
        """Whether there is such a group."""
        return bool(self._described(group))

    def _described(self, group: str) -> list[Any]:
        with aws_call("DescribeAutoScalingGroups"):
            answer = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group])
        return list(answer["AutoScalingGroups"])

    def set_subnets(self, group: str, subnets: Sequence[str]) -> None:
        """Sets the subnets. The call names no other setting of the group, so no other one changes."""
        with aws_call("UpdateAutoScalingGroup"):
            self.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group, VPCZoneIdentifier=",".join(subnets))
