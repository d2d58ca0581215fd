"""Runs by hand: what may be asked for, what is refused by name, and the dry run that touches nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState
from ip_remediator.planning.model import Plan
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Two pods without an address, which the tests of this module leave so."""
    with patient(lab, replace(Scenario(), managed_addon=False)) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def run(lab: Lab, document: Any) -> Ended:
    machine = lab.outputs["RemediationStateMachineArn"]
    started = lab.aws("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(document))
    return lab.end_of(started["executionArn"])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "field 'cluster': is missing"),
        ({"cluster": "prod", "incident": "prod-20261123-080025-2fd151"}, "field 'incident': is not known"),
        ({"cluster": "not a name"}, "field 'cluster'"),
        ({"cluster": "prod", "mode": "yolo"}, "field 'mode': must be 'observe', 'approve' or 'auto', not \"yolo\""),
        ({"cluster": "prod", "clutser": "x"}, "field 'clutser': is not known"),
        ({"cluster": "prod", "block": "100.64.0.1/20"}, "field 'block'"),
        ({"cluster": "prod", "block": "100.64.0.0/12"}, "must be a /16 to /28"),
        ({"cluster": "prod", "zones": []}, "field 'zones'"),
        ({"cluster": "prod", "zones": ["A zone"]}, "field 'zones.0'"),
        ({"cluster": "prod", "strategy": "sorcery"}, 'not "sorcery"'),
        ({"cluster": "prod", "dry_run": "maybe"}, "field 'dry_run': must be true or false, not \"maybe\""),
    ],
)
def test_given_wrong_input_when_started_then_the_error_names_the_field_and_what_it_may_be(
    lab: Lab, document: dict[str, Any], words: str
) -> None:
    ended = run(lab, document)
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    assert words in ended.cause
    assert "the input may have: cluster, mode, reason, block, zones, strategy, dry_run" in ended.cause


def test_given_a_dry_run_when_it_ends_then_the_plan_is_complete_and_nothing_was_touched(
    lab: Lab, sick: Patient
) -> None:
    before = sick.world()
    ended = run(lab, {"cluster": sick.name, "dry_run": True, "mode": "auto", "reason": "what would it do?"})
    incident = lab.incident_of(ended.arn)
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.OBSERVED)
    assert ended.output is not None
    plan = Plan.model_validate(ended.output["plan"])
    assert plan == incident.plan
    assert [change.action for change in plan.changes] == [
        "associate_cidr",
        "create_subnet",
        "create_subnet",
        "apply_eniconfig",
        "apply_eniconfig",
        "configure_cni",
    ]
    lab.message_saying(incident.id, plan.block, "nothing was changed")
    assert sick.world() == before


def test_given_a_block_when_the_run_plans_then_it_is_that_block(lab: Lab, sick: Patient) -> None:
    before = sick.world()
    ended = run(lab, {"cluster": sick.name, "dry_run": True, "block": "100.99.0.0/22", "zones": list(ZONES)})
    assert ended.output is not None
    plan = Plan.model_validate(ended.output["plan"])
    assert plan.block == "100.99.0.0/22"
    assert {subnet.zone: subnet.cidr for subnet in plan.subnets} == {
        ZONES[0]: "100.99.0.0/24",
        ZONES[1]: "100.99.1.0/24",
    }
    assert sick.world() == before


@pytest.mark.parametrize(
    ("run_request", "words"),
    [
        ({"zones": [ZONES[0]]}, "field 'zones': custom networking is turned on by this run, for the whole cluster: "),
        ({"zones": ["ap-northeast-2d"]}, "field 'zones': the cluster has no nodes in ap-northeast-2d; it has some in"),
        ({"block": "10.0.0.0/20"}, "field 'block'"),
        ({"block": "192.168.0.0/20"}, "field 'block'"),
        ({"block": "100.99.0.0/28"}, "field 'block': 100.99.0.0/28 cannot be split into 2 subnets"),
    ],
)
def test_given_what_the_cluster_cannot_have_when_planned_then_the_run_fails_by_the_fields_name(
    lab: Lab, sick: Patient, run_request: dict[str, Any], words: str
) -> None:
    before = sick.world()
    ended = run(lab, {"cluster": sick.name, **run_request})
    incident = lab.incident_of(ended.arn)
    assert (ended.status, ended.error, incident.outcome) == ("FAILED", "InvalidInput", Outcome.UNDONE), ended
    assert ended.cause.startswith(words)
    assert incident.failure is not None
    assert incident.failure.outstanding == "nothing that was made is left"
    assert sick.world() == before


def test_given_an_open_incident_when_another_run_starts_then_it_is_refused_by_the_incidents_name(
    lab: Lab, sick: Patient
) -> None:
    first = lab.start(sick.name, mode="approve")
    incident = eventually("people are asked", lambda: _asked(lab, first))
    second = run(lab, {"cluster": sick.name})
    assert (second.status, second.error) == ("FAILED", "IncidentOpen")
    assert second.cause == f"cluster {sick.name} has an open incident: {incident}"
    lab.click(lab.message_saying(incident, "If nobody answers"), "reject")
    assert lab.end_of(first).status == "SUCCEEDED"


def _asked(lab: Lab, execution: str) -> str:
    with suppress(ValueError):
        incident = lab.incident_of(execution)
        if incident.approval and incident.approval.state is ApprovalState.PENDING and lab.messages(incident.id):
            return incident.id
    return ""
