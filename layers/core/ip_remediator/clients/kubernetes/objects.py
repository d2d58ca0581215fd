"""Pods and disruption budgets as the Kubernetes API describes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MIRROR = "kubernetes.io/config.mirror"
_INSTANCE = "i-"


def instance_id(provider_id: object) -> str | None:
    """i-0a1 of "aws:///eu-west-1a/i-0a1", the providerID of a node or a NodeClaim; None where no instance is behind it
    (Fargate, hybrid nodes, one that is being started)."""
    name = str(provider_id or "").rpartition("/")[2]
    return name if name.startswith(_INSTANCE) else None


def is_ready(item: Mapping[str, Any]) -> bool:
    """Whether the condition Ready of a node or a pod is True."""
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


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
        """`namespace/name`."""
        return f"{self.namespace}/{self.name}"

    @property
    def stays(self) -> bool:
        """It ends with its node: of a DaemonSet, or the kubelet's own."""
        return self.kind == "DaemonSet" or _MIRROR in self.annotations


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget: `desired_healthy` of `current_healthy` pods must stay; `allowed` may go now."""

    namespace: str
    name: str
    selector: Mapping[str, Any] | None
    allowed: int
    desired_healthy: int
    current_healthy: int

    @property
    def shown(self) -> str:
        """The budget's name with its counts, for messages."""
        healthy = f"needs {self.desired_healthy} healthy pods, has {self.current_healthy}"
        return f"PodDisruptionBudget {self.namespace}/{self.name} ({healthy})"

    def covers(self, pod: NodePod) -> bool:
        """As policy/v1 has it: an empty selector selects every pod of the namespace, none selects none."""
        if self.selector is None or pod.namespace != self.namespace:
            return False
        labels = self.selector.get("matchLabels") or {}
        expressions = self.selector.get("matchExpressions") or []
        return all(pod.labels.get(key) == value for key, value in labels.items()) and all(
            _matches(expression, pod.labels) for expression in expressions
        )


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
