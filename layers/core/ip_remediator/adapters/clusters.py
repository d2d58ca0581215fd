"""Opening a cluster: from its name to its API, with the function's own identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ip_remediator.adapters.eks import Eks, token
from ip_remediator.adapters.errors import RequestRefused
from ip_remediator.adapters.kube import KubeApi


@dataclass(frozen=True)
class OpenCluster:
    """`described` is DescribeCluster's answer."""

    described: dict[str, Any]
    eks: Eks
    kube: KubeApi


def open_cluster(name: str, eks_client: Any, sts_client: Any) -> OpenCluster:
    """Raises ClusterNotFound, RequestRefused (it is not active, or has no public endpoint yet) and AWS errors."""
    eks = Eks(eks_client, name)
    described = eks.describe()
    endpoint = described.get("endpoint")
    if described.get("status") not in ("ACTIVE", "UPDATING") or not endpoint:
        raise RequestRefused(f"cluster {name} is {described.get('status')}: it cannot be changed now")
    api = KubeApi(endpoint, described["certificateAuthority"]["data"], token(sts_client, name))
    return OpenCluster(described, eks, api)
