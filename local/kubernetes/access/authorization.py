"""RBAC: decides by the roles and bindings in the store what a user may do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from local.kubernetes import errors
from local.kubernetes.kinds.resources import (
    BUILT_IN,
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    RBAC_GROUP,
    ROLE_BINDINGS,
    ROLES,
)
from local.kubernetes.options import ADMIN_GROUP, AUTHENTICATED, User
from local.kubernetes.writes.registry import Write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from local.kubernetes.store import Store
    from local.kubernetes.writes.registry import Registry

_READ = ["get", "list", "watch"]
_HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
_DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", *_HEALTH]
_BOOTSTRAPPING = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
_ANYTHING = [
    {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
    {"verbs": ["*"], "nonResourceURLs": ["*"]},
]
_REVIEWS = [
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
    },
    {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]},
]
_ACCESS_REVIEWS = (
    {
        "verbs": ["create"],
        "apiGroups": ["authentication.k8s.io"],
        "resources": ["tokenreviews"],
    },
    {
        "verbs": ["create"],
        "apiGroups": ["authorization.k8s.io"],
        "resources": ["subjectaccessreviews"],
    },
)
# Reading these would give more rights than the role itself has.
_NOT_VIEWED = ("secrets", "roles", "rolebindings")


def _namespaced(verbs: list[str], without: tuple[str, ...]) -> list[dict[str, Any]]:
    """One rule for each API group with the namespaced built-in resources, their subresources included."""
    by_group: dict[str, list[str]] = {}
    for resource in BUILT_IN:
        if resource.namespaced and resource.plural not in without:
            names = [resource.plural, *(f"{resource.plural}/{name}" for name in resource.subresources)]
            by_group.setdefault(resource.group, []).extend(names)
    by_group[""].append("namespaces")
    return [{"verbs": verbs, "apiGroups": [group], "resources": names} for group, names in by_group.items()]


_EDIT = [*_READ, "create", "delete", "deletecollection", "patch", "update"]
# The bootstrap roles that people bind, and to whom the real server binds them.
_BOOTSTRAP_ROLES: dict[str, tuple[list[dict[str, Any]], tuple[str, ...]]] = {
    "cluster-admin": (_ANYTHING, (ADMIN_GROUP,)),
    "admin": (_namespaced(_EDIT, ()), ()),
    "edit": (_namespaced(_EDIT, ("roles", "rolebindings")), ()),
    "view": (_namespaced(_READ, _NOT_VIEWED), ()),
    "system:auth-delegator": (list(_ACCESS_REVIEWS), ()),
    "system:basic-user": (_REVIEWS, ("system:authenticated",)),
    "system:discovery": ([{"verbs": ["get"], "nonResourceURLs": _DISCOVERY}], ("system:authenticated",)),
    "system:public-info-viewer": (
        [{"verbs": ["get"], "nonResourceURLs": _HEALTH}],
        ("system:authenticated", "system:unauthenticated"),
    ),
}


@dataclass(frozen=True)
class Attributes:
    """The attributes of a request; only verb and `path` for URLs that are not resources."""

    verb: str
    group: str = ""
    resource: str = ""  # with its subresource: `pods/eviction`
    namespace: str = ""
    name: str = ""
    path: str = ""


def install_bootstrap_roles(registry: Registry) -> None:
    """Creates the ClusterRoles and bindings that a real API server creates at its start, unless they are there."""
    for name, (rules, groups) in _BOOTSTRAP_ROLES.items():
        write = Write(manager="kube-apiserver")
        metadata = {"name": name, **_BOOTSTRAPPING}
        registry.ensure(CLUSTER_ROLES, "", {"metadata": metadata, "rules": rules}, write)
        if groups:
            binding = {
                "metadata": metadata,
                "roleRef": {"apiGroup": RBAC_GROUP, "kind": "ClusterRole", "name": name},
                "subjects": [{"kind": "Group", "name": group} for group in groups],
            }
            registry.ensure(CLUSTER_ROLE_BINDINGS, "", binding, write)


class Authorizer:
    """RBAC over the roles and bindings in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def allows(self, user: User, wanted: Attributes) -> bool:
        """Whether the user may do what is wanted."""
        # An authorizer before RBAC allows this group everything, whatever the bindings say.
        if ADMIN_GROUP in user.groups:
            return True
        return any(_covers(rule, wanted) for rule in self.rules(user, wanted.namespace))

    def require(self, user: User, wanted: Attributes) -> None:
        """Raise ApiError 403 in the API server's words."""
        if self.allows(user, wanted):
            return
        if wanted.path:
            message = f'forbidden: User "{user.name}" cannot {wanted.verb} path "{wanted.path}"'
            raise errors.ApiError(403, "Forbidden", message, {})
        plural = wanted.resource.partition("/")[0]
        qualified = f"{plural}.{wanted.group}" if wanted.group else plural
        named = f" {json.dumps(wanted.name)}" if wanted.name else ""
        where = f'in the namespace "{wanted.namespace}"' if wanted.namespace else "at the cluster scope"
        message = (
            f'{qualified}{named} is forbidden: User "{user.name}" cannot {wanted.verb} resource '
            f'"{wanted.resource}" in API group "{wanted.group}" {where}'
        )
        details = {"name": wanted.name} if wanted.name else {}
        details |= {"group": wanted.group} if wanted.group else {}
        raise errors.ApiError(403, "Forbidden", message, {**details, "kind": plural})

    def impersonate(self, user: User, name: str, groups: Sequence[str]) -> User:
        """The user that `user` wants to act as (kubectl --as, --as-group), if allowed to."""
        self.require(user, Attributes("impersonate", resource="users", name=name))
        for group in groups:
            self.require(user, Attributes("impersonate", resource="groups", name=group))
        return User(name, groups=(*groups, AUTHENTICATED))

    def rules(self, user: User, namespace: str) -> Iterator[dict[str, Any]]:
        """Every rule that applies to the user at cluster scope and in the namespace."""
        bindings = [*self._store.objects(CLUSTER_ROLE_BINDINGS)]
        if namespace:
            bindings += self._store.objects(ROLE_BINDINGS, namespace)
        for binding in bindings:
            if any(_is_subject(subject, user) for subject in binding.get("subjects") or ()):
                yield from self._role_rules(binding["roleRef"], namespace)

    def _role_rules(self, reference: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
        if reference["kind"] == "ClusterRole":
            role = self._store.find(CLUSTER_ROLES, "", reference["name"])
        else:
            role = self._store.find(ROLES, namespace, reference["name"])
        return (role.obj.get("rules") or []) if role else []


def _is_subject(subject: dict[str, Any], user: User) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace')}:{name}"
    return (kind == "User" and name in (user.name, "*")) or (kind == "Group" and name in user.groups)


def _covers(rule: dict[str, Any], wanted: Attributes) -> bool:
    if not _listed(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return any(_path_matches(pattern, wanted.path) for pattern in rule.get("nonResourceURLs") or ())
    names = rule.get("resourceNames")
    return (
        _listed(rule.get("apiGroups"), wanted.group)
        and _resource_listed(rule.get("resources") or (), wanted.resource)
        and (not names or wanted.name in names)
    )


def _listed(values: list[str] | None, wanted: str) -> bool:
    return wanted in (values or ()) or "*" in (values or ())


def _resource_listed(values: list[str] | tuple[()], wanted: str) -> bool:
    _, _, subresource = wanted.partition("/")
    return _listed(list(values), wanted) or bool(subresource and f"*/{subresource}" in values)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern == path or (pattern.endswith("*") and path.startswith(pattern[:-1]))
