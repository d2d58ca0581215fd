"""Every kind of plan when a write is refused or stopped: it is undone, or what stands is told truly."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ip_remediator.domain.incidents import Incident, Outcome
from ip_remediator.domain.policy import KILL_SWITCH
from tests.integration.support.lab import PERMANENT, Ended, Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back
from tests.integration.support.strategies import DISCOVERY, LEAKED, POD_SUBNET, ROOMY, leak, tags_of, theirs
from tests.integration.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def sick(lab: Lab) -> Iterator[Patient]:
    """Eight pods run and two have no address, whatever these tests do."""
    with patient(lab, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def refusal(action: str, error: str = "OperationNotPermitted") -> dict[str, Any]:
    fault = {"service": "ec2", "action": action, "error": error, "status": 400, "times": PERMANENT}
    return {**fault, "principal": "NetworkFunction"}


def assert_undone(lab: Lab, cluster: Patient, before: dict[str, Any], ended: Ended, incident: Incident) -> None:
    assert (ended.status, incident.outcome) == ("FAILED", Outcome.UNDONE), (ended, incident.failure)
    assert incident.failure is not None
    assert incident.failure.stands == "nothing that was made is left"
    assert dump(cluster) == before
    assert lab.changes(incident.id) == []
    assert lab.buttons(lab.message_saying(incident.id, "failed, everything made was removed")) == []


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
            assert f"vpc_cidr {incident.plan.block}" in incident.failure.stands
            refused = roll_back(lab, incident.id, confirmed=True)
            assert (refused.status, refused.error) == ("FAILED", "KillSwitchOn")
    assert roll_back(lab, incident.id, confirmed=True).status == "SUCCEEDED"
    assert dump(sick) == before


def test_given_tags_that_are_refused_when_remediated_then_subnets_of_the_operator_are_as_before(lab: Lab) -> None:
    with patient(lab, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        theirs(cluster, **{POD_SUBNET: cluster.name})
        before = dump(cluster)
        with lab.faults(refusal("CreateTags", "UnauthorizedOperation")):
            ended, incident = lab.remediate(cluster.name, strategy="subnet-discovery")
        assert_undone(lab, cluster, before, ended, incident)
        assert ended.error == "PermissionDenied"

        with lab.faults({"service": "ec2", "action": "CreateTags", "when": "after", "principal": "NetworkFunction"}):
            _, incident = lab.remediate(cluster.name, strategy="subnet-discovery")
        assert incident.outcome is Outcome.HEALED
        assert {tags_of(cluster, subnet)[DISCOVERY] for subnet in incident.subnets.values()} == {"1"}


def test_given_leaked_enis_that_cannot_be_deleted_when_remediated_then_the_message_says_so(lab: Lab) -> None:
    with patient(lab, ROOMY, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        homes = cluster.seeded.network.subnets
        leaked = {zone: leak(cluster, subnet, LEAKED) for zone, subnet in homes.items()}
        with lab.faults(refusal("DeleteNetworkInterface", "UnauthorizedOperation")):
            ended, incident = lab.remediate(cluster.name)
        assert (ended.status, ended.error, incident.outcome) == ("FAILED", "PermissionDenied", Outcome.UNDONE)
        assert lab.changes(incident.id) == []
        assert lab.buttons(lab.message_saying(incident.id, "PermissionDenied", "Delete the leaked ENIs")) == []

        # The answer to a deletion is lost: it is deleted once, and recorded.
        lost = {"service": "ec2", "action": "DeleteNetworkInterface", "when": "after", "principal": "NetworkFunction"}
        with lab.faults(lost):
            _, incident = lab.remediate(cluster.name)
        assert incident.outcome is Outcome.HEALED
        assert incident.plan is not None
        planned = {eni.id for eni in incident.plan.leaked_interfaces}
        assert {change.partition("CHANGE#leaked_eni#")[2] for change in lab.changes(incident.id)} == planned
        assert planned <= {eni for enis in leaked.values() for eni in enis}
