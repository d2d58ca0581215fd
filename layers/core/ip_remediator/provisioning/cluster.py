"""The cluster's part of a plan, and its undo: ENIConfigs first, then the CNI's settings."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ip_remediator.clients.kubernetes.api import Conflict
from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.common.errors import RequestRefused
from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, RecordedChange, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.changes import describe_settings, eni_config_manifest
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cni_settings import CniSettings
from ip_remediator.provisioning.kubernetes import KubeChanges, bears_label, pointed_by
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model_cluster import CRD_NAME, Cni

_CRD_MANIFEST = Path(__file__).with_name("eniconfig_crd.json")
# How long one invocation watches; the state machine's Retry carries on for large clusters.
ROLLOUT_SECONDS = 120


@dataclass(frozen=True)
class ClusterConfiguration:
    """The Kubernetes and EKS writes of one incident."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    cluster: OpenCluster

    @property
    def _changes(self) -> KubeChanges:
        return KubeChanges(self.cluster.kube)

    def apply_eni_configs(self) -> dict[str, Any]:
        """Creates the CRD if the plan says so, and the ENIConfig of every zone. This comes before the switch, because
        nodes of a zone without ENIConfig would not become Ready.

        Raises:
            RequestRefused: somebody else created, changed or deleted one of them in the meantime; it stays so.
        """
        plan = self.incident.require_plan()
        there = self._changes.eni_configs()
        if there is None:
            if not plan.makes_crd:
                text = f"the CRD {CRD_NAME} was deleted by somebody else after the plan was made"
                raise RequestRefused(f"{text}, with all ENIConfigs. Run again")
            self.log.intend(ChangeMade(kind=ChangeKind.CRD, target=CRD_NAME))
            self._changes.create_crd(json.loads(_CRD_MANIFEST.read_text()), self.incident.id)
        names = []
        for subnet in plan.subnets:
            for name in subnet.eni_configs:
                self._apply_eni_config(name, self.incident.subnets[subnet.zone], (there or {}).get(name))
                names.append(name)
        self.incidents.complete(self.incident.id, Step.APPLY_ENICONFIGS, ", ".join(names))
        return {"eniconfigs": names}

    def _apply_eni_config(self, name: str, subnet: str, present: dict[str, Any] | None) -> None:
        if bears_label(present, self.incident.id) and (present or {}).get("spec", {}).get("subnet") == subnet:
            return  # an earlier attempt wrote it
        self._require_as_planned(name, subnet, present)
        before = _essence(present) if present else None
        intended = ChangeMade(kind=ChangeKind.ENICONFIG, target=name, before=before, after={"subnet": subnet})
        recorded = self.log.intend(intended)
        manifest = eni_config_manifest(name, subnet, self.incident.require_plan().groups_of_eni_config(name))
        if present is None:
            if not self._changes.create_eni_config(manifest, self.incident.id):
                self._leave_theirs(recorded)
        elif recorded.before is None and not bears_label(present, self.incident.id):
            self._leave_theirs(recorded)
        else:
            try:
                self._changes.point_eni_config(manifest, self.incident.id, present)
            except Conflict:
                self._leave_theirs(recorded)

    def _require_as_planned(self, name: str, subnet: str, present: dict[str, Any] | None) -> None:
        """Raises RequestRefused where the ENIConfig points elsewhere than when the plan was made."""
        now = (present or {}).get("spec", {}).get("subnet")
        if now in (self.incident.require_plan().replaced_by_eni_config(name), subnet):
            return
        if present is None:
            raise RequestRefused(f"ENIConfig {name} was deleted by somebody else after the plan was made. Run again")
        writer = pointed_by(present)
        raise RequestRefused(
            f"ENIConfig {name} was created or changed by {writer} after the plan was made and points at {now}: it is "
            "left as it is. Run again"
        )

    def _leave_theirs(self, recorded: RecordedChange) -> None:
        """Strikes out what was not written, so that the log has only ENIConfigs that the incident wrote."""
        self.log.undone(recorded)
        present = self._changes.eni_config(recorded.target)
        if present is None:
            raise RequestRefused(
                f"ENIConfig {recorded.target} was deleted by somebody else in the meantime: it is not made again"
            )
        writer = pointed_by(present)
        raise RequestRefused(
            f"ENIConfig {recorded.target} was created or changed by {writer} in the meantime: it is left as it is"
        )

    def configure_cni(self) -> dict[str, Any]:
        """Turns custom networking on or lowers warm targets, as the plan says, through the managed add-on when it owns
        aws-node, else by server-side apply."""
        plan = self.incident.require_plan()
        if not plan.settings:
            return {"changed": False}
        self._require_own_eni_configs()
        if plan.first_time:
            self._require_no_further_zone()
        kind = ChangeKind.CNI if plan.first_time else ChangeKind.RECLAIMED_WARM
        return {"changed": True, "through": self.settings.change(kind, plan.settings)}

    def _require_own_eni_configs(self) -> None:
        """Checks, before the switch and after the rollout, that others have not changed the ENIConfigs that the plan's
        nodes need."""
        self._changes.require_pointing(self.incident.pointed_eni_configs)

    def _require_no_further_zone(self) -> None:
        """Checks, before the switch, that no node has joined in a zone for which the plan has no ENIConfig.

        Raises:
            RequestRefused: the pods of such a node would get no address with custom networking.
        """
        plan = self.incident.require_plan()
        cni = Cni(env={**self.environment(), **plan.settings})
        served, present = {subnet.zone for subnet in plan.subnets}, self._changes.eni_configs() or {}
        for node in KubernetesReader(self.cluster.kube).nodes(cni):
            new_zone = node.runs_vpc_cni and node.zone and node.zone not in served
            if new_zone and node.selected_eni_config not in present:
                raise RequestRefused(
                    f"node {node.name} joined in {node.zone} after the plan was made, and nothing gives its pods "
                    f"addresses with custom networking: ENIConfig {node.selected_eni_config} is missing. Run again: "
                    f"the next plan serves {node.zone}, too"
                )

    def change_environment(self, kind: ChangeKind, wanted: dict[str, str]) -> None:
        """Sets variables of aws-node beside the plan's own, through whoever manages them; `restore` takes it back."""
        self.settings.change(kind, wanted)

    def environment(self) -> dict[str, str]:
        """The variables of aws-node as they are now."""
        return self._changes.cni_environment()

    @property
    def settings(self) -> CniSettings:
        """The settings of aws-node, by the managed add-on or by the DaemonSet."""
        return CniSettings(self.log, self._changes, self.cluster.addon)

    def await_rollout(self, seconds: int = ROLLOUT_SECONDS) -> dict[str, Any]:
        """In a rollback there may be one whatever the plan was.

        Raises:
            RolloutStalled: call again.
            SettingsOverwritten: in a remediation, somebody else took the settings or an ENIConfig back.
        """
        if self.incident.open and not self.incident.require_plan().settings:
            self._changes.require_in_force({}, self.incident.pointed_eni_configs)
            self.incidents.skip(self.incident.id, Step.CONFIGURE_CNI, "custom networking was on already")
            return {"rolled_out": False}
        self._changes.await_rollout(seconds, self.incident.require_plan().settings if self.incident.open else None)
        if self.incident.open:
            self._require_own_eni_configs()
            note = describe_settings(self.incident.require_plan().settings)
            self.incidents.complete(self.incident.id, Step.CONFIGURE_CNI, note)
        return {"rolled_out": True}

    def cni_switched(self) -> dict[str, Any]:
        """Whether our settings are in force, as the cluster itself says (a write's answer may have been lost).

        Raises:
            NotYet: an update of the add-on is in progress: it decides.
        """
        plan = self.incident.require_plan()
        if not plan.adds_addresses or (plan.first_time and not self.log.made(ChangeKind.CNI)):
            return {"switched": False}
        return {"switched": self.settings.is_switched()}

    def restore(self, kind: ChangeKind) -> bool:
        """Whether there was something to put back."""
        return self.settings.restore(kind)

    def undo(self) -> dict[str, Any]:
        """Takes the cluster's changes back in the reverse order of their making: the settings of aws-node, the
        ENIConfigs, the CRD. ENIConfigs that were there get their former subnet, the others are deleted.

        The settings come first: a switch that failed is in the log although it never took effect. Whatever cannot be
        put back ends the undo there, and the record keeps it.

        Raises:
            NotYet: an update of the add-on is in progress; call again.
            RequestRefused: an ENIConfig still points at a subnet that the incident made.
        """
        self.restore(ChangeKind.RECLAIMED_WARM)
        self.restore(ChangeKind.CNI)
        for change in reversed(self.log.made(ChangeKind.ENICONFIG)):
            self.log.require_lock()
            ours, note = {str((change.after or {}).get("subnet")), *self.incident.subnets.values()}, ""
            if change.before is None:
                self._changes.delete_eni_config(change.target, self.incident.id, ours)
            else:
                note = self._changes.restore_eni_config(change.target, change.before, self.incident.id, ours)
            self.log.undone(change, note)
        self._require_unused_subnets()
        for change in self.log.made(ChangeKind.CRD):
            self.log.require_lock()
            self._changes.delete_unused_crd((change.after or {}).get("incident", self.incident.id))
            self.log.undone(change)
        return {"undone": True}

    def _require_unused_subnets(self) -> None:
        """An ENIConfig that points at a deleted subnet keeps its nodes from ever getting an address again."""
        made = {change.target for change in self.log.made(ChangeKind.SUBNET)}
        ours = {subnet: zone for zone, subnet in self.incident.subnets.items() if zone in made}
        if not ours:
            return
        pointing = [
            f"ENIConfig {name} points at {config['spec']['subnet']}"
            for name, config in sorted((self._changes.eni_configs() or {}).items())
            if config.get("spec", {}).get("subnet") in ours
        ]
        if pointing:
            raise RequestRefused(f"{some_of(pointing)}, which this incident made: point it elsewhere, then roll back")


def _essence(present: dict[str, Any]) -> dict[str, Any]:
    """The parts of an ENIConfig that are restored: spec, labels and annotations."""
    metadata = present["metadata"]
    return {
        "spec": present.get("spec", {}),
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }
