"""Which role of the stack gets which Kubernetes group, and the EKS access entries that say so."""

from __future__ import annotations

from typing import Any

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common import tag_names
from ip_remediator.common.errors import NotFound
from ip_remediator_cli.aws import Deployment
from ip_remediator_cli.errors import CommandError

READERS = "eks-ip-remediator:readers"
WRITERS = "eks-ip-remediator:writers"
GROUPS = {"DiagnoseRoleArn": READERS, "VerifyRoleArn": READERS, "SweepRoleArn": READERS, "ClusterRoleArn": WRITERS}
STACK_TAG = tag_names.STACK
_MODES = ("API", "API_AND_CONFIG_MAP")


def check_authentication(described: dict[str, Any]) -> None:
    """Raises CommandError when the cluster (DescribeCluster's answer) takes no access entries."""
    mode = (described.get("accessConfig") or {}).get("authenticationMode")
    if mode not in _MODES:
        name = described["name"]
        raise CommandError(
            f"cluster {name} has authenticationMode {mode}, which does not support access entries. This enables "
            "them, and can't be undone: "
            f"run `aws eks update-cluster-config --name {name} --access-config authenticationMode=API_AND_CONFIG_MAP`"
        )


def endpoint_warnings(described: dict[str, Any]) -> list[str]:
    """What keeps functions without a VPC of their own from reaching the cluster's API."""
    network = described.get("resourcesVpcConfig") or {}
    if network.get("endpointPublicAccess") is False:
        return ["the endpoint is private only: the functions reach it only from your own subnets (KubernetesSubnetIds)"]
    sources = network.get("publicAccessCidrs") or []
    if sources and "0.0.0.0/0" not in sources:
        return [f"the endpoint accepts only {', '.join(sources)}: Lambda's addresses are not among them"]
    return []


class AccessEntries:
    """The access entries of one cluster for one deployed stack. Raises the errors of `common.errors`."""

    def __init__(self, eks: Any, cluster: str, deployment: Deployment, *, dry_run: bool) -> None:
        self._eks = eks
        self._cluster = cluster
        self._deployment = deployment
        self._dry_run = dry_run

    def grant(self, role: str) -> str:
        """Gives the role (an output's name) its group; returns what was done, or with `dry_run` would be.

        Raises:
            CommandError: somebody else made an entry for the role, and with other groups.
        """
        arn, group = self._deployment.output(role), GROUPS[role]
        present = self._find(arn)
        if present is None:
            self._create(arn, group)
            return f"created    access entry {arn} -> {group}"
        if group in present.get("kubernetesGroups", []):
            return f"unchanged  access entry {arn} -> {group}"
        if not self._ours(present):
            raise CommandError(
                f"access entry {arn} exists without the group {group}, and was not created by this command: add the "
                "group to it with `aws eks update-access-entry`, or delete it"
            )
        if not self._dry_run:
            with aws_call("UpdateAccessEntry"):
                self._eks.update_access_entry(clusterName=self._cluster, principalArn=arn, kubernetesGroups=[group])
        return f"updated    access entry {arn} -> {group}"

    def groups_of(self, role: str) -> list[str]:
        """The groups of the role's entry; empty when it has none."""
        return list((self._find(self._deployment.output(role)) or {}).get("kubernetesGroups", []))

    def revoke(self, role: str) -> str:
        """Deletes the role's entry if `grant` made it; returns what was done, or with `dry_run` would be."""
        arn = self._deployment.output(role)
        present = self._find(arn)
        if present is None:
            return f"absent     access entry {arn}"
        if not self._ours(present):
            return (
                f"kept       access entry {arn}: not created by this command (delete its CloudFormation stack, if any)"
            )
        if not self._dry_run:
            with aws_call("DeleteAccessEntry"):
                self._eks.delete_access_entry(clusterName=self._cluster, principalArn=arn)
        return f"deleted    access entry {arn}"

    def _find(self, arn: str) -> dict[str, Any] | None:
        try:
            with aws_call("DescribeAccessEntry"):
                answer = self._eks.describe_access_entry(clusterName=self._cluster, principalArn=arn)
        except NotFound:
            return None
        return dict(answer["accessEntry"])

    def _create(self, arn: str, group: str) -> None:
        if self._dry_run:
            return
        with aws_call("CreateAccessEntry"):
            self._eks.create_access_entry(
                clusterName=self._cluster,
                principalArn=arn,
                kubernetesGroups=[group],
                type="STANDARD",
                tags={STACK_TAG: self._deployment.stack},
            )

    def _ours(self, entry: dict[str, Any]) -> bool:
        return bool((entry.get("tags") or {}).get(STACK_TAG) == self._deployment.stack)
