"""Which nodes can be replaced, by whom, and what stands in the way. Pure decisions and their documents.

A node without a free slot for an ENI takes no addresses of new subnets, ever; only a fresh one does. It is replaced by
whoever made it: Auto Scaling or Karpenter. The order for one node, and why it is this one:

1. cordon and drain, with evictions that disruption budgets may refuse: up to here all can be taken back;
2. the owner's own API ends the node, and makes another one;
3. the fresh node is Ready and has its ENI before the next node of the zone is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field

from ip_remediator.domain.document import Document
from ip_remediator.domain.plural import counted, some_of

CLUSTER_TAG = "eks:cluster-name"
# EKS tags the groups of its managed node groups; the others' owners allow their replacement by this one.
CONSENT_TAG = "eks-ip-remediator:cluster"
# In one run: an execution's history holds 25,000 events, and a record 400 KB. What is left is offered again.
MOST_AT_ONCE = 100
_PROCESSES = ("Launch", "Terminate")
_UNMOVABLE = {
    "karpenter.sh/do-not-disrupt": "true",
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
}
_MIRROR = "kubernetes.io/config.mirror"

Host = Literal["auto_scaling", "karpenter"]


class NodeState(StrEnum):
    """How far a node's replacement is. From `terminating` on there is no way back."""

    WAITING = "waiting"
    DRAINING = "draining"
    TERMINATING = "terminating"
    REPLACED = "replaced"


class NodeReplacement(Document):
    """A node that is (to be) replaced. `instance` tells it from a fresh one, which may get its address and so its name.
    `host` and `owner` say by whom: an Auto Scaling group or a NodeClaim, and its name."""

    name: str
    instance: str
    host: Host
    owner: str
    pods: int = Field(default=0, ge=0, description="pods that move when it is drained")
    state: NodeState = NodeState.WAITING
    since: datetime | None = Field(default=None, description="when it was cordoned")
    successor: str | None = None


class ZoneReplacement(Document):
    """A zone's nodes, in the order in which they are replaced: one at a time."""

    nodes: tuple[NodeReplacement, ...] = ()

    @property
    def current(self) -> NodeReplacement | None:
        return next((node for node in self.nodes if node.state is not NodeState.REPLACED), None)

    def with_node(self, changed: NodeReplacement) -> ZoneReplacement:
        nodes = tuple(changed if node.instance == changed.instance else node for node in self.nodes)
        return ZoneReplacement(nodes=nodes)


class WaitingPod(Document):
    """A pod that waits for an address on such a node, and whose successors are to run: `controller` is its owner's
    uid."""

    namespace: str
    name: str
    uid: str
    controller: str


class ReplacementState(StrEnum):
    """How far a replacement is. `stopped`: something is in its way, and the next one goes on from there."""

    ASSESSED = "assessed"
    RUNNING = "running"
    CANCELLED = "cancelled"
    STOPPED = "stopped"
    DONE = "done"


