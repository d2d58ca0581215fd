"""Checks of a cluster for a deployed stack: access entries, RBAC, the network path, the CNI and its owner, quotas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from ip_remediator.clients.kubernetes.connect import OpenCluster, open_cluster
from ip_remediator.common.text import counted, some_of
from ip_remediator.diagnosis.unsupported import unsupported
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.access import GROUPS, READERS, WRITERS, AccessEntries, check_authentication, endpoint_warnings
from ip_remediator_cli.aws import Aws, Deployment
from ip_remediator_cli.checks.finding import Finding
from ip_remediator_cli.commands.snapshot import read
from ip_remediator_cli.errors import CommandError
from ip_remediator_cli.parser import RBAC_FILE
from ip_remediator_cli.rbac import read_manifests

_READER_ROLE, _WRITER_ROLE = "eks-ip-remediator-reader", "eks-ip-remediator-writer"
_REVIEW = "/apis/authorization.k8s.io/v1/subjectaccessreviews"


@dataclass(frozen=True)
class ClusterDoctor:
    """Raises the errors of `common.errors` and `clients.kubernetes.api`; the caller makes findings of them."""

    aws: Aws
    deployment: Deployment
    name: str

    def open(self) -> None:
        """Asks EKS for the cluster: without it nothing else can be checked."""
        _ = self._open

    def checks(self) -> dict[str, Callable[[], Finding]]:
        """The checks of a cluster by their names, in the order in which they run."""
        return {
            "cluster": self._cluster,
            "access entries": self._entries,
            "rbac": self._rbac,
            "network path": self._network,
            "vpc cni": self._cni,
            "facts": self._facts,
        }

    @cached_property
    def _open(self) -> OpenCluster:
        return open_cluster(self.name, self.aws.client("eks"), self.aws.credentials())

    @cached_property
    def _snapshot(self) -> Snapshot:
        return read(self.aws, self.name)

    def _cluster(self) -> Finding:
        try:
            check_authentication(self._open.described)
        except CommandError as error:
            return Finding.broken("it does not support access entries", str(error))
        version = self._open.described.get("version")
        return Finding.ok(f"{self.name}, Kubernetes {version}, status {self._open.described.get('status')}")

    def _entries(self) -> Finding:
        entries = AccessEntries(self.aws.client("eks"), self.name, self.deployment, dry_run=True)
        missing = [role for role, group in GROUPS.items() if group not in entries.groups_of(role)]
        if missing:
            return Finding.broken(
                f"no access entry with its group for {', '.join(missing)}",
                f"ip-remediator onboard --cluster {self.name}",
            )
        return Finding.ok("the four roles have their access entries")

    def _rbac(self) -> Finding:
        """Every right that the manifests of onboarding grant, asked of the API server for the group that gets it."""
        lacking = [
            f"{group} may not {attributes['verb']} {attributes['resource']}"
            for group, role in ((READERS, _READER_ROLE), (WRITERS, _WRITER_ROLE))
            for attributes in _rights(role)
            if not self._allowed(group, attributes)
        ]
        if lacking:
            return Finding.broken(some_of(lacking), f"ip-remediator onboard --cluster {self.name}")
        return Finding.ok("readers and writers have all permissions of onboarding/rbac.yaml")

    def _allowed(self, group: str, attributes: dict[str, str]) -> bool:
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "ip-remediator-doctor", "groups": [group], "resourceAttributes": attributes},
        }
        answer = self._open.kube.create(_REVIEW, body)
        return bool((answer.get("status") or {}).get("allowed"))

    def _network(self) -> Finding:
        warnings = endpoint_warnings(self._open.described)
        if warnings:
            return Finding.doubtful(
                "; ".join(warnings), "give the stack KubernetesSubnetIds, unless it has them: see onboarding/README.md"
            )
        return Finding.ok("the endpoint is public")

    def _cni(self) -> Finding:
        reason = unsupported(self._snapshot)
        if reason:
            return Finding.broken(f"not supported: {reason}", "see docs/limits.md")
        cni = self._snapshot.cni
        return Finding.ok(f"version {cni.version or 'unknown'}, settings owned by: {cni.owner}")

    def _facts(self) -> Finding:
        unread = self._snapshot.unread
        if unread:
            return Finding.doubtful(f"not read with your permissions: {'; '.join(unread)}")
        nodes, subnets = counted(len(self._snapshot.nodes), "node"), counted(len(self._snapshot.subnets), "subnet")
        quotas = "the account's quotas too" if self._snapshot.quotas.applied else "quotas are AWS's defaults"
        return Finding.ok(f"{nodes} and {subnets} read, {quotas}")


def _rights(role: str) -> Iterator[dict[str, str]]:
    """The role's rights as resourceAttributes of a review."""
    for manifest in read_manifests(RBAC_FILE):
        if (manifest["kind"], manifest["metadata"]["name"]) == ("ClusterRole", role):
            for rule in manifest["rules"]:
                yield from _rights_of_rule(rule)


def _rights_of_rule(rule: dict[str, Any]) -> Iterator[dict[str, str]]:
    for group, resource, name, verb in product(
        rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]), rule["verbs"]
    ):
        kind, _, subresource = resource.partition("/")
        yield {"group": group, "resource": kind, "subresource": subresource, "name": name, "verb": verb}
