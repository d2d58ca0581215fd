"""The clusters of a sweep: those that gave this function's role an access entry, unless a tag excludes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common import tag_names
from ip_remediator.common.errors import NotFound, RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

    from ip_remediator.common.clock import Clock

# What changes when somebody onboards a cluster, not from sweep to sweep.
KEPT = timedelta(minutes=15)


class OnboardedClusters:
    """What EKS says about the clusters of the region, kept for 15 minutes. Raises the errors of `common.errors`.

    Args:
        role_arn: the function's own role; `ip-remediator onboard` or onboarding/cluster.yaml make its access entry.
    """

    def __init__(self, eks: EKSClient, role_arn: str, clock: Clock) -> None:
        self._eks = eks
        self._role = role_arn
        self._clock = clock
        self._kept: dict[str, tuple[datetime, dict[str, Any] | None]] = {}

    @property
    def region(self) -> str:
        """The region of the EKS client."""
        return self._eks.meta.region_name

    def names(self) -> list[str]:
        """All clusters of the region, onboarded or not."""
        with aws_call("ListClusters"):
            pages = self._eks.get_paginator("list_clusters").paginate()
            return [name for page in pages for name in page["clusters"]]

    def described(self, name: str) -> dict[str, Any] | None:
        """DescribeCluster's answer; None when the cluster is not to be swept."""
        kept = self._kept.get(name)
        if kept is None or kept[0] + KEPT < self._clock():
            kept = (self._clock(), self._ask(name))
            self._kept[name] = kept
        return kept[1]

    def _ask(self, name: str) -> dict[str, Any] | None:
        if not self._onboarded(name):
            return None
        try:
            described = Eks(self._eks, name).describe()
        except NotFound:  # deleted since it was listed
            return None
        return described if to_be_swept(described) else None

    def _onboarded(self, name: str) -> bool:
        """Whether the cluster has an access entry for the role. EKS answers InvalidRequestException for a cluster that
        does not support access entries."""
        try:
            with aws_call("ListAccessEntries"):
                pages = self._eks.get_paginator("list_access_entries").paginate(clusterName=name)
                return any(self._role in page["accessEntries"] for page in pages)
        except (NotFound, RequestRefused):
            return False


def to_be_swept(described: dict[str, Any]) -> bool:
    """Whether the cluster (DescribeCluster's answer) exists, has pods with IPv4 addresses, and has no tag that excludes
    it."""
    network = described.get("kubernetesNetworkConfig") or {}
    return (
        described.get("status") in ("ACTIVE", "UPDATING")
        and bool(described.get("endpoint"))
        and (described.get("tags") or {}).get(tag_names.SWEEP) != "off"
        and network.get("ipFamily") != "ipv6"
    )
