"""Which node a pod may and should run on: the scheduler's decisions, without the scheduler's I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from local.cluster.objects import Obj, expression_matches, is_finished, is_ready, labels_of, node_of

_DAEMON_TOLERATIONS = (
    # What the DaemonSet controller adds to its pods (pkg/controller/daemon/util).
    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
    {"key": "node.kubernetes.io/unreachable", "operator": "Exists"},
    {"key": "node.kubernetes.io/disk-pressure", "operator": "Exists"},
    {"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"},
    {"key": "node.kubernetes.io/pid-pressure", "operator": "Exists"},
    {"key": "node.kubernetes.io/unschedulable", "operator": "Exists"},
    {"key": "node.kubernetes.io/network-unavailable", "operator": "Exists"},
)
_TEMPLATE_HASH_LABELS = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")


@dataclass(frozen=True)
class Placed:
    """The scheduler's answer: the pod fits on this node."""

    node: str


@dataclass(frozen=True)
class Unschedulable:
    """`reason` is worded as in FailedScheduling events."""

    reason: str


def choose_node(pod: Obj, nodes: list[Obj], pods: Iterable[Obj]) -> Placed | Unschedulable:
    """The feasible node with the fewest pods like this one, then the fewest pods at all."""
    running = [other for other in pods if node_of(other) and not is_finished(other)]
    load = Counter(node_of(other) for other in running)
    family = _family(pod)
    alike = Counter(node_of(other) for other in running if family and _family(other) == family)
    refusals: Counter[str] = Counter()
    feasible: list[str] = []
    for node in nodes:
        name = node["metadata"]["name"]
        refusal = _refusal(pod, node, load[name])
        if refusal:
            refusals[refusal] += 1
        else:
            feasible.append(name)
    if feasible:
        return Placed(min(feasible, key=lambda name: (alike[name], load[name], name)))
    details = ", ".join(f"{count} {reason}" for reason, count in sorted(refusals.items()))
    return Unschedulable(f"0/{len(nodes)} nodes are available: {details or 'no nodes'}.")


def daemon_runs_on(template: Obj, node: Obj) -> bool:
    """Whether a DaemonSet wants a pod of `template` on `node` (readiness does not matter)."""
    spec = template["spec"]
    tolerations = [*(spec.get("tolerations") or []), *_DAEMON_TOLERATIONS]
    return _selected(spec, node) and _intolerable(tolerations, node) is None


def _refusal(pod: Obj, node: Obj, load: int) -> str | None:
    spec = pod["spec"]
    if node["spec"].get("unschedulable"):
        return "node(s) were unschedulable"
    taint = _intolerable(spec.get("tolerations") or [], node)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}"
    if not is_ready(node):
        return "node(s) were not ready"
    if not _selected(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    if load >= allocatable_pods(node):
        return "Too many pods"
    return None


def allocatable_pods(node: Obj) -> int:
    """The max-pods of a node; 110, the kubelet's default, where it reports none."""
    status = node.get("status") or {}
    return int((status.get("allocatable") or status.get("capacity") or {}).get("pods", 110))


def _family(pod: Obj) -> tuple[str, frozenset[tuple[str, str]]]:
    labels = {key: value for key, value in labels_of(pod).items() if key not in _TEMPLATE_HASH_LABELS}
    return pod["metadata"].get("namespace", ""), frozenset(labels.items())


def _selected(spec: Obj, node: Obj) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    terms = (affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or {}).get("nodeSelectorTerms") or []
    return not terms or any(
        all(expression_matches(expression, labels) for expression in term.get("matchExpressions") or [])
        for term in terms
    )


def _intolerable(tolerations: list[Obj], node: Obj) -> Obj | None:
    for taint in node["spec"].get("taints") or []:
        if taint.get("effect") == "PreferNoSchedule":
            continue
        if not any(_tolerates(toleration, taint) for toleration in tolerations):
            return dict(taint)
    return None


def _tolerates(toleration: Obj, taint: Obj) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint["key"]:
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")
