"""The cluster's part of a plan and its undo, with faults and other people in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator import provisioning
from ip_remediator.clients.aws.eks import Eks
from ip_remediator.clients.aws.eks_addon import CniAddon, parse_configuration
from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.common.enums import Mode
from ip_remediator.common.errors import NotYet, RequestRefused, ServiceUnavailable
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.changes import cni_settings, eni_config_manifest
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster import ClusterConfiguration
from ip_remediator.snapshot.kubernetes import CRD_NAME, CRDS, ENI_CONFIGS
from local.cluster.addon import AddonManager
from local.cluster.kube import KubeApi as SimulatorApi
from tests.contract.conftest import Clock, EksApi, briefly
from tests.contract.support.clusters import WRITER, Kubernetes
from tests.contract.support.vpcs import Vpc
from tests.stack.kubernetes.support import eventually
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws

ZONES = ("ap-northeast-2a", "ap-northeast-2b")
SUBNETS = dict(zip(ZONES, ("subnet-ours-a", "subnet-ours-b"), strict=True))
CRD = json.loads((Path(provisioning.__file__).parent / "eniconfig_crd.json").read_text())


@dataclass
class World:
    """One cluster with its incident, whose subnets are made."""

    kubernetes: Kubernetes
    eks: Any
    incidents: Incidents
    log: ChangeLog
    cluster: str

    @property
    def step(self) -> ClusterConfiguration:
        """As a new invocation has it."""
        kube, eks = self.kubernetes.api(WRITER), Eks(self.eks, self.cluster)
        opened = OpenCluster({}, eks, CniAddon(self.eks, self.cluster, briefly), kube)
        return ClusterConfiguration(self.incidents.get(self.log.incident), self.incidents, self.log, opened)

    def eni_configs(self) -> dict[str, str]:
        listed = self.kubernetes.admin.find(ENI_CONFIGS) or {"items": []}
        return {item["metadata"]["name"]: item["spec"]["subnet"] for item in listed["items"]}

    def configuration(self) -> dict[str, Any]:
        addon = self.eks.describe_addon(clusterName=self.cluster, addonName="vpc-cni")["addon"]
        return parse_configuration(addon.get("configurationValues"))

    def reconfigure(self, values: dict[str, Any]) -> None:
        asked = {"clusterName": self.cluster, "addonName": "vpc-cni", "configurationValues": json.dumps(values)}
        CniAddon(self.eks, self.cluster, briefly).await_update(self.eks.update_addon(**asked)["update"]["id"])


@pytest.fixture(scope="module")
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2)


@pytest.fixture
def world(
    kubernetes: Kubernetes, eks_api: EksApi, faults: LocalAws, vpc: Vpc, table: Table, clock: Clock, cluster: str
) -> Iterator[World]:
    eks_api.create_cluster(cluster, vpc)
    eks_api.client.create_addon(clusterName=cluster, addonName="vpc-cni")
    kubernetes.install_aws_node()
    incidents = Incidents(table, clock)
    incident = incidents.open(cluster, "ap-northeast-2", Mode.AUTO, "")
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"first_time": True}))
    log = ChangeLog(table, clock, incident)
    for zone, subnet in SUBNETS.items():
        log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=zone, after={"id": subnet}))
        incidents.record_subnet(incident, zone, subnet)
    manager = AddonManager(
        SimulatorApi(kubernetes.folder / "kubeconfig"), eks_api.client, cluster, poll_seconds=0.1, reconcile_seconds=60
    )
    manager.worker.start()
    yield World(kubernetes, eks_api.client, incidents, log, cluster)
    manager.worker.stop()
    manager.worker.join(10)
    kubernetes.admin.delete(f"{CRDS}/{CRD_NAME}")
    eventually(lambda: kubernetes.admin.find(ENI_CONFIGS) is None)


def test_given_the_whole_part_when_undone_then_cluster_and_addon_are_as_before(world: World) -> None:
    world.step.apply_eni_configs()
    assert world.step.configure_cni()["through"] == "addon"
    assert world.step.cni_switched() == {"switched": True}
    world.step.undo()
    assert (world.eni_configs(), world.configuration()) == ({}, {})
    assert world.step.cni_switched() == {"switched": False}
    assert [change.kind for change in world.log.made()] == [ChangeKind.SUBNET] * 2


def test_given_somebody_reconfigures_the_addon_between_two_tries_then_both_settings_are_in_force_and_theirs_stay(
    world: World, faults: LocalAws
) -> None:
    faults.inject("eks", "UpdateAddon", error="ServerException", status=500)
    with pytest.raises(ServiceUnavailable):
        world.step.configure_cni()
    theirs = {"env": {"WARM_IP_TARGET": "4"}, "resources": {"limits": {"cpu": "1"}}}
    world.reconfigure(theirs)
    world.step.configure_cni()
    assert world.configuration() == {**theirs, "env": {"WARM_IP_TARGET": "4", **PLAN.settings}}
    world.step.undo()
    assert world.configuration() == theirs


def test_given_somebody_changed_our_variable_since_when_restored_then_their_value_stays(world: World) -> None:
    world.step.configure_cni()
    theirs = {"env": {**cni_settings(), "ENI_CONFIG_LABEL_DEF": "team/zone"}}
    world.reconfigure(theirs)
    world.step.undo()
    assert world.configuration() == {"env": {"ENI_CONFIG_LABEL_DEF": "team/zone"}}


@pytest.mark.parametrize("old", [True, False], ids=["shows old values", "shows new values"])
def test_given_our_update_is_in_progress_then_nothing_is_undone_and_it_does_not_count_as_not_switched(
    world: World, faults: LocalAws, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DescribeAddon fails meanwhile: only the update's id tells that the switch may still come."""
    world.step.apply_eni_configs()
    monkeypatch.setattr("ip_remediator.clients.aws.eks_updates._PATIENCE", 0.2)
    with faults.settings(addon_update_seconds=3, addon_shows_old_values=old), pytest.raises(NotYet):
        world.step.configure_cni()
    faults.inject("eks", "DescribeAddon", error="ServerException", status=500, times=1000)
    for act in ("cni_switched", "undo"):
        with pytest.raises(NotYet, match="is still in progress"):
            getattr(world.step, act)()
    faults.control("DELETE", "/_local/faults")
    assert set(world.eni_configs()) == set(ZONES)
    monkeypatch.undo()
    assert world.step.cni_switched() == {"switched": True}
    world.step.undo()
    assert world.eni_configs() == {}


