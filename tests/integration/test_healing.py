"""From the kubelet's events to running pods, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ip_remediator.domain.incidents import Incident, Outcome, StepState
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.waiting import eventually

pytestmark = pytest.mark.xdist_group("stack")


@pytest.fixture(scope="module")
def calm(lab: Lab) -> Iterator[Patient]:
    """A cluster whose events reach the remediator, with eight pods that have addresses and none without."""
    with patient(lab, replace(Scenario(), nginx_replicas=8), event_bus="default") as cluster:
        cluster.settle(running=8, stuck=0)
        yield cluster


@pytest.fixture(scope="module")
def before(calm: Patient) -> dict[str, Any]:
    return {**calm.world(), "addresses": calm.addresses()}


@pytest.fixture(scope="module")
def healed(lab: Lab, calm: Patient, before: dict[str, Any]) -> tuple[Ended, Incident]:
    """Two more pods than there are addresses: nobody but the cluster's own events starts anything."""
    calm.scale(10)
    [arn] = eventually("an execution starts", lambda: lab.executions_of(calm.name), seconds=60)
    return lab.end_of(arn), lab.incident_of(arn)


def test_given_stuck_pods_when_their_events_arrive_then_they_run_and_the_others_stay(
    calm: Patient, before: dict[str, Any], healed: tuple[Ended, Incident]
) -> None:
    ended, incident = healed
    assert ended.status == "SUCCEEDED", ended
    assert ended.output == {
        "incident": incident.id,
        "cluster": calm.name,
        "outcome": "healed",
        "verdict": "subnet_exhausted",
        "block": incident.plan.block if incident.plan else "",
    }
    assert len(calm.addresses()) == 10
    assert before["addresses"].items() <= calm.addresses().items()
    assert len(calm.moved()) == 2
    homes = {pod["metadata"]["name"]: pod["spec"]["nodeName"] for pod in calm.pods()}
    assert {homes[pod] for pod in calm.moved()} == {node.name for node in calm.seeded.nodes}
