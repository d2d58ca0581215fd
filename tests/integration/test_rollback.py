"""After a remediation and its rollback, everything is as before, in every way a cluster may have been set up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, RollbackState, Step, StepState
from local.cluster.kube import ENICONFIGS
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back, switch_custom_networking_on
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
SETUPS = {
    "managed add-on": (Scenario(), False),
    "self-managed DaemonSet, no CRD": (replace(Scenario(), managed_addon=False, eniconfig_crd=False), False),
    "managed add-on, custom networking with other ENIConfigs": (Scenario(), True),
    "self-managed DaemonSet, custom networking with other ENIConfigs": (
        replace(Scenario(), managed_addon=False),
        True,
    ),
}


@contextmanager
def stricken(lab: Lab, scenario: Scenario, *, custom_networking: bool = False) -> Iterator[Patient]:
    """Eight pods run and two have no address."""
    with patient(lab, scenario, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        if custom_networking:
            switch_custom_networking_on(cluster)
        yield cluster


def healed(lab: Lab, cluster: Patient) -> Incident:
    ended, incident = lab.remediate(cluster.name)
    assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
    return incident


@contextmanager
def healed_setup(lab: Lab, setup: str) -> Iterator[tuple[Patient, object, Incident]]:
    """The cluster, its dump before the incident, and the incident."""
    scenario, custom_networking = SETUPS[setup]
    with stricken(lab, scenario, custom_networking=custom_networking) as cluster:
        before = dump(cluster)
        yield cluster, before, healed(lab, cluster)


@pytest.mark.parametrize("setup", SETUPS)
def test_given_a_healed_cluster_when_rolled_back_with_evictions_then_everything_is_as_before(
    lab: Lab, setup: str
) -> None:
    with healed_setup(lab, setup) as (cluster, before, incident):
        assert len(cluster.moved()) == 2
        assert dump(cluster) != before

        ended = roll_back(lab, incident.id, confirmed=True, evict=True)

        assert ended.status == "SUCCEEDED", ended
        assert_rolled_back(lab, incident)
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before


@pytest.mark.parametrize("setup", SETUPS)
def test_given_nobody_on_the_block_any_more_when_rolled_back_without_evictions_then_everything_is_as_before(
    lab: Lab, setup: str
) -> None:
    with healed_setup(lab, setup) as (cluster, before, incident):
        # the youngest pods go first, which are those on the block
        cluster.scale(8)
        eventually("nobody is on the block", cluster.moved, lambda moved: not moved)

        ended = roll_back(lab, incident.id, confirmed=True)

        assert ended.status == "SUCCEEDED", ended
        assert_rolled_back(lab, incident)
        cluster.scale(10)
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before


def assert_rolled_back(lab: Lab, incident: Incident) -> None:
    assert lab.changes(incident.id) == []
    record = lab.incidents.get(incident.id)
    assert record.outcome is Outcome.ROLLED_BACK
    assert record.rollback is not None
    assert record.rollback.state is RollbackState.DONE
    assert record.steps[Step.ROLLBACK].state is StepState.DONE


def test_given_an_eni_that_the_cni_leaked_in_our_subnet_when_rolled_back_with_evictions_then_it_is_deleted(
    lab: Lab,
) -> None:
    with stricken(lab, replace(Scenario(), managed_addon=False)) as cluster:
        before = dump(cluster)
        incident = healed(lab, cluster)
        leaked = leak(lab, cluster, next(iter(incident.subnets.values())))

        ended = roll_back(lab, incident.id, confirmed=True, evict=True)

        assert ended.status == "SUCCEEDED", ended
        cluster.settle(running=8, stuck=2)
        assert leaked not in str(lab.aws("ec2").describe_network_interfaces())
        assert dump(cluster) == before


def leak(lab: Lab, cluster: Patient, subnet: str) -> str:
    """An ENI as the CNI leaves it behind: available, with its description and the cluster's tag."""
    tags = [{"Key": "cluster.k8s.amazonaws.com/name", "Value": cluster.name}]
    made = lab.aws("ec2").create_network_interface(
        SubnetId=subnet,
        Description="aws-K8S-i-0123456789abcdef0",
        TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}],
    )
    return str(made["NetworkInterface"]["NetworkInterfaceId"])


@pytest.fixture(scope="module")
def cured(lab: Lab) -> Iterator[tuple[Patient, Incident]]:
    """A cluster with two pods on the block, for what must not undo anything."""
    with stricken(lab, replace(Scenario(), managed_addon=False)) as cluster:
        incident = healed(lab, cluster)
        # ipamd keeps a warm ENI on each node: it shall not come while tests compare.
        subnets = incident.subnets.values()
        eventually("the warm ENIs are there", lambda: len(cluster.interfaces_in(*subnets)), lambda number: number == 4)
        yield cluster, incident


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({}, "incident"),
        ({"incident": ""}, "incident"),
        ({"incident": "x", "evict": "perhaps"}, "evict"),
        ({"incident": "x", "force": True}, "force"),
    ],
)
def test_given_a_wrong_input_when_started_then_it_fails_with_the_field(
    lab: Lab, document: dict[str, Any], field: str
) -> None:
    ended = roll_back(lab, **document)
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    assert ended.cause.startswith(f"field '{field}': ")


def test_given_pods_on_the_block_when_rolled_back_without_evictions_then_it_pauses_and_says_who_is_in_the_way(
    lab: Lab, cured: tuple[Patient, Incident]
) -> None:
    cluster, incident = cured
    moved = cluster.moved()
    environment = cluster.cni_environment()
    ended = roll_back(lab, incident.id, confirmed=True)
    assert (ended.status, ended.error) == ("FAILED", "PodsInTheWay")
    assert all(pod in ended.cause for pod in moved)
    record = lab.incidents.get(incident.id)
    assert record.rollback is not None
    assert record.rollback.state is RollbackState.PAUSED
    assert record.rollback.assessment is not None
    assert (record.rollback.assessment.pods, record.rollback.assessment.interfaces) == (2, 4)
    assert set(record.rollback.assessment.pod_names) == {f"default/{pod}" for pod in moved}
    assert record.failure is not None
    assert "subnet" in record.failure.outstanding
    assert cluster.moved() == moved
    assert lab.lock_holder(cluster.vpc_id) is None
    # What was lowered for the time of the rollback is back, though it did not end.
    assert cluster.cni_environment() == {
        name: value for name, value in environment.items() if name != "ENI_CONFIG_LABEL_DEF"
    } | {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "false"}
    assert not any(change.startswith(("CHANGE#warm", "CHANGE#cordon")) for change in lab.changes(incident.id))


def test_given_an_interface_of_another_cluster_when_rolled_back_then_nothing_is_touched(
    lab: Lab, cured: tuple[Patient, Incident]
) -> None:
    cluster, incident = cured
    [subnet, *_] = cluster.new_subnets().values()
    tags = [
        {"ResourceType": "network-interface", "Tags": [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "other"}]}
    ]
    eni = lab.aws("ec2").create_network_interface(SubnetId=subnet, Description="aws-K8S-i-1", TagSpecifications=tags)
    id_ = eni["NetworkInterface"]["NetworkInterfaceId"]
    try:
        before = dump(cluster)
        ended = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert (ended.status, ended.error) == ("FAILED", "RollbackBlocked")
        assert "cluster other" in ended.cause
        assert id_ in ended.cause
        assert dump(cluster) == before
        assert lab.lock_holder(cluster.vpc_id) is None
    finally:
        lab.aws("ec2").delete_network_interface(NetworkInterfaceId=id_)


def test_given_a_foreign_eniconfig_on_the_block_when_rolled_back_then_nothing_is_touched(
    lab: Lab, cured: tuple[Patient, Incident]
) -> None:
    cluster, incident = cured
    [subnet, *_] = cluster.new_subnets().values()
    manifest = {
        "apiVersion": "crd.k8s.amazonaws.com/v1alpha1",
        "kind": "ENIConfig",
        "metadata": {"name": "theirs"},
        "spec": {"subnet": subnet},
    }
    cluster.api.create(ENICONFIGS, manifest)
    try:
        ended = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert (ended.status, ended.error) == ("FAILED", "RollbackBlocked")
        assert "ENIConfig theirs" in ended.cause
        assert set(cluster.new_subnets().values()) == set(incident.subnets.values())
    finally:
        cluster.api.delete(ENICONFIGS.path(None, "theirs"))


def test_given_a_subnet_that_lost_its_tag_when_rolled_back_then_nothing_is_touched(
    lab: Lab, cured: tuple[Patient, Incident]
) -> None:
    cluster, incident = cured
    [subnet, *_] = cluster.new_subnets().values()
    tag = {"Key": "eks-ip-remediator:incident", "Value": incident.id}
    lab.aws("ec2").delete_tags(Resources=[subnet], Tags=[tag])
    try:
        before = dump(cluster)
        ended = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert (ended.status, ended.error) == ("FAILED", "RollbackBlocked")
        assert f"{subnet} was made by this incident and lost its tags" in ended.cause
        assert dump(cluster) == before
    finally:
        lab.aws("ec2").create_tags(Resources=[subnet], Tags=[tag])


def test_given_a_budget_that_lets_no_pod_go_when_rolled_back_then_it_pauses_and_nodes_are_given_back(
    lab: Lab, cured: tuple[Patient, Incident]
) -> None:
    cluster, incident = cured
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "all", "namespace": "default"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "nginx"}}},
    }
    moved = cluster.moved()
    cluster.api.request("POST", "/apis/policy/v1/namespaces/default/poddisruptionbudgets", body=budget)
    ended = roll_back(lab, incident.id, confirmed=True, evict=True)
    assert (ended.status, ended.error) == ("FAILED", "NotYet")
    assert "disruption budget" in ended.cause
    assert cluster.moved() == moved
    assert [node["spec"].get("unschedulable") for node in dump(cluster)["nodes"].values()] == [None, None]
    assert lab.lock_holder(cluster.vpc_id) is None
