"""The cluster's part of a plan and its undo, with faults and other people in between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator import provisioning
from ip_remediator.common.errors import NotYet, RequestRefused, ServiceUnavailable
from ip_remediator.incidents.record import ChangeKind, Step
from ip_remediator.incidents.vpc_lock import LockLost, VpcLock
from ip_remediator.planning.changes import cni_settings, eni_config_manifest
from ip_remediator.planning.model import Change
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.snapshot.kubernetes import CRDS, ENI_CONFIGS
from local.cluster.addon import AddonManager
from tests.contract.conftest import unique
from tests.contract.provisioning.cluster_world import SUBNETS, ZONES, World
from tests.contract.support.clusters import AWS_NODE
from tests.contract.support.races import just_before
from tests.stack.kubernetes.support import eventually
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from local.aws.client import LocalAws

CRD = json.loads((Path(provisioning.__file__).parent / "eniconfig_crd.json").read_text())


def test_given_the_whole_part_when_undone_then_cluster_and_addon_are_as_before(configured: World) -> None:
    configured.step.apply_eni_configs()
    assert configured.step.configure_cni()["through"] == "addon"
    assert configured.step.cni_switched() == {"switched": True}
    configured.step.undo()
    assert (configured.eni_configs(), configured.configuration()) == ({}, {})
    assert configured.step.cni_switched() == {"switched": False}
    assert [change.kind for change in configured.log.made()] == [ChangeKind.SUBNET] * 2


def test_given_a_plan_that_names_security_groups_then_the_new_eniconfig_has_them(configured: World) -> None:
    named = eni_config_manifest(ZONES[0], "<subnet>", ("sg-pods",))
    change = Change(action="apply_eniconfig", target=ZONES[0], description="point it", manifest=named)
    planned = configured.step.incident.require_plan()
    changed = planned.model_copy(update={"changes": (*planned.changes, change)})
    configured.incidents.complete(configured.log.incident, Step.PLAN, plan=changed)
    configured.step.apply_eni_configs()
    specs = {zone: configured.kubernetes.admin.get(f"{ENI_CONFIGS}/{zone}")["spec"] for zone in ZONES}
    assert specs == {
        ZONES[0]: {"subnet": SUBNETS[ZONES[0]], "securityGroups": ["sg-pods"]},
        ZONES[1]: {"subnet": SUBNETS[ZONES[1]]},
    }


def test_given_somebody_reconfigures_the_addon_between_two_tries_then_both_settings_are_in_force_and_theirs_stay(
    configured: World, faults: LocalAws
) -> None:
    configured.step.apply_eni_configs()
    faults.inject("eks", "UpdateAddon", error="ServerException", status=500)
    with pytest.raises(ServiceUnavailable):
        configured.step.configure_cni()
    theirs = {"env": {"WARM_IP_TARGET": "4"}, "resources": {"limits": {"cpu": "1"}}}
    configured.reconfigure(theirs)
    configured.step.configure_cni()
    assert configured.configuration() == {**theirs, "env": {"WARM_IP_TARGET": "4", **PLAN.settings}}
    configured.step.undo()
    assert configured.configuration() == theirs


def test_given_somebody_changed_our_variable_since_when_restored_then_their_value_stays(configured: World) -> None:
    configured.step.apply_eni_configs()
    configured.step.configure_cni()
    theirs = {"env": {**cni_settings(), "ENI_CONFIG_LABEL_DEF": "team/zone"}}
    configured.reconfigure(theirs)
    configured.step.undo()
    assert configured.configuration() == {"env": {"ENI_CONFIG_LABEL_DEF": "team/zone"}}


def test_given_an_addon_that_was_taken_back_but_not_written_yet_then_no_attempt_counts_it_as_restored(
    configured: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EKS writes aws-node a while after the update; a watchdog may look beside the execution's own undo."""
    configured.kubernetes.admin.delete(AWS_NODE)
    configured.reconfigure({"env": {"WARM_ENI_TARGET": "2"}})
    eventually(lambda: configured.kubernetes.admin.find(AWS_NODE))
    configured.step.apply_eni_configs()
    configured.step.configure_cni()
    with monkeypatch.context() as slow:
        slow.setattr(AddonManager, "_describe", lambda _: None)
        slow.setattr("ip_remediator.provisioning.cni_settings._ADDON_SECONDS", 0.2)
        for _ in range(2):
            with pytest.raises(NotYet, match="has not set the variables on aws-node yet"):
                configured.step.undo()
    assert configured.log.made(ChangeKind.CNI)
    configured.step.undo()
    assert not configured.log.made(ChangeKind.CNI)


