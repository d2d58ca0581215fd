"""Which nodes can be replaced, by whom, and what prevents it. Pure decisions and their documents.

A node without a free ENI slot never gets addresses of new subnets; only a new node does. Its owner replaces it: Auto
Scaling or Karpenter. The order for one node, with the reasons:

1. cordon and drain, with evictions that disruption budgets may refuse: up to here everything can be reverted;
2. the owner's API terminates the node and launches another one;
3. the new node is Ready and has its ENI before the next node of the zone begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ip_remediator.clients.kubernetes.objects import Budget, NodePod
from ip_remediator.common import tag_names
from ip_remediator.common.text import some_of
from ip_remediator.incidents.replacement_record import Host, NodeReplacement
from ip_remediator.snapshot.model_node_group import NodeGroupState

CLUSTER_TAG = "eks:cluster-name"
NODE_GROUP_TAG = "eks:nodegroup-name"
# EKS tags the groups of its managed node groups; the others' owners allow their replacement by this one.
CONSENT_TAG = tag_names.CLUSTER
_PROCESSES = ("Launch", "Terminate")
_UNMOVABLE = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}


@dataclass(frozen=True)
class OwningGroup:
    """The Auto Scaling group that made a node. `suspended`: its suspended processes."""

    name: str
    tags: Mapping[str, str]
    suspended: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """What is known of a node that is to be replaced. `group`, `claim`: None where there is none;
    `node_group`: None where it is in no managed one, or that cannot be read."""

    name: str
    zone: str
    instance: str
    provisioner: str | None
    pods: tuple[NodePod, ...]
    group: OwningGroup | None
    claim: str | None
    node_group: NodeGroupState | None = None

    @property
    def moving(self) -> tuple[NodePod, ...]:
        """The pods that must leave the node: all but those that stay, such as DaemonSets' pods."""
        return tuple(pod for pod in self.pods if not pod.stays)

    def replacement(self) -> NodeReplacement:
        """The record of a candidate that can be replaced."""
        host: Host = "karpenter" if self.claim else "auto_scaling"
        owner = self.claim or (self.group.name if self.group else "")
        return NodeReplacement(name=self.name, instance=self.instance, host=host, owner=owner, pods=len(self.moving))


def obstacles(candidate: Candidate, cluster: str, budgets: Sequence[Budget] = ()) -> list[str]:
    """The reasons why the node can't be replaced, each with a remedy; empty if it can."""
    reasons = [*_of_owner(candidate, cluster), *_of_pods(candidate.moving, budgets), *_of_annotations(candidate.moving)]
    return [f"{candidate.name}: {reason}" for reason in reasons]


def _of_owner(candidate: Candidate, cluster: str) -> Iterator[str]:
    if candidate.claim:
        return
    if candidate.provisioner == "karpenter":
        yield "Karpenter has no NodeClaim for it: replace it the way it was made"
        return
    group = candidate.group
    if group is None:
        maker = "managed node group" if candidate.provisioner == "managed" else candidate.provisioner or "unknown maker"
        yield f"{maker}, but instance {candidate.instance} is in no Auto Scaling group: replace it the way it was made"
        return
    if cluster not in (group.tags.get(CLUSTER_TAG), group.tags.get(CONSENT_TAG)):
        yield f"Auto Scaling group {group.name} is self-managed: tag it {CONSENT_TAG}={cluster} to have it replaced"
    stopped = [process for process in _PROCESSES if process in group.suspended]
    if stopped:
        yield f"Auto Scaling group {group.name} has suspended {' and '.join(stopped)}: resume it"
    if candidate.node_group and candidate.node_group.is_changing:
        yield f"{candidate.node_group}: replace its nodes once EKS is done with it"


def _of_pods(moving: Sequence[NodePod], budgets: Sequence[Budget]) -> Iterator[str]:
    unowned = [pod.shown for pod in moving if pod.controller is None]
    if unowned:
        yield f"{some_of(unowned)} would not come back, because no controller owns it: move or delete it first"
    # The API server answers 500: "does not support" more than one (pkg/registry/core/pod/storage/eviction.go).
    over_covered = [pod.shown for pod in moving if sum(budget.covers(pod) for budget in budgets) > 1]
    if over_covered:
        yield f"{some_of(over_covered)} cannot be evicted: more than one PodDisruptionBudget covers it"


def _of_annotations(moving: Sequence[NodePod]) -> Iterator[str]:
    for annotation, value in _UNMOVABLE.items():
        annotated = [pod.shown for pod in moving if pod.annotations.get(annotation) == value]
        if annotated:
            yield f"{some_of(annotated)} must not be moved: it is annotated {annotation}: {value}"


def unwell(candidates: Iterable[Candidate]) -> list[str]:
    """Notes on the node groups whose new nodes may not come."""
    groups = [node.node_group for node in candidates if node.node_group and not node.node_group.is_well]
    return list(dict.fromkeys(f"{group}: a new node of it may not come" for group in groups))


def blocking(candidates: Iterable[Candidate], budgets: Iterable[Budget]) -> list[str]:
    """Notes on the disruption budgets that allow no eviction now: the nodes wait for them."""
    running = [(node.name, [pod for pod in node.moving if pod.has_address]) for node in candidates]
    notes = []
    for budget in budgets:
        covered_nodes = [name for name, pods in running if any(budget.covers(pod) for pod in pods)]
        if covered_nodes and budget.allowed == 0:
            notes.append(f"{budget.shown} allows no eviction now: {some_of(covered_nodes)} would wait for it")
    return notes


def refusal(pod: NodePod, budgets: Iterable[Budget]) -> str:
    """Who refused the pod's eviction."""
    covering = [budget for budget in budgets if budget.covers(pod)]
    refusing = " and ".join(budget.shown for budget in covering) or "a disruption budget"
    return f"{refusing} keeps {pod.shown}"
