"""Opening a cluster: from its name to its API, with the function's own identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.credentials import Credentials

from ip_remediator.clients.aws.eks import Eks, token
from ip_remediator.clients.aws.eks_addon import CniAddon
from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.common.errors import RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient


@dataclass(frozen=True)
class OpenCluster:
    """`described` is DescribeCluster's answer."""

    described: dict[str, Any]
    eks: Eks
    addon: CniAddon
    kube: KubeApi


def open_cluster(name: str, eks_client: EKSClient, credentials: Credentials) -> OpenCluster:
    """Raises ClusterNotFound, RequestRefused (it is not active, or has no public endpoint yet) and AWS errors."""
    eks = Eks(eks_client, name)
    described = eks.describe()
    endpoint = described.get("endpoint")
    if described.get("status") not in ("ACTIVE", "UPDATING") or not endpoint:
        raise RequestRefused(f"cluster {name} is {described.get('status')}: it cannot be changed now")
    kube = kube_api(described, eks_client.meta.region_name, credentials)
    return OpenCluster(described, eks, CniAddon(eks_client, name), kube)


def kube_api(described: dict[str, Any], region: str, credentials: Credentials, seconds: float | None = None) -> KubeApi:
    """The API of the active cluster that `described` (DescribeCluster's answer) is about; `seconds`: see KubeApi."""
    bearer = token(described["name"], region, credentials)
    return KubeApi(described["endpoint"], described["certificateAuthority"]["data"], bearer, seconds)
