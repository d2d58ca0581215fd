"""The subnets of a cluster itself: changed by an update of EKS, which takes minutes and may fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import NotYet, RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

# How long one invocation waits; the state machine's Retry waits longer.
_PATIENCE = 25.0
_POLL = 0.5
_IN_PROGRESS, _SUCCESSFUL = "InProgress", "Successful"


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
        deadline = time.monotonic() + _PATIENCE
        while (described := Eks(self.eks, self.cluster).describe()).get("status") == "UPDATING":
            if time.monotonic() > deadline:
                raise NotYet(f"an update of cluster {self.cluster} is in progress")
            self.sleep(_POLL)
        return tuple((described.get("resourcesVpcConfig") or {}).get("subnetIds") or ())

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
        deadline = time.monotonic() + _PATIENCE
        while (described := self._update(update))["status"] == _IN_PROGRESS:
            if time.monotonic() > deadline:
                raise NotYet(f"the update {update} of cluster {self.cluster} is in progress")
            self.sleep(_POLL)
        if described["status"] != _SUCCESSFUL:
            errors = described.get("errors") or [{}]
            reasons = "; ".join(f"{error.get('errorCode')}: {error.get('errorMessage')}" for error in errors)
            raise RequestRefused(f"EKS did not change the subnets of {self.cluster} ({described['status']}): {reasons}")

    def _update(self, update: str) -> dict[str, Any]:
        with aws_call("DescribeUpdate"):
            return dict(self.eks.describe_update(name=self.cluster, updateId=update)["update"])
