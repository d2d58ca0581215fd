"""Writes to a cluster and their undo: the ENIConfig CRD, ENIConfigs, and the settings of aws-node."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any

from ip_remediator.clients.gone import unless_gone
from ip_remediator.clients.kubernetes.addressing import object_path
from ip_remediator.clients.kubernetes.api import FIELD_MANAGER, Conflict, KubeApi, WatchExpired
from ip_remediator.common.errors import NotFound, NotYet, RequestRefused
from ip_remediator.common.text import some_of
from ip_remediator.provisioning.rollout import laggards, progress
from ip_remediator.snapshot.kubernetes import (
    AWS_NODE,
    CRDS,
    ENI_CONFIGS,
    aws_node_container,
    entries_of_spec,
    environment_of,
    latest_manager,
    writer_of_subnet,
)
from ip_remediator.snapshot.model_cluster import CRD_NAME, CUSTOM_NETWORK_CFG, Cni

INCIDENT_LABEL = "eks-ip-remediator/incident"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
_CRD_SECONDS = 15
# Writes that conflict with somebody else's, before a later invocation goes on.
_ROUNDS = 5
_ADDON_MANAGER = "eks"
# The managed add-on's field manager, and ours.
_MANAGERS = (_ADDON_MANAGER, FIELD_MANAGER, None)
_DAEMONSETS = "/apis/apps/v1/namespaces/kube-system/daemonsets"


class RolloutStalled(NotYet):
    """aws-node is still rolling out when the function's patience ends."""


class SettingsOverwritten(RequestRefused):
    """Somebody else changed or deleted aws-node or ENIConfigs that the plan had set; they are not set again against
    them."""


_CNI_GONE = "DaemonSet aws-node was deleted by somebody else: install the VPC CNI again, then run this again"


