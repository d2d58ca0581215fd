"""Somebody else changes the cluster in the middle of a run."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.planning.changes import eni_config_manifest
from local.cluster.kube import ENICONFIGS
from tests.integration.conftest import NO_PODS
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import roll_back
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ARGO = "argocd-controller"
THROTTLED = {"service": "eks", "action": "UpdateAddon", "error": "ThrottlingException", "status": 400, "times": 6}


def repoint(cluster: Patient, zone: str, subnet: str) -> None:
    """As a controller syncs an ENIConfig of its own: by server-side apply, with force."""
    cluster.api.apply(f"{ENICONFIGS.path()}/{zone}", eni_config_manifest(zone, subnet), ARGO)


def cni_is_recorded(lab: Lab, incident: str) -> Any:
    return [change for change in lab.changes(incident) if "CHANGE#cni#" in change]


def test_given_a_controller_repoints_an_eniconfig_before_the_switch_then_it_is_named_and_a_rollback_ends_the_rest(
    lab: Lab,
) -> None:
    with patient(lab, NO_PODS) as cluster:
        before = cluster.world()
        with lab.faults({**THROTTLED, "principal": "ClusterFunction"}):
            execution = lab.start(cluster.name)
            incident = lab.incident_when_known(execution).id
            eventually("the CNI is about to be switched", lambda: cni_is_recorded(lab, incident), seconds=90)
            zone, theirs = next(iter(cluster.seeded.network.subnets.items()))
            repoint(cluster, zone, theirs)
            ended = lab.end_of(execution)
        record = lab.incidents.get(incident)
        assert (ended.error, record.outcome) == ("SettingsOverwritten", Outcome.FAILED), (ended, record.failure)
        assert (cluster.eni_configs() or {})[zone] == {"subnet": theirs}
        lab.message_saying(incident, f"was changed by {ARGO}", "put it back, or delete it, then roll back")

        cluster.api.delete(f"{ENICONFIGS.path()}/{zone}")
        rolled_back = roll_back(lab, incident, confirmed=True)

        assert rolled_back.status == "SUCCEEDED", rolled_back
        assert cluster.world() == before
