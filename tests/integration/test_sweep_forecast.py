"""A subnet that will be full is cured before the first pod waits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.forecasting.forecast import History, hour_of
from ip_remediator.forecasting.subnet_history import Kept, SubnetHistories
from ip_remediator.incidents.record import Incident
from ip_remediator.snapshot.model_vpc import Subnet
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.sweeps import metrics, sweep
from tests.support.waiting import eventually

FREE = 4


@pytest.fixture(scope="module")
def shrinking(lab: Lab) -> Iterator[Patient]:
    """No pod waits, but each subnet has lost an address an hour for five days, and has four left."""
    with patient(lab, replace(Scenario(), nginx_replicas=4, free_per_subnet=FREE)) as cluster:
        cluster.settle(running=4, stuck=0)
        histories = SubnetHistories(
            lab.stack.servers.session.resource("dynamodb", endpoint_url=lab.stack.servers.aws_url).Table(
                lab.outputs["IncidentsTableName"]
            )
        )
        hour = hour_of(utc_now())
        falling = History({hour - ago: FREE + ago for ago in range(1, 5 * 24)})
        zones = {zone.name: zone.cidr for zone in cluster.seeded.scenario.zones}
        for zone, id_ in cluster.seeded.network.subnets.items():
            histories.write(Subnet(id=id_, zone=zone, cidr=zones[zone]), Kept(falling))
        yield cluster


@pytest.fixture(scope="module")
def cured(lab: Lab, shrinking: Patient) -> tuple[Ended, Incident]:
    report, _ = sweep(lab)
    assert report["signals"] == 2, report
    [arn] = eventually("an execution starts", lambda: lab.executions_of(shrinking.name), seconds=60)
    return lab.end_of(arn), lab.incident_of(arn)


def test_given_a_subnet_that_will_be_full_when_swept_then_it_is_diagnosed_and_cured_before_a_pod_waits(
    shrinking: Patient, cured: tuple[Ended, Incident]
) -> None:
    ended, incident = cured
    assert ended.status == "SUCCEEDED", ended
    assert incident.diagnosis is not None
    assert incident.diagnosis.verdict is Verdict.SUBNET_EXHAUSTED
    assert any("will be full" in fact for fact in incident.diagnosis.evidence)
    assert "will be full at" in incident.signals.excerpt
    assert incident.outcome is Outcome.HEALED
    assert sorted(incident.subnets) == sorted(shrinking.new_subnets())


def test_given_the_cure_when_more_pods_come_than_the_subnets_held_then_none_waits(
    shrinking: Patient, cured: tuple[Ended, Incident]
) -> None:
    shrinking.scale(14)
    shrinking.settle(running=14, stuck=0)
    assert shrinking.moved()


def test_given_the_cure_when_swept_again_then_the_old_subnets_open_nothing(
    lab: Lab, shrinking: Patient, cured: tuple[Ended, Incident]
) -> None:
    report, lines = sweep(lab)
    assert report["signals"] == 0
    subnets = {one["dimensions"].get("SubnetId") for one in metrics(lines, shrinking.name)}
    assert set(shrinking.new_subnets().values()) <= subnets