def test_given_a_switch_whose_answer_was_lost_then_the_undo_waits_for_whatever_update_runs(
    world: World, faults: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ip_remediator.clients.aws.eks_updates._PATIENCE", 0.2)
    faults.inject("eks", "UpdateAddon", when="after")
    with faults.settings(addon_update_seconds=2), pytest.raises(ServiceUnavailable):
        world.step.configure_cni()
    with pytest.raises(NotYet, match="is UPDATING"):
        world.step.undo()
    assert world.log.made(ChangeKind.CNI)


def test_given_an_eniconfig_that_somebody_creates_between_list_and_write_then_it_is_theirs(world: World) -> None:
    step = world.step
    list_first = step.cluster.kube.find

    def find_then_let_them(path: str) -> Any:
        listed = list_first(path)
        if path == ENI_CONFIGS and listed is not None and ZONES[1] not in world.eni_configs():
            world.kubernetes.apply_as(
                "argocd-controller", f"{ENI_CONFIGS}/{ZONES[1]}", eni_config_manifest(ZONES[1], "subnet-theirs")
            )
        return listed

    world.kubernetes.admin.create(CRDS, CRD)
    eventually(lambda: world.kubernetes.admin.find(ENI_CONFIGS) is not None)
    step.cluster.kube.find = find_then_let_them  # type: ignore[method-assign]
    with pytest.raises(RequestRefused, match=f"ENIConfig {ZONES[1]} was created or changed by argocd-controller"):
        step.apply_eni_configs()
    assert [change.target for change in world.log.made(ChangeKind.ENICONFIG)] == [ZONES[0]]
    world.step.undo()
    assert world.eni_configs() == {ZONES[1]: "subnet-theirs"}


def test_given_an_eniconfig_of_others_that_points_at_our_subnet_then_the_undo_stops_before_the_vpc(
    world: World,
) -> None:
    world.step.apply_eni_configs()
    world.kubernetes.admin.create(ENI_CONFIGS, eni_config_manifest("theirs", SUBNETS[ZONES[0]]))
    with pytest.raises(RequestRefused, match=f"ENIConfig theirs points at {SUBNETS[ZONES[0]]}"):
        world.step.undo()
    assert world.eni_configs() == {"theirs": SUBNETS[ZONES[0]]}
