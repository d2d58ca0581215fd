"""EKS's description of a cluster and its VPC CNI add-on, and tokens for the cluster's API."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import ClusterNotFound, NotFound

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

ADDON = "vpc-cni"
_TOKEN_SECONDS = 60


class Eks:
    """Raises the errors of `common.errors`."""

    def __init__(self, eks: EKSClient, cluster: str) -> None:
        self._eks = eks
        self._name = cluster

    def describe(self) -> dict[str, Any]:
        """DescribeCluster's answer. Raises ClusterNotFound."""
        try:
            with aws_call("DescribeCluster"):
                return dict(self._eks.describe_cluster(name=self._name)["cluster"])
        except NotFound as error:
            raise ClusterNotFound(f"EKS knows no cluster {self._name!r} in {self._eks.meta.region_name}") from error

    def addon(self) -> dict[str, Any] | None:
        """The managed add-on vpc-cni, or None when aws-node is self-managed."""
        try:
            with aws_call("DescribeAddon"):
                return dict(self._eks.describe_addon(clusterName=self._name, addonName=ADDON)["addon"])
        except NotFound:
            return None


def cluster_tags(eks: EKSClient, cluster: str) -> dict[str, str]:
    """The cluster's tags; a cluster that is gone has none."""
    try:
        return dict(Eks(eks, cluster).describe().get("tags") or {})
    except ClusterNotFound:
        return {}


def token(cluster: str, region: str, credentials: Credentials) -> str:
    """A bearer token for the cluster's API: a presigned GetCallerIdentity URL, as aws-iam-authenticator takes it.

    It is never called from here, and signed for AWS's own regional host whatever endpoint the clients use, because
    the authenticator accepts no other.
    """
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    request = AWSRequest(
        method="GET",
        url=f"https://sts.{region}.{suffix}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": cluster},
    )
    SigV4QueryAuth(credentials, "sts", region, expires=_TOKEN_SECONDS).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(str(request.url).encode()).decode().rstrip("=")
