"""Other people change the cluster between the steps of a remediation and of its undo.

Whatever they change and whenever: it is noticed and told with the name of who did it, theirs stays as they made it, and
what is ours and not theirs by now goes with the undo.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import NotFound, NotYet, RequestRefused
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.planning.changes import eni_config_manifest
from ip_remediator.planning.model import Change
from ip_remediator.provisioning.cluster import _CRD_MANIFEST, ClusterConfiguration
from ip_remediator.provisioning.cni_settings import require_in_force
from ip_remediator.provisioning.kubernetes import KubeChanges, SettingsOverwritten
from ip_remediator.provisioning.made_subnets import require_subnets
from ip_remediator.snapshot.kubernetes import AWS_NODE, ENI_CONFIGS
from ip_remediator.snapshot.model_cluster import CRD_NAME
from tests.contract.conftest import Clock
from tests.contract.provisioning.cluster_world import SUBNETS, ZONES, World
from tests.contract.support.races import Overtaken, just_before
from tests.contract.support.vpcs import Vpc
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ARGO, FLAG = "argocd-controller", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"
PATH = f"{ENI_CONFIGS}/{ZONES[0]}"


def repoint(configured: World) -> None:
    """As a GitOps controller syncs an ENIConfig of its own: with force, and without a look at who made it."""
    body = eni_config_manifest(ZONES[0], "subnet-theirs")
    configured.kubernetes.apply_as(f"{ARGO}&force=true", PATH, body)


def delete(configured: World) -> None:
    configured.kubernetes.admin.delete(PATH)


def take_the_flag_back(configured: World) -> None:
    container = {"name": "aws-node", "env": [{"name": FLAG, "value": "false"}]}
    body = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "aws-node", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    configured.kubernetes.apply_as(f"{ARGO}&force=true", AWS_NODE, body)


def take_the_addon_away(configured: World) -> None:
    configured.eks.delete_addon(clusterName=configured.cluster, addonName="vpc-cni", preserve=True)


def apply(step: ClusterConfiguration) -> Any:
    return step.apply_eni_configs()


def switch(step: ClusterConfiguration) -> Any:
    return step.configure_cni()


def watch(step: ClusterConfiguration) -> Any:
    return step.await_rollout(1)


COURSE = (apply, switch, watch)


@dataclass(frozen=True)
class Interference:
    """Somebody does `act` before step number `before` of the course, which then says `words`."""

    act: Callable[[World], None]
    before: int
    words: str


NOTICED = {
    "repointed before the switch": Interference(
        repoint, 1, f"{ZONES[0]} was changed by {ARGO} and points at subnet-theirs"
    ),
    "repointed after the switch": Interference(
        repoint, 2, f"{ZONES[0]} was changed by {ARGO} and points at subnet-theirs"
    ),
    "deleted before the switch": Interference(delete, 1, f"ENIConfig {ZONES[0]} was deleted by somebody else"),
    "deleted after the switch": Interference(delete, 2, f"ENIConfig {ZONES[0]} was deleted by somebody else"),
    "flag taken back": Interference(take_the_flag_back, 2, f"{ARGO} changed aws-node after the plan had set it"),
}


@pytest.mark.parametrize("name", NOTICED)
def test_given_somebody_changes_what_was_made_when_gone_on_then_it_is_told_and_nothing_of_theirs_is_overwritten(
    configured: World, name: str
) -> None:
    interference = NOTICED[name]
    for step in COURSE[: interference.before]:
        step(configured.step)
    interference.act(configured)
    theirs, switched = configured.eni_configs(), configured.step.environment().get(FLAG)
    configured.kubernetes.set_rollout(wanted=2, updated=2, available=2)
    with pytest.raises(SettingsOverwritten, match=interference.words):
        COURSE[interference.before](configured.step)
    assert configured.eni_configs() == theirs
    assert configured.step.environment().get(FLAG) == switched


def test_given_our_eniconfig_that_somebody_repointed_when_applied_again_then_theirs_stays(configured: World) -> None:
    apply(configured.step)
    repoint(configured)
    with pytest.raises(RequestRefused, match=f"{ZONES[0]} was created or changed by {ARGO} after the plan was made"):
        apply(configured.step)
    assert configured.eni_configs()[ZONES[0]] == "subnet-theirs"
    assert {change.target for change in configured.log.made(ChangeKind.ENICONFIG)} == {*ZONES}


def test_given_a_crd_that_somebody_deleted_after_the_plan_when_applied_then_it_is_not_made_again_and_is_named(
    configured: World,
) -> None:
    # given a plan of a cluster that had the CRD
    planned = configured.step.incident.require_plan()
    kept = tuple(change for change in planned.changes if change.action != "create_crd")
    configured.incidents.complete(configured.log.incident, Step.PLAN, plan=planned.model_copy(update={"changes": kept}))
    with pytest.raises(RequestRefused, match=f"{CRD_NAME} was deleted by somebody else after the plan was made"):
        apply(configured.step)
    assert configured.kubernetes.admin.find(ENI_CONFIGS) is None
    assert not configured.log.made(ChangeKind.CRD) + configured.log.made(ChangeKind.ENICONFIG)


def plan_on(configured: World, subnet: str) -> None:
    """A plan made while the first ENIConfig pointed at this subnet."""
    planned, manifest = configured.step.incident.require_plan(), eni_config_manifest(ZONES[0], subnet)
    change = Change(action="apply_eniconfig", target=ZONES[0], description="", manifest=manifest, replaces=subnet)
    changed = planned.model_copy(update={"changes": (*planned.changes, change)})
    configured.incidents.complete(configured.log.incident, Step.PLAN, plan=changed)


@pytest.mark.parametrize("gone", [False, True])
def test_given_an_eniconfig_of_others_that_they_changed_after_the_plan_when_applied_then_theirs_stays_and_is_named(
    configured: World, gone: bool
) -> None:
    apply(configured.step)
    configured.step.undo()
    plan_on(configured, "subnet-before")
    configured.step._changes.create_crd(json.loads(_CRD_MANIFEST.read_text()), "another")
    if not gone:
        repoint(configured)
    words = "was deleted by somebody else" if gone else f"was created or changed by {ARGO}"
    with pytest.raises(RequestRefused, match=f"ENIConfig {ZONES[0]} {words} after the plan was made"):
        apply(configured.step)
    assert configured.eni_configs() == ({} if gone else {ZONES[0]: "subnet-theirs"})
    assert configured.log.made(ChangeKind.ENICONFIG) == []


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (repoint, f"{ZONES[0]} was changed by {ARGO}"),
        (delete, f"ENIConfig {ZONES[0]} was deleted"),
        (take_the_flag_back, f"{ARGO} changed aws-node"),
    ],
)
def test_given_somebody_changes_what_was_made_after_the_rollout_when_verified_then_it_is_told(
    configured: World, act: Callable[[World], None], words: str
) -> None:
    apply(configured.step)
    switch(configured.step)
    plan, pointing = configured.step.incident.require_plan(), configured.step.incident.pointed_eni_configs
    KubeChanges(configured.step.cluster.kube).require_in_force(plan.settings, pointing)
    act(configured)
    with pytest.raises(SettingsOverwritten, match=words):
        KubeChanges(configured.step.cluster.kube).require_in_force(plan.settings, pointing)
    if act is take_the_flag_back:  # also where the plan relied on it without setting it
        with pytest.raises(SettingsOverwritten, match=f"{ARGO} turned custom networking off"):
            KubeChanges(configured.step.cluster.kube).require_in_force({}, pointing)


def test_given_somebody_gives_the_addon_another_configuration_after_the_rollout_when_verified_then_it_is_told(
    configured: World,
) -> None:
    """Whether EKS has written it to aws-node, or has not yet."""
    apply(configured.step)
    switch(configured.step)
    step = configured.step
    plan, pointing = step.incident.require_plan(), step.incident.pointed_eni_configs
    kube = KubeChanges(step.cluster.kube)
    require_in_force(step.cluster.addon, kube, plan.settings, pointing)
    configured.reconfigure({"env": {"WARM_ENI_TARGET": "1"}})
    for settings in (plan.settings, {}):  # also where the plan relied on custom networking without turning it on
        with pytest.raises(SettingsOverwritten, match=r"add-on vpc-cni.*AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG is gone"):
            require_in_force(step.cluster.addon, kube, settings, pointing)


def test_given_an_addon_that_writes_the_flag_in_another_way_when_verified_then_custom_networking_counts_as_on(
    configured: World,
) -> None:
    """As the CNI reads it, by strconv.ParseBool, where the plan did not set it itself."""
    apply(configured.step)
    switch(configured.step)
    step = configured.step
    configured.reconfigure({"env": {FLAG: "True"}})
    eventually("aws-node has it", lambda: step.environment().get(FLAG) == "True")
    pointing = step.incident.pointed_eni_configs
    require_in_force(step.cluster.addon, KubeChanges(step.cluster.kube), {}, pointing)


@pytest.mark.parametrize("after", [1, 2])
def test_given_our_eniconfig_that_somebody_repointed_when_undone_then_it_stays_and_the_undo_stops_with_their_name(
    configured: World, after: int
) -> None:
    for step in COURSE[:after]:
        step(configured.step)
    repoint(configured)
    with pytest.raises(RequestRefused, match=f"was changed by {ARGO} and points at subnet-theirs: put it back"):
        configured.step.undo()
    assert configured.eni_configs() == {ZONES[0]: "subnet-theirs"}
    assert [change.target for change in configured.log.made(ChangeKind.ENICONFIG)] == [ZONES[0]]
    delete(configured)  # the remedy that the message names
    configured.step.undo()
    assert configured.log.made(ChangeKind.ENICONFIG) == []


def test_given_their_eniconfig_that_they_repointed_since_when_undone_then_it_stays_and_the_timeline_names_them(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()  # makes the CRD
    theirs = eni_config_manifest("shared", "subnet-before")
    configured.kubernetes.apply_as("kubectl", f"{ENI_CONFIGS}/shared", theirs)
    before = {"spec": {"subnet": "subnet-before"}, "labels": theirs["metadata"]["labels"], "annotations": {}}
    configured.log.intend(
        ChangeMade(kind=ChangeKind.ENICONFIG, target="shared", before=before, after={"subnet": SUBNETS[ZONES[0]]})
    )
    configured.kubernetes.apply_as(
        f"{ARGO}&force=true", f"{ENI_CONFIGS}/shared", eni_config_manifest("shared", "subnet-theirs")
    )
    configured.step.undo()
    assert configured.eni_configs() == {"shared": "subnet-theirs"}
    details = [event["detail"] for event in configured.incidents.timeline(configured.log.incident)]
    assert f"ENIConfig shared: ENIConfig shared was changed by {ARGO} and points at subnet-theirs" in details


def test_given_a_variable_that_somebody_set_since_when_undone_then_it_stays_and_the_timeline_names_it(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()
    configured.step.configure_cni()
    configured.reconfigure({"env": {FLAG: "True"}})
    configured.step.undo()
    assert configured.configuration() == {"env": {FLAG: "True"}}
    details = [event["detail"] for event in configured.incidents.timeline(configured.log.incident)]
    assert any(f"{FLAG}=True of " in detail for detail in details), details


def test_given_a_node_group_grows_into_another_zone_before_the_switch_then_its_node_is_named_and_nothing_switched(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()
    node, zone = "ip-10-0-9-9", "ap-northeast-2c"
    joined = {"metadata": {"name": node, "labels": {"topology.kubernetes.io/zone": zone}}}
    configured.kubernetes.admin.create("/api/v1/nodes", joined)
    try:
        with pytest.raises(RequestRefused, match=f"node {node} joined in {zone} after the plan was made"):
            configured.step.configure_cni()
        assert configured.step.environment().get(FLAG) != "true"
        assert configured.log.made(ChangeKind.CNI) == []
        manifest = eni_config_manifest("default", "subnet-theirs")  # somebody serves the node
        configured.kubernetes.apply_as("kubectl", f"{ENI_CONFIGS}/default", manifest)
        assert configured.step.configure_cni()["changed"]
    finally:
        configured.kubernetes.admin.delete(f"/api/v1/nodes/{node}")


def test_given_the_addon_is_taken_away_when_undone_then_aws_node_is_as_before(configured: World) -> None:
    configured.step.apply_eni_configs()
    before = configured.step.environment().get(FLAG)
    configured.step.configure_cni()
    take_the_addon_away(configured)
    configured.step.undo()
    assert configured.step.environment().get(FLAG) == before
    assert (configured.eni_configs(), configured.log.outstanding()[2:]) == ({}, [])


def test_given_somebody_deleted_a_subnet_when_something_is_to_point_at_it_then_it_is_named(
    configured: World, ec2: Any, clock: Clock, faults: LocalAws
) -> None:
    vpc, incident = Vpc.create(ec2), configured.log.incident
    for zone in ZONES:
        subnet = vpc.subnet(f"10.0.{100 + ZONES.index(zone)}.0/24", zone[-1])
        [change] = [change for change in configured.log.made(ChangeKind.SUBNET) if change.target == zone]
        configured.log.amend(change.model_copy(update={"after": {"id": subnet, "at": clock().isoformat()}}))
        configured.incidents.record_subnet(incident, zone, subnet)
    record = configured.incidents.get(incident)
    require_subnets(ec2, record, configured.log)
    doomed = record.subnets[ZONES[1]]
    ec2.delete_subnet(SubnetId=doomed)
    with pytest.raises(NotYet, match=doomed):  # it may only not be listed yet
        require_subnets(ec2, record, configured.log)
    clock.advance(seconds=61)
    with pytest.raises(NotFound, match=f"subnet {doomed} of {ZONES[1]} was deleted by somebody else"):
        require_subnets(ec2, record, configured.log)


def test_given_an_eniconfig_of_others_that_is_deleted_before_it_is_pointed_then_it_is_not_made_again(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()
    delete(configured)
    configured.log.undone(configured.log.made(ChangeKind.ENICONFIG)[0])
    plan_on(configured, "subnet-theirs")
    configured.kubernetes.apply_as("kubectl", PATH, eni_config_manifest(ZONES[0], "subnet-theirs"))
    overtaken = Overtaken(configured.kubernetes, "PATCH", lambda: delete(configured))
    with pytest.raises(RequestRefused, match=f"ENIConfig {ZONES[0]} was deleted by somebody else in the meantime"):
        configured.step_by(overtaken).apply_eni_configs()
    assert ZONES[0] not in configured.eni_configs()


def test_given_an_eniconfig_of_others_that_is_deleted_before_it_is_restored_then_it_is_not_made_again(
    configured: World,
) -> None:
    configured.step.apply_eni_configs()  # makes the CRD
    theirs = eni_config_manifest("shared", SUBNETS[ZONES[0]])
    configured.kubernetes.apply_as("kubectl", f"{ENI_CONFIGS}/shared", theirs)
    before = {"spec": {"subnet": "subnet-before"}, "labels": theirs["metadata"]["labels"], "annotations": {}}
    configured.log.intend(
        ChangeMade(kind=ChangeKind.ENICONFIG, target="shared", before=before, after={"subnet": SUBNETS[ZONES[0]]})
    )
    gone = partial(configured.kubernetes.admin.delete, f"{ENI_CONFIGS}/shared")
    configured.step_by(Overtaken(configured.kubernetes, "PUT", gone)).undo()
    assert (configured.eni_configs(), configured.log.made(ChangeKind.ENICONFIG)) == ({}, [])
    details = [event["detail"] for event in configured.incidents.timeline(configured.log.incident)]
    assert "ENIConfig shared: deleted by somebody else since" in details


def test_given_the_addon_is_taken_away_between_the_look_and_the_undo_then_aws_node_is_as_before(
    configured: World, aws: LocalAws
) -> None:
    configured.step.apply_eni_configs()
    before = configured.step.environment().get(FLAG)
    configured.step.configure_cni()
    mine = aws.client("eks")
    just_before(mine, "UpdateAddon", lambda: take_the_addon_away(configured))
    replace(configured, eks=mine).step.undo()
    assert configured.step.environment().get(FLAG) == before
    assert (configured.eni_configs(), configured.log.outstanding()[2:]) == ({}, [])
