"""Discovery: groups, versions and resources, and their OpenAPI v3 documents."""

from __future__ import annotations

import platform
import re
from typing import TYPE_CHECKING, Any

from local.kubernetes.access import reviews
from local.kubernetes.kinds import schema
from local.kubernetes.kinds.resources import PODS, SERVICE_ACCOUNTS, VERBS

if TYPE_CHECKING:
    from local.kubernetes.kinds.resources import Resource
    from local.kubernetes.store import Store

_STATUS_VERBS = ["get", "patch", "update"]
_REVIEW_GROUPS = sorted({(group, version) for group, version, _ in reviews.KINDS})


def version(git_version: str) -> dict[str, str]:
    """The answer of `/version` for a version such as v1.37.1."""
    major, minor = git_version.removeprefix("v").split(".")[:2]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": git_version,
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": platform.python_implementation(),
        "platform": "embedded",
    }


def legacy_versions() -> dict[str, Any]:
    """The answer of `/api`."""
    return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}


def group_versions(store: Store) -> list[tuple[str, str]]:
    """Groups with a name; the core group is in `legacy_versions`."""
    versions = {(resource.group, resource.version) for resource in store.served() if resource.group}
    return sorted(versions | set(_REVIEW_GROUPS))


def groups(store: Store) -> dict[str, Any]:
    """The answer of `/apis`."""
    return {
        "kind": "APIGroupList",
        "apiVersion": "v1",
        "groups": [_group(*pair) for pair in group_versions(store)],
    }


def group(store: Store, name: str) -> dict[str, Any] | None:
    """The answer of `/apis/<name>`; None if the group is not served."""
    for pair in group_versions(store):
        if pair[0] == name:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(*pair)}
    return None


def _group(name: str, version: str) -> dict[str, Any]:
    entry = {"groupVersion": f"{name}/{version}", "version": version}
    return {"name": name, "versions": [entry], "preferredVersion": entry}


def resource_list(store: Store, group: str, version: str) -> dict[str, Any] | None:
    """The APIResourceList of a group and version; None when it is not served."""
    if group and (group, version) not in group_versions(store):
        return None
    listed: list[dict[str, Any]] = []
    for resource in store.served():
        if (resource.group, resource.version) == (group, version):
            listed += _entries(resource)
    for (own_group, own_version, plural), (kind, namespaced) in reviews.KINDS.items():
        if (own_group, own_version) == (group, version):
            listed.append(_entry(plural, kind, ["create"], namespaced=namespaced))
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": sorted(listed, key=lambda entry: str(entry["name"])),
    }


def _entry(name: str, kind: str, verbs: list[str], *, namespaced: bool, **more: Any) -> dict[str, Any]:
    base = {"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": verbs}
    return {**base, **more}


def _entries(resource: Resource) -> list[dict[str, Any]]:
    more: dict[str, Any] = {"singularName": resource.singular}
    if resource.short_names:
        more["shortNames"] = list(resource.short_names)
    if resource.categories:
        more["categories"] = list(resource.categories)
    plural, namespaced = resource.plural, resource.namespaced
    listed = [_entry(plural, resource.kind, list(VERBS), namespaced=namespaced, **more)]
    if "status" in resource.subresources:
        listed.append(_entry(f"{plural}/status", resource.kind, _STATUS_VERBS, namespaced=namespaced))
    if "scale" in resource.subresources:
        more = {"group": "autoscaling", "version": "v1"}
        listed.append(_entry(f"{plural}/scale", "Scale", _STATUS_VERBS, namespaced=True, **more))
    if "approval" in resource.subresources:
        listed.append(_entry(f"{plural}/approval", resource.kind, _STATUS_VERBS, namespaced=namespaced))
    if resource is SERVICE_ACCOUNTS:
        more = {"group": "authentication.k8s.io", "version": "v1"}
        listed.append(_entry(f"{plural}/token", "TokenRequest", ["create"], namespaced=True, **more))
    if resource is PODS:
        listed.append(_entry("pods/binding", "Binding", ["create"], namespaced=True))
        more = {"group": "policy", "version": "v1"}
        listed.append(_entry("pods/eviction", "Eviction", ["create"], namespaced=True, **more))
    return listed


def openapi_index(store: Store) -> dict[str, Any]:
    """The answer of `/openapi/v3`: a URL for each group and version."""
    served = [("", "v1"), *group_versions(store)]
    paths = [f"apis/{name}/{version}" if name else f"api/{version}" for name, version in served]
    return {"paths": {path: {"serverRelativeURL": f"/openapi/v3/{path}"} for path in paths}}


def openapi_document(store: Store, group: str, version: str, git_version: str) -> dict[str, Any]:
    """Schemas for `kubectl explain`, and the parameters that tell kubectl who validates fields (the server)."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for resource in store.served():
        if (resource.group, resource.version) != (group, version):
            continue
        kind = {"group": group, "version": version, "kind": resource.kind}
        body = {**schema.resolve(resource.schema), "x-kubernetes-group-version-kind": [kind]}
        schemas[_component(resource)] = body
        schemas |= {name: part for name, part in schema.components(body).items() if name not in schemas}
        paths |= _operations(resource, kind)
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": git_version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _component(resource: Resource) -> str:
    if resource.custom:
        return f"{'.'.join(reversed(resource.group.split('.')))}.{resource.version}.{resource.kind}"
    return re.sub("^#/components/schemas/", "", resource.schema["$ref"])


def _operations(resource: Resource, kind: dict[str, str]) -> dict[str, Any]:
    root = f"/apis/{resource.group}/{resource.version}" if resource.group else f"/api/{resource.version}"
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for name in ("dryRun", "fieldManager", "fieldValidation")
    ]
    collection = f"{root}{scope}/{resource.plural}"
    write = {"parameters": parameters, "x-kubernetes-group-version-kind": kind, "responses": {}}
    return {
        collection: {"post": {**write, "x-kubernetes-action": "post"}},
        f"{collection}/{{name}}": {
            "put": {**write, "x-kubernetes-action": "put"},
            "patch": {**write, "x-kubernetes-action": "patch"},
        },
    }
