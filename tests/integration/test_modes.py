"""Who decides: modes, tags, limits, windows, the kill switch, and people who approve, reject or say nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from ip_remediator.approvals.daily_limit import DailyLimit
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.tag_names import CHANGE_WINDOW, KILL_SWITCH, MODE, SLACK_CHANNEL
from ip_remediator.incidents.record import ApprovalState, Step
from tests.integration.support.deciding import answer, own_world, question, reject, tagged
from tests.integration.support.lab import PERMANENT, Lab
from tests.integration.support.patient import Patient, patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

KILL_SWITCH_PARAMETER = "/eks-ip-remediator/kill-switch"


@pytest.fixture(scope="module")
def silence(lab: Lab) -> str:
    """An execution whose question nobody will answer, asked before all others: its time runs while they do."""
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        execution = lab.start(cluster.name, mode="approve")
        question(lab, execution)
    return execution


@pytest.fixture(scope="module")
def sick(lab: Lab, silence: str) -> Iterator[Patient]:
    """Two pods without an address. The tests leave it as it is, but for the last one."""
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


@pytest.fixture(scope="module")
def world(sick: Patient) -> dict[str, Any]:
    return own_world(sick)


def test_given_the_tag_observe_when_pods_are_stuck_then_there_is_a_plan_and_nothing_changes(
    lab: Lab, sick: Patient, world: dict[str, Any]
) -> None:
    with tagged(lab, sick, {MODE: "observe"}):
        ended, incident = lab.remediate(sick.name)
    assert (ended.status, incident.outcome, incident.mode) == ("SUCCEEDED", Outcome.OBSERVED, Mode.OBSERVE)
    assert incident.plan is not None
    assert incident.steps[Step.PLAN].note == f"{incident.plan.block}: mode observe: nothing is changed"
    assert lab.ledger.reservation_of(incident.id) is None
    assert own_world(sick) == world


def test_given_a_wrong_mode_in_the_tag_when_asked_in_the_clusters_channel_and_rejected_then_nothing_changes(
    lab: Lab, sick: Patient, world: dict[str, Any]
) -> None:
    with tagged(lab, sick, {MODE: "manual", SLACK_CHANNEL: "platform"}):
        ended, incident = reject(lab, lab.start(sick.name))
    assert (ended.status, incident.outcome, incident.mode) == ("SUCCEEDED", Outcome.REJECTED, Mode.APPROVE)
    assert incident.policy is not None
    assert incident.policy.notes == (
        f"the cluster's tag {MODE} is 'manual': use observe, approve or auto; approve is taken",
    )
    assert {message["channel"] for message in lab.messages(incident.id)} == {"C0PLATFORM"}
    assert lab.ledger.reservation_of(incident.id) is None
    assert own_world(sick) == world


def test_given_mode_auto_when_the_change_window_is_closed_or_the_days_limit_used_up_then_people_are_asked(
    lab: Lab, sick: Patient, world: dict[str, Any]
) -> None:
    other_day = f"{utc_now() + timedelta(days=3):%a}"
    with tagged(lab, sick, {CHANGE_WINDOW: f"{other_day} 00:00-24:00"}):
        _, incident = reject(lab, lab.start(sick.name))
    assert incident.approval is not None
    assert (
        incident.approval.why == f"mode auto, but the change window {other_day} 00:00-24:00 is closed: needs approval"
    )

    per_day = int(lab.stack.parameters["MaxPerVpcPerDay"])
    limit = DailyLimit(lab._table("IncidentsTableName"), utc_now, per_day)
    assert all(limit.use(sick.vpc_id, f"other-{number}") for number in range(per_day))
    assert not limit.use(sick.vpc_id, "one-too-many")
    _, incident = reject(lab, lab.start(sick.name))
    assert incident.approval is not None
    assert f"{per_day} of {per_day} plans of this VPC went ahead without asking today" in incident.approval.why
    assert own_world(sick) == world


@pytest.mark.parametrize("switch", ["tag", "parameter"])
def test_given_the_kill_switch_is_on_when_pods_are_stuck_then_nobody_is_asked_and_nothing_changes(
    lab: Lab, sick: Patient, world: dict[str, Any], switch: str
) -> None:
    with killed(lab) if switch == "parameter" else tagged(lab, sick, {KILL_SWITCH: "on"}):
        _, incident = lab.remediate(sick.name, mode="auto")
    assert incident.outcome is Outcome.OBSERVED
    assert "the kill switch is on" in incident.steps[Step.PLAN].note
    assert own_world(sick) == world


def test_given_a_plan_when_the_world_changes_before_the_click_then_people_are_asked_again(
    lab: Lab, sick: Patient, world: dict[str, Any]
) -> None:
    execution = lab.start(sick.name, mode="approve")
    first = question(lab, execution)
    assert first.plan is not None
    with extra_cidr(lab, sick, "100.127.0.0/16"):
        answer(lab, first, "approve")
        second = question(lab, execution, after=first.approval.id if first.approval else "")
        assert second.plan is not None
        assert second.approval is not None
        assert "the facts changed" in second.approval.why
        assert (first.plan.source, second.plan.source) == ("new-cidr", "existing-cidr")
        answer(lab, second, "reject")
        lab.end_of(execution)
    assert lab.incident_of(execution).outcome is Outcome.REJECTED
    assert lab.ledger.reservation_of(second.id) is None
    assert own_world(sick) == world


def test_given_a_world_that_changes_after_each_approval_when_approved_three_times_then_it_ends_and_says_why(
    lab: Lab, sick: Patient, world: dict[str, Any]
) -> None:
    execution = lab.start(sick.name, mode="approve")
    first = question(lab, execution)
    with extra_cidr(lab, sick, "100.127.0.0/16"):
        answer(lab, first, "approve")
        second = question(lab, execution, after=first.approval.id if first.approval else "")
    answer(lab, second, "approve")
    third = question(lab, execution, after=second.approval.id if second.approval else "")
    with extra_cidr(lab, sick, "100.127.0.0/16"):
        answer(lab, third, "approve")
        ended = lab.end_of(execution)
    incident = lab.incident_of(execution)
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.OBSERVED)
    assert len(lab.task_tokens(incident.id)) == 3
    message = lab.message_saying(incident.id, "the plan changed after each of 3 approvals: nothing is changed")
    assert lab.buttons(message) == ["run_again"]
    assert lab.ledger.reservation_of(incident.id) is None
    assert own_world(sick) == world


def test_given_nobody_answers_then_people_are_reminded_and_silence_is_a_rejection(lab: Lab, silence: str) -> None:
    ended = lab.end_of(silence)
    incident = lab.incident_of(silence)
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.REJECTED)
    assert incident.approval is not None
    assert incident.approval.state is ApprovalState.EXPIRED
    assert incident.approval.reminded_at is not None
    assert incident.slack is not None
    assert incident.approval.asked_at < incident.approval.reminded_at < incident.approval.expires_at
    shown = "".join(str(version) for message in lab.messages(incident.id) for version in message["versions"])
    assert "expires soon" in shown
    messages = lab.slack("GET", "/_control/messages")
    replies = [message for message in messages if message["thread_ts"] == incident.slack.ts]
    assert all(reply["broadcast"] for reply in replies)
    assert "still waits for an answer" in str([reply["versions"] for reply in replies])
    entries = [(entry["what"], entry["by"]) for entry in lab.incidents.timeline(incident.id)]
    questions = [item for item in entries if item[0].startswith("approval")]
    assert questions == [(f"approval {state}", "eks-ip-remediator") for state in ("pending", "reminded", "expired")]
    assert lab.ledger.reservation_of(incident.id) is None
    assert incident.plan is not None
    assert lab.lock_holder(incident.plan.vpc_id) is None


def test_given_an_approved_plan_when_the_kill_switch_goes_on_in_the_middle_then_nothing_more_is_written_or_undone(
    lab: Lab, sick: Patient
) -> None:
    before = sick.cidrs()
    refused = {"service": "ec2", "action": "CreateSubnet", "error": "RequestLimitExceeded", "times": PERMANENT}
    execution = lab.start(sick.name, mode="approve")
    asked = question(lab, execution)
    with lab.faults(refused):
        answer(lab, asked, "approve")
        eventually("the CIDR is there", sick.cidrs, lambda cidrs: len(cidrs) > len(before))
        with killed(lab):
            ended = lab.end_of(execution)
    incident = lab.incident_of(execution)
    assert (ended.status, ended.error, incident.outcome) == ("FAILED", "KillSwitchOn", Outcome.FAILED), ended
    assert ended.cause.startswith("the kill switch is on: set the SSM parameter")
    assert incident.plan is not None
    assert asked.plan is not None
    assert incident.plan.hash == asked.plan.hash
    assert incident.approval is not None
    assert incident.steps[Step.APPROVE].note == f"approved by {incident.approval.decided_by}"
    assert incident.failure is not None
    assert f"CIDR {incident.plan.block}" in incident.failure.outstanding
    assert sick.cidrs() == sorted([*before, str(incident.plan.block)])
    assert sick.new_subnets() == {}
    assert lab.ledger.reservation_of(incident.id) is not None
    assert lab.lock_holder(sick.vpc_id) is None


@contextmanager
def killed(lab: Lab) -> Iterator[None]:
    ssm = lab.aws("ssm")
    ssm.put_parameter(Name=KILL_SWITCH_PARAMETER, Type="String", Value="on", Overwrite=True)
    try:
        yield
    finally:
        ssm.delete_parameter(Name=KILL_SWITCH_PARAMETER)


@contextmanager
def extra_cidr(lab: Lab, cluster: Patient, cidr: str) -> Iterator[None]:
    ec2 = lab.aws("ec2")
    made = ec2.associate_vpc_cidr_block(VpcId=cluster.vpc_id, CidrBlock=cidr)["CidrBlockAssociation"]["AssociationId"]

    def state() -> str:
        vpc = ec2.describe_vpcs(VpcIds=[cluster.vpc_id])["Vpcs"][0]
        states = {item["AssociationId"]: item["CidrBlockState"]["State"] for item in vpc["CidrBlockAssociationSet"]}
        return str(states[made])

    try:
        eventually("the CIDR is associated", state, lambda status: status == "associated")
        yield
    finally:
        ec2.disassociate_vpc_cidr_block(AssociationId=made)
        eventually("the CIDR is gone", cluster.cidrs, lambda cidrs: cidr not in cidrs)
