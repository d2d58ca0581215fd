"""Applying and removing the RBAC objects of onboarding/rbac.yaml, with the caller's identity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ip_remediator.clients.kubernetes.api import KubeApi
from ip_remediator.signals.events import text_at
from ip_remediator_cli.errors import BadInput

_API = "/apis/rbac.authorization.k8s.io/v1"
_PLURALS = {"ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
_MANAGED_BY = "app.kubernetes.io/managed-by"
_PROJECT = "eks-ip-remediator"


def _place(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f" from line {mark.line + 1} column {mark.column + 1} on" if mark else ""


def read_manifests(file: Path) -> list[dict[str, Any]]:
    """Raises BadInput: unreadable, not YAML, or objects of other kinds."""
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadInput(f"--rbac: {file} cannot be read: {error.strerror}; name onboarding/rbac.yaml") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"--rbac: {file} is not YAML{_place(error)}; name onboarding/rbac.yaml") from error
    if not documents or not all(map(_is_rbac, documents)):
        kinds = " and ".join(_PLURALS)
        raise BadInput(f"--rbac: {file} holds something else than {kinds}; name onboarding/rbac.yaml")
    return documents


class Rbac:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi, *, dry_run: bool) -> None:
        self._api = api
        self._dry_run = dry_run

    def apply(self, manifest: dict[str, Any]) -> str:
        """Applies one object with server-side apply; returns what was done, or with `dry_run` would be.

        Forced: the objects bear the project's name, and an earlier `kubectl apply` of them owns the same fields.
        """
        path = _path(manifest)
        before = self._api.find(path)
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        if self._dry_run:
            return f"{'applied' if before else 'created':<11}{name}"
        after = self._api.apply(path, manifest, force=True)
        if before is None:
            return f"created    {name}"
        same = before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
        return f"{'unchanged' if same else 'updated':<11}{name}"

    def delete(self, manifest: dict[str, Any]) -> str:
        """Deletes one object if it has the project's label; returns what was done, or with `dry_run` would be."""
        path = _path(manifest)
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        present = self._api.find(path)
        if present is None:
            return f"absent     {name}"
        if (present["metadata"].get("labels") or {}).get(_MANAGED_BY) != _PROJECT:
            return f"kept       {name}: it does not have the label {_MANAGED_BY}={_PROJECT}"
        if not self._dry_run:
            self._api.delete(path)
        return f"deleted    {name}"


def _is_rbac(document: object) -> bool:
    """A named object of the kinds that are applied."""
    return text_at(document, "kind") in _PLURALS and text_at(document, "metadata", "name") is not None


def _path(manifest: dict[str, Any]) -> str:
    return f"{_API}/{_PLURALS[manifest['kind']]}/{manifest['metadata']['name']}"
