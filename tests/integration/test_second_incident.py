"""The subnets of one remediation fill up as well: a second one extends, and each can be rolled back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from local.cluster import scenario_aws
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
# Per node five pods on the node's own ENI (one CoreDNS each) and five on the first remediation's ENI.
FULL = 18
# A block whose subnets can be filled up in a moment.
SMALL = "100.99.0.0/22"


@dataclass(frozen=True)
class Twice:
    """A cluster that was healed twice, and what it was like before and between."""

    cluster: Patient
    first: Incident
    second: Incident
    before: dict[str, Any]
    between: dict[str, Any]


@pytest.fixture
def twice(lab: Lab) -> Iterator[Twice]:
    # Without a warm ENI, so that each node keeps its third ENI slot for the second remediation.
    scenario = replace(Scenario(), managed_addon=False, cni_environment={"WARM_ENI_TARGET": "0"})
    with patient(lab, scenario, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        before = dump(cluster)
        first = _healed(lab, cluster, block=SMALL)
        _fill(cluster, first)
        cluster.scale(FULL)
        cluster.settle(running=FULL, stuck=0)
        between = dump(cluster)
        cluster.scale(FULL + 2)
        cluster.settle(running=FULL, stuck=2)
        yield Twice(cluster, first, _healed(lab, cluster), before, between)


def test_given_two_incidents_when_the_second_is_rolled_back_then_the_first_is_intact_and_can_follow(
    lab: Lab, twice: Twice
) -> None:
    cluster = twice.cluster
    _extended(twice)
    assert twice.second.plan is not None
    assert twice.second.plan.strategy == "custom-networking-extension"
    moved = set(cluster.moved())
    ended = roll_back(lab, twice.second.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    cluster.settle(running=FULL, stuck=2)
    assert dump(cluster) == twice.between
    assert lab.incidents.get(twice.first.id).outcome is Outcome.HEALED
    assert len(set(cluster.moved()) & moved) >= len(moved) - 2

    _shrink(cluster)
    _empty(cluster, twice.first)
    ended = roll_back(lab, twice.first.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    assert dump(cluster) == twice.before


def test_given_two_incidents_when_the_first_is_rolled_back_then_the_second_is_intact_and_can_follow(
    lab: Lab, twice: Twice
) -> None:
    cluster, first, second = twice.cluster, twice.first, twice.second
    _shrink(cluster)
    _empty(cluster, first)
    ended = roll_back(lab, first.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    # The first one's subnets are gone; what the second one uses of it stays.
    assert not set(first.subnets.values()) & set(cluster.subnets())
    assert lab.incidents.get(first.id).cidr_successor == second.id
    cluster.scale(FULL)
    cluster.settle(running=FULL, stuck=0)
    _extended(twice)

    _shrink(cluster)
    ended = roll_back(lab, second.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    assert dump(cluster) == twice.before


def _healed(lab: Lab, cluster: Patient, **more: str) -> Incident:
    ended, incident = lab.remediate(cluster.name, **more)
    assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
    return incident


def _extended(twice: Twice) -> None:
    """The ENIConfigs point at the second incident's subnets."""
    assert not set(twice.first.subnets.values()) & set(twice.second.subnets.values())
    configs = twice.cluster.eni_configs() or {}
    assert {zone: configs[zone]["subnet"] for zone in twice.second.subnets} == twice.second.subnets
    assert set(twice.second.subnets.values()) <= set(twice.cluster.subnets())


def _shrink(cluster: Patient) -> None:
    cluster.scale(8)
    eventually("only eight pods are left", cluster.pods, lambda pods: len(pods) == 8)


def _fill(cluster: Patient, incident: Incident) -> None:
    """Takes every free address of the incident's subnets."""
    network = replace(cluster.seeded.network, subnets=incident.subnets)
    scenario_aws.fill_subnets(cluster.lab.aws("ec2"), network, cluster.name, 0)


def _empty(cluster: Patient, incident: Incident) -> None:
    """Takes the ENIs away that `_fill` made; those of the CNI stay."""
    for eni in cluster.interfaces_in(*incident.subnets.values()):
        if not eni["Description"].startswith("aws-K8S-"):
            cluster.lab.aws("ec2").delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