class KubeChanges:
    """Raises the errors of `clients.kubernetes.api`."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    def eni_configs(self) -> dict[str, dict[str, Any]] | None:
        """The cluster's ENIConfigs by name; None: it does not serve their kind."""
        listed = self._api.find(ENI_CONFIGS)
        return None if listed is None else {item["metadata"]["name"]: item for item in listed["items"]}

    def create_crd(self, manifest: dict[str, Any], incident: str) -> None:
        """Creates the ENIConfig CRD with our label and waits until it is served. Raises NotYet after 15 s."""
        with suppress(Conflict):  # somebody, perhaps our own lost call, made it first
            self._api.create(CRDS, _labelled(manifest, incident))
        deadline = time.monotonic() + _CRD_SECONDS
        while self.eni_configs() is None:
            if time.monotonic() > deadline:
                raise NotYet(f"the CRD {CRD_NAME} is not served yet")
            time.sleep(0.1)

    def delete_unused_crd(self, incident: str) -> None:
        """Deletes the CRD that the incident created, unless other ENIConfigs exist by now: they would be deleted with
        it. A CRD without the incident's label was created by somebody else at the same moment, and stays."""
        present = self._api.find(f"{CRDS}/{CRD_NAME}")
        if bears_label(present, incident) and not self.eni_configs():
            self._api.delete(f"{CRDS}/{CRD_NAME}")

    def eni_config(self, name: str) -> dict[str, Any] | None:
        """The ENIConfig of that name, or None."""
        return self._api.find(object_path(ENI_CONFIGS, name))

    def create_eni_config(self, manifest: dict[str, Any], incident: str) -> bool:
        """Creates an ENIConfig with our label. False: somebody else created one of this name first."""
        labelled = _labelled(manifest, incident)
        try:
            self._api.create(ENI_CONFIGS, labelled)
        except Conflict:
            return bears_label(self.eni_config(manifest["metadata"]["name"]), incident)  # a lost call of ours
        return True

    def point_eni_config(self, manifest: dict[str, Any], incident: str, expected: dict[str, Any]) -> None:
        """Points an ENIConfig of others at our subnet, with our label, and takes those fields over.

        Raises:
            Conflict: somebody changed its spec since it was `expected`, or deleted it.
        """
        labelled = _labelled(manifest, incident)
        name, present = manifest["metadata"]["name"], expected
        for _ in range(_ROUNDS):
            # Without the uid, server-side apply makes the object anew that somebody deleted (applyPatch of
            # k8s.io/apiserver, pkg/endpoints/handlers/patch.go).
            same = {key: present["metadata"][key] for key in ("uid", "resourceVersion")}
            body = {**labelled, "metadata": {**labelled["metadata"], **same}}
            try:
                self._api.apply(object_path(ENI_CONFIGS, name), body, force=True)
            except Conflict:
                present = self.eni_config(name) or {}
                if present.get("spec") != expected["spec"]:
                    raise
            else:
                return
        raise NotYet(f"ENIConfig {name} is being changed by somebody else all the time")

    def require_pointing(self, wanted: Mapping[str, str]) -> None:
        """Raises SettingsOverwritten unless each of these ENIConfigs points at its subnet, with the name of who changed
        it: in a zone without one, or with another, nodes get no address of the plan."""
        present = (self.eni_configs() or {}) if wanted else {}
        for name, subnet in wanted.items():
            config = present.get(name)
            if config is None:
                raise SettingsOverwritten(f"ENIConfig {name} was deleted by somebody else: it is not made again")
            if config.get("spec", {}).get("subnet") != subnet:
                raise SettingsOverwritten(f"{_changed_by(config)} instead of {subnet}: it is left as it is")

    def require_in_force(self, settings: Mapping[str, str], pointing: Mapping[str, str]) -> None:
        """Raises SettingsOverwritten unless aws-node is there with these variables, each ENIConfig points at its
        subnet, and custom networking, without which no ENIConfig counts, is on."""
        self.require_pointing(pointing)
        daemonset = self._aws_node()
        require_kept(daemonset, settings)
        if pointing:
            _require_custom_networking(daemonset)

    def delete_eni_config(self, name: str, incident: str, ours: Collection[str]) -> None:
        """Deletes an ENIConfig that the incident created. `ours`: the ids of the incident's subnets.

        Raises:
            RequestRefused: it has another incident's label, or none, or somebody else pointed it elsewhere.
        """
        present = self.eni_config(name)
        if present is None:
            return
        if not bears_label(present, incident):
            raise RequestRefused(f"ENIConfig {name} does not have the label of incident {incident}: it is not deleted")
        if present.get("spec", {}).get("subnet") not in ours:
            raise RequestRefused(f"{_changed_by(present)}: put it back, or delete it, then roll back")
        self._api.delete(object_path(ENI_CONFIGS, name))

    def restore_eni_config(self, name: str, before: dict[str, Any], incident: str, ours: Collection[str]) -> str:
        """Takes back what the incident changed in an ENIConfig that was there before: its subnet and our labels.

        `ours`: the ids of the incident's subnets. What others changed since stays as it is, the subnet included: then
        the answer says so.
        """
        for _ in range(_ROUNDS):
            present = self.eni_config(name)
            if not present:
                return "deleted by somebody else since"
            kept = present.get("spec", {}).get("subnet") not in {*ours, before["spec"].get("subnet")}
            note = _changed_by(present) if kept else ""
            restored = _without_ours(present, before, incident, ours)
            if restored == present:
                return note
            # Somebody changed or deleted it since it was read: look again.
            with suppress(Conflict), unless_gone(lambda: self.eni_config(name) is not None):
                self._api.replace(object_path(ENI_CONFIGS, name), restored)
                return note
        raise NotYet(f"ENIConfig {name} is being changed by somebody else all the time")

    def _aws_node(self) -> dict[str, Any]:
        """Raises SettingsOverwritten where somebody deleted it: without the CNI no pod gets an address."""
        daemonset = self._api.find(AWS_NODE)
        if daemonset is None:
            raise SettingsOverwritten(_CNI_GONE)
        return daemonset

    def cni_environment(self) -> dict[str, str]:
        """The plain environment of the container aws-node, as the DaemonSet has it."""
        return environment_of(aws_node_container(self._aws_node()))

    def require_not_held_by_others(self, wanted: Mapping[str, str | None]) -> None:
        """Raises SettingsOverwritten where another field manager than the add-on's and ours keeps other values."""
        daemonset = self._aws_node()
        lost = _other_values(daemonset, wanted)
        if lost and writer_of_variables(daemonset, lost) not in _MANAGERS:
            require_kept(daemonset, wanted)

    def held_beside_addon(self, names: Collection[str]) -> list[str]:
        """Those of aws-node's variables whose values another field manager than the add-on's wrote, ours included."""
        entries = self._aws_node()["metadata"].get("managedFields") or []
        others = [entry for entry in entries if entry.get("manager") != _ADDON_MANAGER]
        return [name for name in names if any(_holds_value(entry, name) for entry in others)]

    def kept_of_others(self, ours: Mapping[str, str], before: Mapping[str, str | None]) -> str:
        """The variables of aws-node that have neither our value nor the former one, with their writers, for people: an
        undo does not change them."""
        daemonset = self._aws_node()
        present = environment_of(aws_node_container(daemonset))
        theirs = {
            name: present.get(name)
            for name, value in ours.items()
            if present.get(name) not in (value, before.get(name))
        }
        return f"{shown(theirs)} of {_writer(daemonset, theirs)} stays" if theirs else ""

    def apply_cni_environment(self, env: Mapping[str, str]) -> None:
        """Sets variables of aws-node by server-side apply. It is forced, because the manifest that installed aws-node
        owns `AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=false`. Owners that would revert it are a risk of the plan."""
        container = {"name": "aws-node", "env": [{"name": name, "value": value} for name, value in env.items()]}
        body = {
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "aws-node", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"containers": [container]}}},
        }
        self._api.apply(AWS_NODE, body, force=True)

    def set_cni_environment(self, wanted: Mapping[str, str | None]) -> None:
        """Sets variables of aws-node and leaves the others alone; None removes one."""
        env = [
            {"name": name, "$patch": "delete"} if value is None else {"name": name, "value": value}
            for name, value in wanted.items()
        ]
        containers = [{"name": "aws-node", "env": env}]
        try:
            self._api.patch(AWS_NODE, {"spec": {"template": {"spec": {"containers": containers}}}})
        except NotFound as error:
            raise SettingsOverwritten(_CNI_GONE) from error

    def await_rollout(self, seconds: int, wanted: Mapping[str, str] | None = None) -> None:
        """Watches aws-node until every node runs the newest pod template and is ready. `wanted`: the variables that
        it must have all the while.

        Raises:
            RolloutStalled: not within `seconds`; call again. The message names the nodes that are late.
            SettingsOverwritten: somebody else changed one of `wanted`.
        """
        status, daemonset = "no status yet", None
        for daemonset in self._versions(seconds):
            require_kept(daemonset, wanted or {})
            done, status = progress(daemonset)
            if done:
                return
        late = laggards(self._api, daemonset) if daemonset else ""
        raise RolloutStalled(f"aws-node after {seconds} s: {status}{late}")

    def _versions(self, seconds: int) -> Iterator[dict[str, Any]]:
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            present = self._aws_node()
            yield present
            version = present["metadata"]["resourceVersion"]
            selector = {"fieldSelector": "metadata.name=aws-node", "resourceVersion": version}
            try:
                for event in self._api.watch(_DAEMONSETS, max(1, int(remaining)), **selector):
                    if event["type"] in ("ADDED", "MODIFIED"):
                        yield event["object"]
            except WatchExpired:
                continue


