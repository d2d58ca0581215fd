"""Parses the URL and method of a request into a resource, a name and a verb."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from local.kubernetes import errors
from local.kubernetes.access.authorization import Attributes

_NAMED_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "POST": "create"}
_COLLECTION_VERBS = {"GET": "list", "POST": "create", "DELETE": "deletecollection"}


@dataclass(frozen=True)
class Target:
    """What a resource URL points at; `version` is the API version, `plural` the resource's."""

    group: str
    version: str
    namespace: str
    plural: str
    name: str
    subresource: str


def parse_path(path: str) -> Target | None:
    """The resource that a URL names; None for health, version and discovery URLs."""
    parts = [unquote(part) for part in path.split("/") if part]
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2 and not (len(rest) == 3 and rest[2] in ("status", "finalize")):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        return None
    plural, name, subresource = [*rest, "", ""][:3]
    return Target(group, version, namespace, plural, name, subresource)


def verb_of(method: str, target: Target, *, watching: bool) -> str:
    """The verb as RBAC roles name it. Raises ApiError 405 for a method that the URL does not support."""
    method = "GET" if method == "HEAD" else method
    if method == "GET" and watching:
        return "watch"
    verb = (_NAMED_VERBS if target.name else _COLLECTION_VERBS).get(method)
    if verb is None:
        raise errors.method_not_allowed()
    return verb


def attributes(target: Target, verb: str, field_selector: str) -> Attributes:
    """What is asked for.

    A list or watch of exactly one name is authorized as that name, so that `resourceNames` can allow it
    (RequestInfoFactory of k8s.io/apiserver).
    """
    named = re.search(r"(?:^|,)metadata\.name==?([^,]+)", field_selector)
    name = named[1] if named and verb in ("list", "watch", "deletecollection") else target.name
    resource = target.plural + (f"/{target.subresource}" if target.subresource else "")
    # The namespace of a Namespace is itself: a RoleBinding inside it may grant access to it.
    own = target.name if (target.group, target.plural) == ("", "namespaces") else target.namespace
    return Attributes(verb, target.group, resource, own, name)
