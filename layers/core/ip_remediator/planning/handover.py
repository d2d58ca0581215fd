"""What people run after a plan that only prepares: node groups in its subnets, or manifests of objects that belong to
GitOps, Helm or the like. Ids that are not known before the subnets are made stand as `subnet_placeholder`.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence

from ip_remediator.common.text import some_of
from ip_remediator.diagnosis.launcher_commands import create_node_group, extend_auto_scaling_group, select_by_id
from ip_remediator.planning.changes import cni_settings, describe_settings, without_our_mark
from ip_remediator.planning.model import Change, PlannedSubnet, subnet_placeholder
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import CRD_NAME, Cluster

_GROUPS_TOLD = 5


def manifests(snapshot: Snapshot, owner: str, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """The cluster's part of a plan, for the source that `owner` speaks of."""
    written = [change for change in changes if change.by_hand]
    texts = [f"{owner}: put the following into its source, ENIConfigs first"]
    if any(change.action == "create_crd" for change in written):
        texts.append(f"before them the CRD {CRD_NAME}, which is missing: the CNI's chart has it")
    texts += _eni_configs(snapshot, [change for change in written if change.action == "apply_eniconfig"])
    if any(change.action == "configure_cni" for change in written):
        texts.append(_settings(snapshot))
    return tuple(texts)


def _eni_configs(snapshot: Snapshot, changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        yield f"kubectl apply -f - <<< {shlex.quote(json.dumps(_whole(snapshot, change)))}"
    if changes:
        yield "`kubectl diff -f -` with the same document shows first what would change"
    kept = [change.target for change in changes if _groups_of(snapshot, change)]
    if kept:
        yield f"of {some_of(kept)} only spec.subnet changes: securityGroups stay as they are now"


def _settings(snapshot: Snapshot) -> str:
    """The values of the chart aws-vpc-cni have the variables under `env`."""
    if snapshot.cni.owner == "helm":
        return f"in the values of {snapshot.cni.owned_by or 'the Helm release'}: {json.dumps({'env': cni_settings()})}"
    return f"kubectl -n kube-system set env daemonset/aws-node {describe_settings(cni_settings())}"


def _whole(snapshot: Snapshot, change: Change) -> object:
    """The ENIConfig with its labels, annotations and whole spec, because a manifest in a source replaces the object.
    Our label is left out: who applies the manifest manages the object."""
    manifest = json.loads(json.dumps(without_our_mark(change.manifest or {})))
    if present := snapshot.eni_config(change.target):
        kept = {"labels": present.labels, "annotations": present.annotations}
        manifest["metadata"] |= {name: dict(marks) for name, marks in kept.items() if marks}
    if groups := _groups_of(snapshot, change):
        manifest["spec"]["securityGroups"] = list(groups)
    return manifest


def _groups_of(snapshot: Snapshot, change: Change) -> tuple[str, ...]:
    config = snapshot.eni_config(change.target) if change.action == "apply_eniconfig" else None
    return config.security_groups if config else ()


def node_groups(snapshot: Snapshot, subnets: tuple[PlannedSubnet, ...]) -> tuple[str, ...]:
    """How to start nodes in the subnets, for the cluster's launchers: managed node groups, Auto Scaling groups,
    Karpenter, or none."""
    ids = [subnet.id or subnet_placeholder(subnet.zone) for subnet in subnets]
    return tuple(_node_groups(snapshot, ids))


def _node_groups(snapshot: Snapshot, ids: list[str]) -> Iterator[str]:
    cluster = snapshot.cluster
    launchers = [*_of_managed_groups(cluster, ids), *_of_other_launchers(cluster, ids)]
    yield from launchers or [_eksctl(cluster.name, ids)]
    yield "then drain the old nodes one by one: kubectl drain NODE --ignore-daemonsets --delete-emptydir-data"


def _of_managed_groups(cluster: Cluster, ids: list[str]) -> Iterator[str]:
    groups = cluster.node_groups
    for group in groups[:_GROUPS_TOLD]:
        yield create_node_group(cluster.name, group, f"{group.name}-pods", ids)
    if len(groups) > _GROUPS_TOLD:
        yield f"the same for the other {len(groups) - _GROUPS_TOLD} managed node groups"


def _of_other_launchers(cluster: Cluster, ids: list[str]) -> Iterator[str]:
    for scaled in (cluster.auto_scaling_groups or ())[:_GROUPS_TOLD]:
        yield f"Auto Scaling group {scaled.name}: {extend_auto_scaling_group(scaled, ids)}"
    for node_class in (cluster.node_classes or ())[:_GROUPS_TOLD]:
        yield f"EC2NodeClass {node_class.name} of Karpenter: {select_by_id(node_class, ids)}"
    if cluster.karpenter and not cluster.node_classes:
        terms = ", ".join(f'{{"id": "{id_}"}}' for id_ in ids)
        yield f"in an EC2NodeClass of Karpenter: subnetSelectorTerms: [{terms}]"


def _eksctl(cluster: str, ids: list[str]) -> str:
    return (
        f"eksctl create nodegroup --cluster {cluster} --name nodes-pods "
        f"--subnet-ids {shlex.quote(','.join(ids))} --nodes 1 --node-private-networking"
    )
