"""Modes on clusters that do not stay as they are: each test has one of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.common.tag_names import ACCEPT_RISKS, AUTO_MAX_RISK
from ip_remediator.incidents.record import Step, StepState
from ip_remediator.risks.model import Severity
from local.cluster.scenario_spec import Scenario, Zone
from tests.integration.support.deciding import answer, own_world, question, reject, tagged
from tests.integration.support.lab import Lab
from tests.integration.support.patient import ZONES, Patient, patient

pytestmark = pytest.mark.slow
# A network that sees pods' own addresses, and does not know those of a new range: a high risk.
NOT_TRANSLATED = {"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "192.168.0.0/16"}


def test_given_risks_that_the_cluster_accepts_when_auto_may_take_none_then_it_asks_without_and_goes_on_with_the_tag(
    lab: Lab,
) -> None:
    known_elsewhere = replace(Scenario(), managed_addon=False, cni_environment=NOT_TRANSLATED)
    with patient(lab, known_elsewhere) as cluster:
        cluster.settle(running=8, stuck=2)
        with tagged(lab, cluster, {AUTO_MAX_RISK: "low"}):
            _, asked = reject(lab, lab.start(cluster.name))
        assert asked.plan is not None
        assert asked.approval is not None
        risky = [risk.id for risk in asked.plan.risks if risk.severity > Severity.LOW]
        assert f"mode auto, but the risk {risky[0]} is" in asked.approval.why

        with tagged(lab, cluster, {AUTO_MAX_RISK: "low", ACCEPT_RISKS: " ".join(risky)}):
            ended, incident = lab.remediate(cluster.name)
        assert incident.outcome is Outcome.HEALED, ended
        assert incident.approval is None
        assert incident.steps[Step.APPROVE].state is StepState.SKIPPED
        assert len(cluster.moved()) == 2


def test_given_a_cluster_that_recovers_before_the_click_when_approved_then_nothing_is_changed_and_people_are_told(
    lab: Lab,
) -> None:
    roomy = replace(Scenario(), zones=(Zone(ZONES[0], "10.0.0.0/27"), Zone(ZONES[1], "10.0.1.0/27")))
    with patient(lab, roomy) as cluster:
        cluster.settle(running=8, stuck=2)
        execution = lab.start(cluster.name, mode="approve")
        asked = question(lab, execution)
        free_the_node_subnets(lab, cluster)
        cluster.settle(running=10, stuck=0)
        before = own_world(cluster)

        answer(lab, asked, "approve")

        ended = lab.end_of(execution)
        incident = lab.incident_of(execution)
        assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.NOT_NEEDED)
        assert incident.diagnosis is not None
        assert incident.diagnosis.verdict is Verdict.RECOVERED
        message = lab.message_saying(incident.id, "recovered by itself")
        assert lab.buttons(message) == []
        assert lab.changes(incident.id) == []
        assert lab.ledger.reservation_of(incident.id) is None
        assert own_world(cluster) == {**before, "lock": None}


def free_the_node_subnets(lab: Lab, cluster: Patient) -> None:
    """The ENIs of control plane, NAT and load balancers go away, which took up the addresses."""
    for eni in cluster.interfaces_in(*cluster.seeded.network.subnets.values()):
        if eni["Description"].startswith(("Amazon EKS", "Interface for NAT", "ELB ")):
            lab.aws("ec2").delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
