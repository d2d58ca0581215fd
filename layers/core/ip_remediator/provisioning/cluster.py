"""The cluster's part of a plan, and its undo: ENIConfigs first, then the CNI's settings."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ip_remediator.clients.aws.eks import merge_addon_env
from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.changes import cni_settings, eni_config_manifest
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.kubernetes import KubeChanges
from ip_remediator.snapshot.kubernetes import CRD_NAME
from ip_remediator.snapshot.model_cluster import CUSTOM_NETWORK_CFG

_CRD_MANIFEST = Path(__file__).with_name("eniconfig_crd.json")
# How long one invocation watches; the state machine's Retry carries on for large clusters.
ROLLOUT_SECONDS = 120
_ADDON_SECONDS = 30


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
        """The CRD if it is missing, and the ENIConfig of every zone, before the flag: a zone without one would lose
        its nodes."""
        plan = self.incident.require_plan()
        changes = self._changes
        there = changes.eni_configs()
        if there is None:
            self.log.intend(ChangeMade(kind=ChangeKind.CRD, target=CRD_NAME))
            changes.create_crd(json.loads(_CRD_MANIFEST.read_text()), self.incident.id)
        names = []
        for subnet in plan.subnets:
            for name in subnet.eni_configs:
                present = (there or {}).get(name)
                before = _essence(present) if present else None
                self.log.intend(ChangeMade(kind=ChangeKind.ENICONFIG, target=name, before=before))
                manifest = eni_config_manifest(name, self.incident.subnets[subnet.zone])
                changes.apply_eni_config(manifest, self.incident.id, force=present is not None)
                names.append(name)
        self.incidents.complete(self.incident.id, Step.APPLY_ENICONFIGS, ", ".join(names))
        return {"eniconfigs": names}

    def configure_cni(self) -> dict[str, Any]:
        """Turns custom networking on, through the managed add-on when it owns aws-node, else by server-side apply."""
        if not self.incident.require_plan().first_time:
            return {"changed": False}
        addon = self.cluster.eks.addon()
        recorded = self._intend_environment(ChangeKind.CNI, cni_settings(), addon)
        if addon is None:
            self._changes.apply_cni_environment(cni_settings())
        else:
            self._configure_addon(addon, recorded, cni_settings())
        return {"changed": True, "through": "addon" if addon is not None else "daemonset"}

    def change_environment(self, kind: ChangeKind, wanted: dict[str, str]) -> None:
        """Sets variables of aws-node beside the plan's own, through whoever manages them; `restore` takes it back."""
        addon = self.cluster.eks.addon()
        recorded = self._intend_environment(kind, wanted, addon)
        if addon is None:
            self._changes.set_cni_environment(wanted)
        else:
            self._configure_addon(addon, recorded, wanted)

    def environment(self) -> dict[str, str]:
        """The variables of aws-node as they are now."""
        return self._changes.cni_environment()

    def _intend_environment(
        self, kind: ChangeKind, wanted: Mapping[str, str], addon: dict[str, Any] | None
    ) -> ChangeMade:
        """Records the change of aws-node's variables; what it returns has what was there before the first attempt."""
        env = self._changes.cni_environment()
        before: dict[str, Any] = {"env": {name: env.get(name) for name in wanted}}
        if addon is not None:
            before["configuration"] = addon.get("configurationValues", "")
        return self.log.intend(ChangeMade(kind=kind, target="aws-node", before=before))

    def _configure_addon(self, addon: dict[str, Any], recorded: ChangeMade, wanted: dict[str, str]) -> None:
        original = (recorded.before or {}).get("configuration")
        self.cluster.eks.set_addon_configuration(merge_addon_env(original, wanted), addon)
        self._await_environment(wanted)

    def _await_environment(self, wanted: Mapping[str, str | None]) -> None:
        """The add-on writes the DaemonSet after its own update; only then is there a rollout to watch.

        Raises:
            NotYet: call again. When it lasts, somebody changed the variable by hand and the add-on preserves that.
        """
        deadline = time.monotonic() + _ADDON_SECONDS
        while any(self._changes.cni_environment().get(name) != value for name, value in wanted.items()):
            if time.monotonic() > deadline:
                raise NotYet("the vpc-cni add-on has not set the variables on aws-node: were they edited by hand?")
            time.sleep(0.2)

    def await_rollout(self, seconds: int = ROLLOUT_SECONDS) -> dict[str, Any]:
        """Raises RolloutStalled; call again. In a rollback there may be one whatever the plan was."""
        if self.incident.open and not self.incident.require_plan().first_time:
            self.incidents.skip(self.incident.id, Step.CONFIGURE_CNI, "custom networking was on already")
            return {"rolled_out": False}
        self._changes.await_rollout(seconds)
        if self.incident.open:
            note = " ".join(f"{name}={value}" for name, value in cni_settings().items())
            self.incidents.complete(self.incident.id, Step.CONFIGURE_CNI, note)
        return {"rolled_out": True}

    def cni_switched(self) -> dict[str, Any]:
        """Whether our settings are in force, as the cluster itself says (a write's answer may have been lost)."""
        env = self._changes.cni_environment()
        written = bool(self.log.made(ChangeKind.CNI)) or not self.incident.require_plan().first_time
        return {"switched": written and env.get(CUSTOM_NETWORK_CFG, "false").lower() == "true"}

    def restore(self, kind: ChangeKind) -> bool:
        """Whether there was something to put back."""
        made = self.log.made(kind)
        for change in made:
            before = change.before or {}
            if "configuration" in before:
                self.cluster.eks.set_addon_configuration(before["configuration"])
                self._await_environment(before["env"])
            else:
                self._changes.set_cni_environment(before["env"])
            self.log.undone(change)
        return bool(made)

    def undo(self) -> dict[str, Any]:
        """Puts ENIConfigs back as they were, and deletes those (and the CRD) that were not there.

        The settings of aws-node come first: a switch that failed is in the log although it never took effect.
        """
        self.restore(ChangeKind.CNI)
        changes = self._changes
        for change in self.log.made(ChangeKind.ENICONFIG):
            if change.before is None:
                changes.delete_eni_config(change.target, self.incident.id)
            else:
                changes.restore_eni_config(change.target, change.before)
            self.log.undone(change)
        for change in self.log.made(ChangeKind.CRD):
            changes.delete_unused_crd((change.after or {}).get("incident", self.incident.id))
            self.log.undone(change)
        return {"undone": True}


def _essence(present: dict[str, Any]) -> dict[str, Any]:
    """What of an ENIConfig is restored: its spec, labels and annotations."""
    metadata = present["metadata"]
    return {
        "spec": present.get("spec", {}),
        "labels": metadata.get("labels") or {},
        "annotations": metadata.get("annotations") or {},
    }
