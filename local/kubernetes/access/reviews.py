"""Questions a client asks about itself: `kubectl auth can-i`, `auth can-i --list`, `auth whoami`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.kubernetes.access.authorization import Attributes

if TYPE_CHECKING:
    from local.kubernetes.access.authorization import Authorizer
    from local.kubernetes.options import User

# (group, version, plural) -> kind; virtual resources that can only be created.
KINDS = {
    ("authorization.k8s.io", "v1", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "v1", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authentication.k8s.io", "v1", "selfsubjectreviews"): "SelfSubjectReview",
}


def answer(kind: str, body: Any, user: User, authorizer: Authorizer) -> dict[str, Any]:
    spec: dict[str, Any] = (body.get("spec") if isinstance(body, dict) else None) or {}
    status: dict[str, Any]
    if kind == "SelfSubjectReview":
        status = {"userInfo": {"username": user.name, "uid": user.uid, "groups": list(user.groups)}}
    elif kind == "SelfSubjectRulesReview":
        status = _rules(user, spec.get("namespace", ""), authorizer)
    else:
        status = {"allowed": authorizer.allows(user, _attributes(spec))}
    group = "authentication.k8s.io" if kind == "SelfSubjectReview" else "authorization.k8s.io"
    result: dict[str, Any] = {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {"creationTimestamp": None}}
    return {**result, "spec": spec, "status": status}


def _attributes(spec: dict[str, Any]) -> Attributes:
    if path := spec.get("nonResourceAttributes"):
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    asked = spec.get("resourceAttributes") or {}
    subresource = asked.get("subresource")
    return Attributes(
        verb=asked.get("verb", ""),
        group=asked.get("group", ""),
        resource=asked.get("resource", "") + (f"/{subresource}" if subresource else ""),
        namespace=asked.get("namespace", ""),
        name=asked.get("name", ""),
    )


def _rules(user: User, namespace: str, authorizer: Authorizer) -> dict[str, Any]:
    rules = list(authorizer.rules(user, namespace))
    return {
        "resourceRules": [rule for rule in rules if "resources" in rule],
        "nonResourceRules": [rule for rule in rules if "nonResourceURLs" in rule],
        "incomplete": False,
    }
