"""Small readers and builders for Kubernetes objects kept as plain JSON documents."""

from __future__ import annotations

import hashlib
import json
import secrets
from datetime import UTC, datetime
from typing import Any, TypeAlias

Obj: TypeAlias = dict[str, Any]

# Kubernetes generates name suffixes without vowels and look-alikes so that no words appear
# (k8s.io/apimachinery/pkg/util/rand).
_SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"


def key_of(obj: Obj) -> str:
    """`namespace/name`, or the bare name of a cluster-scoped object."""
    metadata = obj["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def uid_of(obj: Obj) -> str:
    """The object's uid."""
    return str(obj["metadata"]["uid"])


def labels_of(obj: Obj) -> dict[str, str]:
    """The object's labels; empty if it has none."""
    return obj["metadata"].get("labels") or {}


def is_deleting(obj: Obj) -> bool:
    """Whether the object has a deletion timestamp."""
    return bool(obj["metadata"].get("deletionTimestamp"))


def controller_of(obj: Obj) -> Obj | None:
    """The owner reference with `controller: true`, if any."""
    for reference in obj["metadata"].get("ownerReferences") or []:
        if reference.get("controller"):
            return dict(reference)
    return None


def owner_reference(owner: Obj, api_version: str, kind: str) -> Obj:
    """A controller's owner reference to `owner`."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": owner["metadata"]["name"],
        "uid": uid_of(owner),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def condition_status(obj: Obj, condition_type: str) -> str:
    """`True`, `False` or `Unknown` of a status condition; `Unknown` when it is absent."""
    for condition in (obj.get("status") or {}).get("conditions") or []:
        if condition.get("type") == condition_type:
            return str(condition.get("status", "Unknown"))
    return "Unknown"


def is_ready(obj: Obj) -> bool:
    """Whether the condition Ready is True."""
    return condition_status(obj, "Ready") == "True"


def node_of(pod: Obj) -> str | None:
    """The node on which the pod is scheduled; None before."""
    return pod["spec"].get("nodeName") or None


def is_finished(pod: Obj) -> bool:
    """Whether the pod has ended: Succeeded or Failed."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def matches(selector: Obj | None, labels: dict[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels and matchExpressions) selects `labels`."""
    selector = selector or {}
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(expression_matches(expression, labels) for expression in selector.get("matchExpressions") or [])


def expression_matches(expression: Obj, labels: dict[str, str]) -> bool:
    """One label selector requirement. Raises ValueError for an operator which is not defined for labels."""
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    if operator == "In":
        return key in labels and labels[key] in values
    if operator == "NotIn":
        return key not in labels or labels[key] not in values
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    raise ValueError(f"label selector operator {operator!r} is not supported: use In, NotIn, Exists, DoesNotExist")


def template_hash(template: Obj) -> str:
    """A short stable hash of a pod template, as in `pod-template-hash` labels."""
    digest = hashlib.sha256(json.dumps(template, sort_keys=True).encode()).digest()
    return "".join(_SAFE_ALPHABET[byte % len(_SAFE_ALPHABET)] for byte in digest[:10])


def random_suffix() -> str:
    """Five characters, as generated names end in Kubernetes."""
    return "".join(secrets.choice(_SAFE_ALPHABET) for _ in range(5))


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """RFC 3339 with whole seconds: metav1.Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> datetime:
    """A time of the API, such as 2026-03-02T08:14:02Z."""
    return datetime.fromisoformat(text)


def scaled_value(value: int | str | None, total: int, *, default: int | str, round_up: bool) -> int:
    """An IntOrString such as `25%` resolved against `total`."""
    chosen = default if value is None else value
    if isinstance(chosen, int):
        return chosen
    percent = int(chosen.rstrip("%"))
    return -(-total * percent // 100) if round_up else total * percent // 100
