"""What EKS says about a cluster and its VPC CNI add-on, the add-on's configuration, and tokens for its API."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.errors import ClusterNotFound, NotFound, NotYet, RequestRefused

if TYPE_CHECKING:
    from mypy_boto3_eks import EKSClient

ADDON = "vpc-cni"
_TOKEN_SECONDS = 60
_PATIENCE = 25.0
_POLL = 0.5


class Eks:
    """Raises the errors of `common.errors`."""

    def __init__(self, eks: EKSClient, cluster: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._eks = eks
        self._name = cluster
        self._sleep = sleep

    def describe(self) -> dict[str, Any]:
        """DescribeCluster's answer. Raises ClusterNotFound."""
        try:
            with aws_call("DescribeCluster"):
                return dict(self._eks.describe_cluster(name=self._name)["cluster"])
        except NotFound as error:
            raise ClusterNotFound(
                f"EKS knows no cluster {self._name!r} in {self._eks.meta.region_name}: was it deleted, or is the "
                "ClusterName of the alarm or event exporter wrong?"
            ) from error

    def addon(self) -> dict[str, Any] | None:
        """The managed add-on vpc-cni, or None when aws-node is self-managed."""
        try:
            with aws_call("DescribeAddon"):
                return dict(self._eks.describe_addon(clusterName=self._name, addonName=ADDON)["addon"])
        except NotFound:
            return None

    def set_addon_configuration(self, configuration: str, present: dict[str, Any] | None = None) -> None:
        """Replaces the add-on's configurationValues (JSON text) and waits until the update is through. `present`: the
        add-on, if it was just read.

        The update keeps what people changed by hand in the cluster (PRESERVE), and the add-on's own IAM role.

        Raises:
            NotYet: still updating after 25 s; call again.
            RequestRefused: the update failed; the add-on's health issues are in the message. One that is DEGRADED has
                taken the configuration: whether its pods run is seen at their rollout.
        """
        present = present or self.addon() or {}
        if present.get("configurationValues", "") != configuration:
            role_arn = present.get("serviceAccountRoleArn")
            role = {"serviceAccountRoleArn": role_arn} if role_arn else {}
            with aws_call("UpdateAddon"):
                self._eks.update_addon(
                    clusterName=self._name,
                    addonName=ADDON,
                    configurationValues=configuration,
                    resolveConflicts="PRESERVE",
                    **role,
                )
            self._sleep(_POLL)  # no update is through at once
        deadline = time.monotonic() + _PATIENCE
        while (status := (self.addon() or {}).get("status")) == "UPDATING":
            if time.monotonic() > deadline:
                raise NotYet(f"the add-on {ADDON} of {self._name} is still updating")
            self._sleep(_POLL)
        if status == "UPDATE_FAILED":
            issues = (self.addon() or {}).get("health", {}).get("issues", [])
            raise RequestRefused(f"the add-on {ADDON} of {self._name} is {status}: {json.dumps(issues)}")


def cluster_tags(eks: EKSClient, cluster: str) -> dict[str, str]:
    """The cluster's tags; a cluster that is gone has none."""
    try:
        return dict(Eks(eks, cluster).describe().get("tags") or {})
    except ClusterNotFound:
        return {}


def merge_addon_env(configuration: str | None, env: dict[str, str]) -> str:
    """`configuration` (the add-on's JSON text, or nothing) with `env` set in it and all else as it was.

    Raises:
        RequestRefused: the present configuration is not JSON (EKS also takes YAML) or not an object.
    """
    try:
        values = json.loads(configuration) if configuration else {}
    except ValueError as error:
        raise RequestRefused(
            f"the configurationValues of add-on {ADDON} are not JSON: convert them, or set {env} by hand"
        ) from error
    if not isinstance(values, dict):
        raise RequestRefused(f"the configurationValues of add-on {ADDON} are not a JSON object")
    return json.dumps({**values, "env": {**(values.get("env") or {}), **env}})


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
