"""The subnets of a cluster itself: changed by an update of EKS, which takes minutes and may fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.eks_updates import SUCCESSFUL, has_ended, reasons, settled
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import ClusterNotFound, RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient


@dataclass(frozen=True)
class ClusterSubnets:
    """Raises the errors of `common.errors`; `sleep` is time.sleep unless a test says so."""

    eks: EKSClient
    cluster: str
    sleep: Callable[[float], None] = time.sleep

    def present(self) -> tuple[str, ...]:
        """Those of the cluster while nobody's update of it is in progress.

        Raises:
            NotYet: an update is in progress for longer than 25 s; call again.
            ClusterNotFound
        """
        described = settled(
            Eks(self.eks, self.cluster).describe,
            lambda cluster: cluster.get("status") != "UPDATING",
            lambda _: f"an update of cluster {self.cluster} is in progress",
            self.sleep,
        )
        return tuple((described.get("resourcesVpcConfig") or {}).get("subnetIds") or ())

    def exists(self) -> bool:
        """Whether EKS knows the cluster."""
        try:
            return bool(Eks(self.eks, self.cluster).describe())
        except ClusterNotFound:
            return False

    def change(self, subnets: Sequence[str]) -> str:
        """Starts the update; returns its id. Nothing else of the cluster's configuration is named."""
        wanted: Any = {"subnetIds": list(subnets)}
        with aws_call("UpdateClusterConfig"):
            answer = self.eks.update_cluster_config(name=self.cluster, resourcesVpcConfig=wanted)
        return str(answer["update"]["id"])

    def wait(self, update: str) -> None:
        """Raises:
        NotYet: it is in progress for longer than 25 s; call again.
        RequestRefused: it failed; the message is EKS's.
        """
        late = f"the update {update} of cluster {self.cluster} is in progress"
        described = settled(lambda: self._update(update), has_ended, lambda _: late, self.sleep)
        if described["status"] != SUCCESSFUL:
            raise RequestRefused(
                f"EKS did not change the subnets of {self.cluster} ({described['status']}): "
                f"{reasons(described) or 'EKS gives no reason'}"
            )

    def _update(self, update: str) -> dict[str, Any]:
        with aws_call("DescribeUpdate"):
            return dict(self.eks.describe_update(name=self.cluster, updateId=update)["update"])