@pytest.mark.parametrize("old", [True, False], ids=["shows old values", "shows new values"])
def test_given_our_update_is_in_progress_then_nothing_is_undone_and_it_does_not_count_as_not_switched(
    configured: World, faults: LocalAws, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DescribeAddon fails meanwhile: only the update's id tells that the switch may still come."""
    configured.step.apply_eni_configs()
    monkeypatch.setattr("ip_remediator.clients.aws.eks_updates._PATIENCE", 0.2)
    with faults.settings(addon_update_seconds=3, addon_shows_old_values=old), pytest.raises(NotYet):
        configured.step.configure_cni()
    faults.inject("eks", "DescribeAddon", error="ServerException", status=500, times=1000)
    for act in ("cni_switched", "undo"):
        with pytest.raises(NotYet, match="is still in progress"):
            getattr(configured.step, act)()
    faults.control("DELETE", "/_local/faults")
    assert set(configured.eni_configs()) == set(ZONES)
    monkeypatch.undo()
    assert configured.step.cni_switched() == {"switched": True}
    configured.step.undo()
    assert configured.eni_configs() == {}


def test_given_a_switch_whose_answer_was_lost_then_the_undo_waits_for_whatever_update_runs(
    configured: World, faults: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured.step.apply_eni_configs()
    monkeypatch.setattr("ip_remediator.clients.aws.eks_updates._PATIENCE", 0.2)
    faults.inject("eks", "UpdateAddon", when="after")
    with faults.settings(addon_update_seconds=2), pytest.raises(ServiceUnavailable):
        configured.step.configure_cni()
    with pytest.raises(NotYet, match="is UPDATING"):
        configured.step.undo()
    assert configured.log.made(ChangeKind.CNI)


def test_given_an_eniconfig_that_somebody_creates_between_list_and_write_then_it_is_theirs(configured: World) -> None:
    step = configured.step
    list_first = step.cluster.kube.find

    def find_then_let_them(path: str) -> Any:
        listed = list_first(path)
        if path == ENI_CONFIGS and listed is not None and ZONES[1] not in configured.eni_configs():
            configured.kubernetes.apply_as(
                "argocd-controller", f"{ENI_CONFIGS}/{ZONES[1]}", eni_config_manifest(ZONES[1], "subnet-theirs")
            )
        return listed

    configured.kubernetes.admin.create(CRDS, CRD)
    eventually(lambda: configured.kubernetes.admin.find(ENI_CONFIGS) is not None)
    step.cluster.kube.find = find_then_let_them  # type: ignore[method-assign]
    with pytest.raises(RequestRefused, match=f"ENIConfig {ZONES[1]} was created or changed by argocd-controller"):
        step.apply_eni_configs()
    assert [change.target for change in configured.log.made(ChangeKind.ENICONFIG)] == [ZONES[0]]
    configured.step.undo()
    assert configured.eni_configs() == {ZONES[1]: "subnet-theirs"}


def test_given_an_eniconfig_of_others_that_points_at_our_subnet_then_the_undo_stops_before_the_vpc(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()
    configured.kubernetes.admin.create(ENI_CONFIGS, eni_config_manifest("theirs", SUBNETS[ZONES[0]]))
    with pytest.raises(RequestRefused, match=f"ENIConfig theirs points at {SUBNETS[ZONES[0]]}"):
        configured.step.undo()
    assert configured.eni_configs() == {"theirs": SUBNETS[ZONES[0]]}


def test_given_a_later_execution_that_lowers_warm_targets_while_an_earlier_one_waits_then_they_stay_lowered(
    configured: World,
) -> None:
    # given a rollback that lowered them and was stopped, and its last function, which is about to give them back
    log, lock, vpc = configured.log, VpcLock(configured.log.records.table, configured.log.clock), unique("vpc")
    stopped = replace(configured, log=ChangeLog(log.records.table, log.clock, log.incident, vpc, "stopped"))
    following = replace(configured, log=ChangeLog(log.records.table, log.clock, log.incident, vpc, "next"))
    lock.acquire(vpc, log.incident, "stopped")
    lowered = {"WARM_ENI_TARGET": "0"}
    eventually(lambda: stopped.step.change_environment(ChangeKind.WARM_TARGETS, lowered) is None)

    # when the next rollback lowers them while that function asks for the add-on
    def take_over() -> None:
        lock.acquire(vpc, log.incident, "next")
        following.step.change_environment(ChangeKind.WARM_TARGETS, lowered)

    just_before(configured.eks, "DescribeAddon", take_over)
    with pytest.raises(LockLost, match="took the incident over"):
        stopped.step.restore(ChangeKind.WARM_TARGETS)

    # then they are as the next one set them
    assert configured.step.environment()["WARM_ENI_TARGET"] == "0"
    assert following.step.restore(ChangeKind.WARM_TARGETS)
    assert configured.step.environment()["WARM_ENI_TARGET"] != "0"