class Replacement(Document):
    """The incident's latest replacement of nodes; how far each node is: `Incident.replacements`.

    `waiting` and `since` are of the first one: what it moved is what must run in the end.
    """

    state: ReplacementState
    requested_by: str
    since: datetime
    waiting: tuple[WaitingPod, ...] = ()
    in_the_way: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodePod:
    """A pod on a node. `controller`: uid of its owner; `has_address` is False while it waits for one."""

    namespace: str
    name: str
    uid: str
    leaving: bool
    has_address: bool
    controller: str | None
    kind: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]

    @property
    def shown(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def stays(self) -> bool:
        """It ends with its node: of a DaemonSet, or the kubelet's own."""
        return self.kind == "DaemonSet" or _MIRROR in self.annotations


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget: `needs` of `has` healthy pods must stay; `allowed` may go now."""

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int
    needs: int
    has: int

    @property
    def shown(self) -> str:
        return f"PodDisruptionBudget {self.namespace}/{self.name} (needs {self.needs} healthy pods, has {self.has})"

    def covers(self, pod: NodePod) -> bool:
        """As policy/v1 has it: an empty selector selects every pod of the namespace, none selects none."""
        if self.selector is None or pod.namespace != self.namespace:
            return False
        labels = self.selector.get("matchLabels") or {}
        expressions = self.selector.get("matchExpressions") or []
        return all(pod.labels.get(key) == value for key, value in labels.items()) and all(
            _matches(expression, pod.labels) for expression in expressions
        )


@dataclass(frozen=True)
class AutoScalingGroup:
    name: str
    tags: Mapping[str, str]
    suspended: tuple[str, ...]


@dataclass(frozen=True)
class Candidate:
    """What is known of a node that is to be replaced. `group`, `claim`: None where there is none."""

    name: str
    zone: str
    instance: str
    provisioner: str | None
    pods: tuple[NodePod, ...]
    group: AutoScalingGroup | None
    claim: str | None

    @property
    def moving(self) -> tuple[NodePod, ...]:
        return tuple(pod for pod in self.pods if not pod.stays)

    def replacement(self) -> NodeReplacement:
        """Of a candidate that nothing is in the way of."""
        host: Host = "karpenter" if self.claim else "auto_scaling"
        owner = self.claim or (self.group.name if self.group else "")
        return NodeReplacement(name=self.name, instance=self.instance, host=host, owner=owner, pods=len(self.moving))


def obstacles(candidate: Candidate, cluster: str, budgets: Sequence[Budget] = ()) -> list[str]:
    """Why the node cannot be replaced, each with who can, or the remedy; empty when it can."""
    found = [*_of_owner(candidate, cluster)]
    lost = [pod.shown for pod in candidate.moving if pod.controller is None]
    if lost:
        found.append(f"{some_of(lost)} would not come back, because no controller owns it: move or delete it first")
    # The API server answers 500: "does not support" more than one (pkg/registry/core/pod/storage/eviction.go).
    torn = [pod.shown for pod in candidate.moving if sum(budget.covers(pod) for budget in budgets) > 1]
    if torn:
        found.append(f"{some_of(torn)} cannot be evicted: more than one PodDisruptionBudget covers it")
    for mark, value in _UNMOVABLE.items():
        marked = [pod.shown for pod in candidate.moving if pod.annotations.get(mark) == value]
        if marked:
            found.append(f"{some_of(marked)} must not be moved: it is annotated {mark}: {value}")
    return [f"{candidate.name}: {reason}" for reason in found]


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


def blocking(candidates: Iterable[Candidate], budgets: Iterable[Budget]) -> list[str]:
    """Notes on the disruption budgets that allow no eviction now: the nodes wait for them."""
    running = [(each, [pod for pod in each.moving if pod.has_address]) for each in candidates]
    notes = []
    for budget in budgets:
        held = [each.name for each, pods in running if any(budget.covers(pod) for pod in pods)]
        if held and budget.allowed == 0:
            notes.append(f"{budget.shown} allows no eviction now: {some_of(held)} would wait for it")
    return notes


def refusal(pod: NodePod, budgets: Iterable[Budget]) -> str:
    """Who refused the pod's eviction."""
    covering = [budget for budget in budgets if budget.covers(pod)]
    told = " and ".join(budget.shown for budget in covering) or "a disruption budget"
    return f"{told} keeps {pod.shown}"


def summary(zones: Mapping[str, ZoneReplacement]) -> str:
    """2 nodes in 2 zones, 11 pods"""
    left = [node for zone in zones.values() for node in zone.nodes if node.state is not NodeState.REPLACED]
    places = sum(zone.current is not None for zone in zones.values())
    pods = sum(node.pods for node in left)
    return f"{counted(len(left), 'node')} in {counted(places, 'zone')}, {counted(pods, 'pod')} to be moved"


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case _:
            return value is None
