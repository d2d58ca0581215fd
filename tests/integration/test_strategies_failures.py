"""Every kind of plan when a write is refused or stopped: it is undone, or what stands is told truly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.common.tag_names import KILL_SWITCH
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back
from tests.integration.support.strategies import assert_undone, refusal
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Eight pods run and two have no address, whatever these tests do."""
    with patient(lab, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


@contextmanager
def tag(lab: Lab, cluster: Patient, key: str, value: str) -> Iterator[None]:
    """A tag of the EKS cluster."""
    arn = lab.aws("eks").describe_cluster(name=cluster.name)["cluster"]["arn"]
    lab.aws("eks").tag_resource(resourceArn=arn, tags={key: value})
    try:
        yield
    finally:
        lab.aws("eks").untag_resource(resourceArn=arn, tagKeys=[key])


@pytest.mark.parametrize("strategy", ["subnet-discovery", "node-group"])
@pytest.mark.parametrize("action", ["AssociateVpcCidrBlock", "CreateSubnet", "ReplaceNetworkAclAssociation"])
def test_given_a_refused_write_when_remediated_then_nothing_is_left(
    lab: Lab, sick: Patient, strategy: str, action: str
) -> None:
    before = dump(sick)
    with lab.faults(refusal(action)):
        ended, incident = lab.remediate(sick.name, strategy=strategy)
    assert_undone(lab, sick, before, ended, incident)
    assert ended.error == "RequestRefused"
    lab.message_saying(incident.id, f"{action}: OperationNotPermitted")


def test_given_the_kill_switch_between_two_steps_when_remediated_then_all_stays_until_it_is_rolled_back(
    lab: Lab, sick: Patient
) -> None:
    before = dump(sick)
    cidrs = sick.cidrs()
    # As if EC2 were not ready for the subnets: the state machine asks again, and by then the switch is on.
    with lab.faults(refusal("CreateSubnet", "DependencyViolation")):
        execution = lab.start(sick.name, strategy="subnet-discovery")
        eventually("the CIDR is added", sick.cidrs, lambda now: now != cidrs)
        with tag(lab, sick, KILL_SWITCH, "on"):
            ended = lab.end_of(execution)
            incident = lab.incident_of(execution)
            assert (ended.status, ended.error, incident.outcome) == ("FAILED", "KillSwitchOn", Outcome.FAILED)
            assert incident.plan is not None
            assert incident.failure is not None
            assert f"CIDR {incident.plan.block}" in incident.failure.outstanding
            refused = roll_back(lab, incident.id, confirmed=True)
            assert (refused.status, refused.error) == ("FAILED", "KillSwitchOn")
    assert roll_back(lab, incident.id, confirmed=True).status == "SUCCEEDED"
    assert dump(sick) == before