def bears_label(present: dict[str, Any] | None, incident: str) -> bool:
    """Whether the object's label says that the incident made it, or changed it last."""
    return present is not None and (present["metadata"].get("labels") or {}).get(INCIDENT_LABEL) == incident


def pointed_by(eni_config: dict[str, Any]) -> str:
    """The field manager that wrote the ENIConfig's subnet last, for people."""
    return writer_of_subnet(eni_config) or "somebody else"


def _changed_by(config: dict[str, Any]) -> str:
    name, subnet = config["metadata"]["name"], config.get("spec", {}).get("subnet")
    return f"ENIConfig {name} was changed by {pointed_by(config)} and points at {subnet}"


def require_kept(daemonset: dict[str, Any], wanted: Mapping[str, str | None]) -> None:
    """Raises SettingsOverwritten where aws-node has other values than these, with the name of who wrote them."""
    lost = _other_values(daemonset, wanted)
    if not lost:
        return
    raise SettingsOverwritten(
        f"{_writer(daemonset, lost)} changed aws-node after the plan had set it: {shown(lost)}. It is not set again "
        "against them: set it there, or stop that controller for aws-node, and run again"
    )


def _other_values(daemonset: dict[str, Any], wanted: Mapping[str, str | None]) -> dict[str, str | None]:
    """The variables of aws-node that have other values than these; None: it has none."""
    present = environment_of(aws_node_container(daemonset))
    return {name: present.get(name) for name, value in wanted.items() if present.get(name) != value}


