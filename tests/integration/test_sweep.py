"""The sweep finds pods that wait though nobody tells of them: no exporter, no alarm, no log subscription."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.sweeps import metrics, sweep
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Two pods without an address, of which no exporter and no alarm tells."""
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


@pytest.fixture(scope="module")
def swept(lab: Lab, sick: Patient) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    return sweep(lab)


@pytest.fixture(scope="module")
def healed(lab: Lab, sick: Patient, swept: object) -> tuple[Ended, Incident]:
    [arn] = eventually("an execution starts", lambda: lab.executions_of(sick.name), seconds=60)
    return lab.end_of(arn), lab.incident_of(arn)


def test_given_an_onboarded_cluster_when_swept_then_every_subnet_has_its_metrics(
    sick: Patient, swept: tuple[dict[str, Any], list[dict[str, Any]]]
) -> None:
    report, lines = swept
    assert (report["swept"], report["failed"]) == (1, [])
    *subnets, cluster = metrics(lines, sick.name)
    assert subnets == [
        {
            "dimensions": {"ClusterName": sick.name, "SubnetId": id_, "AvailabilityZone": zone},
            "values": {"FreeAddresses": [0.0], "FreePrefixes": [0.0], "LeakedAddressShare": [0.0]},
        }
        for zone, id_ in sick.seeded.network.subnets.items()
    ]
    assert cluster == {"dimensions": {"ClusterName": sick.name}, "values": {"LeastFreeAddresses": [0.0]}}


def test_given_no_other_source_when_swept_then_the_pods_get_addresses(
    sick: Patient, healed: tuple[Ended, Incident]
) -> None:
    ended, incident = healed
    assert ended.status == "SUCCEEDED", ended
    assert incident.outcome is Outcome.HEALED
    assert len(sick.moved()) == 2
    assert incident.reason.startswith("sweep")


def test_given_a_healed_cluster_when_swept_again_then_nothing_starts(
    lab: Lab, sick: Patient, healed: tuple[Ended, Incident]
) -> None:
    report, _ = sweep(lab)
    assert report["signals"] == 0
    assert len(lab.executions_of(sick.name)) == 1
