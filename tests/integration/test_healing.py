"""From the kubelet's events to running pods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, Step, StepState
from ip_remediator.incidents.timeline import StageEvent
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.support.waiting import eventually


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


def test_given_many_events_when_one_incident_is_healed_then_one_execution_has_run(
    lab: Lab, calm: Patient, healed: tuple[Ended, Incident]
) -> None:
    _, incident = healed
    assert incident.signals.count > 2
    assert lab.executions_of(calm.name) == [incident.execution]
    events = [call for call in lab.calls() if call["action"] == "PutEvents"]
    assert len(events) > len(lab.executions_of(calm.name))


def test_given_the_incident_is_healed_then_ec2_has_what_was_planned_and_nothing_else(
    calm: Patient, before: dict[str, Any], healed: tuple[Ended, Incident]
) -> None:
    _, incident = healed
    assert incident.plan is not None
    assert calm.cidrs() == sorted([*before["cidrs"], incident.plan.block])
    after = calm.subnets()
    assert before["subnets"].items() <= after.items()
    made = {id_: subnet for id_, subnet in after.items() if id_ not in before["subnets"]}
    assert {subnet["zone"]: id_ for id_, subnet in made.items()} == incident.subnets
    assert sorted(incident.subnets) == sorted(ZONES)
    for id_, subnet in made.items():
        zone = subnet["zone"]
        assert subnet["cidr"] in {planned.cidr for planned in incident.plan.subnets if planned.zone == zone}
        assert subnet["route_table"] == calm.seeded.network.route_tables[zone]
        assert subnet["network_acl"] == calm.seeded.network.network_acls[zone]
        assert subnet["tags"] == {
            "Name": f"eks-pods-{calm.name}-{zone}",
            "eks-ip-remediator:stack": "eks-ip-remediator",
            "eks-ip-remediator:incident": incident.id,
            "eks-ip-remediator:cluster": calm.name,
        }
        [address] = [address for pod, address in calm.moved().items() if _zone_of(calm, pod) == zone]
        addresses = [item["PrivateIpAddress"] for eni in calm.interfaces_in(id_) for item in eni["PrivateIpAddresses"]]
        assert address in addresses


def test_given_the_incident_is_healed_then_kubernetes_has_custom_networking(
    calm: Patient, before: dict[str, Any], healed: tuple[Ended, Incident]
) -> None:
    _, incident = healed
    assert calm.eni_configs() == {zone: {"subnet": subnet} for zone, subnet in incident.subnets.items()}
    switched = {
        "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true",
        "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone",
    }
    assert calm.cni_environment() == {**before["cni"], **switched}
    assert json.loads(calm.addon_configuration() or "{}")["env"] == switched
    daemonset = calm.aws_node()
    assert daemonset["metadata"]["generation"] > 1
    assert daemonset["status"]["updatedNumberScheduled"] == daemonset["status"]["desiredNumberScheduled"] == 2


def test_given_the_incident_is_healed_then_record_ledger_and_bus_tell_so(
    lab: Lab, calm: Patient, healed: tuple[Ended, Incident]
) -> None:
    _, incident = healed
    assert incident.plan is not None
    assert incident.verification is not None
    assert (incident.outcome, incident.failure) == (Outcome.HEALED, None)
    assert {step: result.state for step, result in incident.steps.items()} == {
        Step.DIAGNOSE: StepState.DONE,
        Step.PLAN: StepState.DONE,
        Step.APPROVE: StepState.SKIPPED,
        Step.ASSOCIATE_CIDR: StepState.DONE,
        Step.CREATE_SUBNETS: StepState.DONE,
        Step.APPLY_ENICONFIGS: StepState.DONE,
        Step.CONFIGURE_CNI: StepState.DONE,
        Step.VERIFY: StepState.DONE,
    }
    assert {pod.name: pod.address for pod in incident.verification.healed} == calm.moved()
    titles = [event["what"] for event in lab.incidents.timeline(incident.id)]
    assert titles[0] == "incident opened"
    assert titles[-1] == "incident closed"
    assert {"diagnose done", "plan done", "configure_cni done", "verify done"} <= set(titles)
    reservation = lab.ledger.reservation_of(incident.id)
    assert reservation is not None
    assert str(reservation.block) == incident.plan.block
    assert lab.lock_holder(calm.vpc_id) is None


def test_given_the_incident_is_healed_then_the_bus_has_an_event_for_each_entry_of_its_timeline(
    lab: Lab, healed: tuple[Ended, Incident]
) -> None:
    ended, incident = healed
    timeline = lab.incidents.timeline(incident.id)
    events = eventually(
        "the bus tells all", lambda: lab.events_of(incident.id), lambda received: len(received) >= len(timeline)
    )
    details = [StageEvent.model_validate(event["detail"]) for event in events]
    assert [(detail.title, detail.by, detail.detail) for detail in details] == [
        (entry["what"], entry["by"], entry["detail"]) for entry in timeline
    ]
    assert {detail.cluster for detail in details} == {incident.cluster}
    assert events[-1]["detail-type"] == "Incident closed"
    assert ended.output is not None
    assert {name: events[-1]["detail"][name] for name in ("outcome", "verdict", "block", "cluster", "incident")} == {
        name: ended.output[name] for name in ("outcome", "verdict", "block", "cluster", "incident")
    }


def test_given_the_incident_is_healed_then_one_message_in_slack_has_followed_it(
    lab: Lab, healed: tuple[Ended, Incident]
) -> None:
    _, incident = healed
    message = lab.message_saying(incident.id, "healed")
    working = [version["text"] for version in message["versions"] if "healed" not in version["text"]]
    ticked = [text.count(":white_check_mark:") for text in working]
    assert len(set(ticked)) > 3
    assert ticked == sorted(ticked)
    for pod in incident.verification.healed if incident.verification else ():
        assert pod.name in message["text"]
    assert lab.buttons(message) == ["rollback"]


def _zone_of(cluster: Patient, pod: str) -> str:
    [node] = [one["spec"]["nodeName"] for one in cluster.pods() if one["metadata"]["name"] == pod]
    return next(seeded.zone for seeded in cluster.seeded.nodes if seeded.name == node)