def _require_custom_networking(daemonset: dict[str, Any]) -> None:
    """Raises SettingsOverwritten where somebody turned it off that had it on when the plan was made."""
    env = environment_of(aws_node_container(daemonset))
    if not Cni(env=env).custom_networking:
        switch = {CUSTOM_NETWORK_CFG: env.get(CUSTOM_NETWORK_CFG)}
        raise SettingsOverwritten(
            f"{_writer(daemonset, switch)} turned custom networking off after the plan was made: {shown(switch)}. It "
            "is not turned on again against them: turn it on there, or roll back, and run again"
        )


def shown(variables: Mapping[str, str | None]) -> str:
    """Variables of aws-node with their values, for people; None: it has none."""
    return some_of([f"{name} is gone" if value is None else f"{name}={value}" for name, value in variables.items()])


def _writer(daemonset: dict[str, Any], names: Collection[str]) -> str:
    return writer_of_variables(daemonset, names) or "somebody else"


def writer_of_variables(daemonset: dict[str, Any], names: Collection[str]) -> str | None:
    """The field manager that wrote one of these variables last; where nobody holds one, who wrote the spec last.

    An update of the add-on that preserves a value holds it from then on, too: so others go before the add-on and us.
    """
    entries = daemonset["metadata"].get("managedFields") or []
    holders = [entry for entry in entries if any(_holds_value(entry, name) for name in names)]
    others = [entry for entry in holders if entry.get("manager") not in _MANAGERS]
    return latest_manager(others or holders or entries_of_spec(daemonset))


def _holds_value(entry: dict[str, Any], variable: str) -> bool:
    """Whether an entry of managedFields owns the value of aws-node's variable."""
    fields: Any = entry.get("fieldsV1") or {}
    path = ("f:spec", "f:template", "f:spec", "f:containers", 'k:{"name":"aws-node"}', "f:env")
    for part in (*path, f'k:{{"name":"{variable}"}}'):
        fields = fields.get(part) or {}
    return "f:value" in fields


def _labelled(manifest: dict[str, Any], incident: str) -> dict[str, Any]:
    metadata = manifest["metadata"]
    return {**manifest, "metadata": {**metadata, "labels": {**metadata["labels"], INCIDENT_LABEL: incident}}}


def _without_ours(
    present: dict[str, Any], before: dict[str, Any], incident: str, ours: Collection[str]
) -> dict[str, Any]:
    """`present` with the subnet and the labels that it had before the incident, where it still has ours."""
    spec, labels = dict(present.get("spec") or {}), dict(present["metadata"].get("labels") or {})
    if spec.get("subnet") in ours:
        spec["subnet"] = before["spec"].get("subnet")
    if labels.get(INCIDENT_LABEL) == incident:
        for name in (INCIDENT_LABEL, MANAGED_BY_LABEL):
            former = before["labels"].get(name)
            labels = {**labels, name: former} if former else {key: labels[key] for key in labels if key != name}
    metadata = {**present["metadata"], "labels": labels}
    if not labels:
        del metadata["labels"]
    return {**present, "metadata": metadata, "spec": spec}
