"""Failures before the CNI is switched: everything made is removed, and the message says what went wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, Step, StepState
from local.stack.deployment import ROOT
from tests.integration.support.lab import PERMANENT, Ended, Lab
from tests.integration.support.patient import Patient

Fault = dict[str, Any]
WRITER = "eks-ip-remediator-writer"


def refusal(service: str, action: str, error: str, principal: str = "Function") -> Fault:
    """A permanent one. Status 400, so that no denial looks like a missing grant to the tests of the roles."""
    return {
        "service": service,
        "action": action,
        "error": error,
        "status": 400,
        "times": PERMANENT,
        "principal": principal,
    }


def lost(action: str) -> Fault:
    return {"service": "ec2", "action": action, "when": "after", "principal": "NetworkFunction"}


@contextmanager
def rules_of_writer(lab: Lab, verbs: list[str]) -> Iterator[None]:
    """The ClusterRole of the function that writes, cut down to these verbs; as onboarded again afterwards."""
    groups = ("crd.k8s.amazonaws.com", "apiextensions.k8s.io", "apps")
    rules = [{"apiGroups": list(groups), "resources": ["*"], "verbs": verbs}] if verbs else []
    patch = json.dumps([{"op": "replace", "path": "/rules", "value": rules}])
    try:
        lab.stack.kubectl("patch", "clusterrole", WRITER, "--type=json", f"--patch={patch}")
        yield
    finally:
        lab.stack.kubectl("apply", "--filename", str(ROOT / "onboarding" / "rbac.yaml"))


REFUSALS = {
    "the CIDR, over a quota": ([refusal("ec2", "AssociateVpcCidrBlock", "CidrLimitExceeded")], "QuotaReached"),
    "the subnet, not permitted": ([refusal("ec2", "CreateSubnet", "UnauthorizedOperation")], "PermissionDenied"),
    "the route table, gone": (
        [lost("CreateSubnet"), refusal("ec2", "AssociateRouteTable", "InvalidRouteTableID.NotFound")],
        "NotFound",
    ),
    "the network ACL": (
        [
            lost("AssociateVpcCidrBlock"),
            lost("AssociateRouteTable"),
            refusal("ec2", "ReplaceNetworkAclAssociation", "OperationNotPermitted"),
        ],
        "RequestRefused",
    ),
    "the add-on": ([refusal("eks", "UpdateAddon", "InvalidParameterException")], "RequestRefused"),
}


def assert_undone(lab: Lab, sick: Patient, before: dict[str, Any], ended: Ended, incident: Incident) -> None:
    assert (ended.status, incident.outcome) == ("FAILED", Outcome.UNDONE), (ended, incident.failure)
    assert incident.failure is not None
    assert ended.error is not None
    assert ended.error == incident.failure.error
    assert incident.failure.outstanding == "nothing that was made is left"
    assert sick.world() == before
    assert lab.changes(incident.id) == []
    message = lab.message_saying(incident.id, "failed, all changes were undone", ended.error)
    assert lab.buttons(message) == ["run_again"]


# The others walk the same way; `make test-slow` walks it for them as well.
QUICK = ("the subnet, not permitted", "the add-on")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in REFUSALS]
)
def test_given_a_write_that_is_refused_when_remediated_then_nothing_is_left_and_the_message_says_why(
    lab: Lab, sick: Patient, name: str
) -> None:
    faults, error = REFUSALS[name]
    before = sick.world()
    with lab.faults(*faults):
        ended, incident = lab.remediate(sick.name)
    assert_undone(lab, sick, before, ended, incident)
    assert ended.error == error
    action = faults[-1]["action"]
    lab.message_saying(incident.id, error, f"{action}: {faults[-1]['error']}")


@pytest.mark.parametrize(
    "verbs",
    [pytest.param("get list", id="to write"), pytest.param("", id="anything", marks=pytest.mark.slow)],
)
def test_given_rbac_does_not_allow_when_remediated_then_nothing_is_left(lab: Lab, sick: Patient, verbs: str) -> None:
    before = sick.world()
    with rules_of_writer(lab, verbs.split()):
        ended, incident = lab.remediate(sick.name)
    assert_undone(lab, sick, before, ended, incident)
    assert ended.error == "KubernetesDenied"
    lab.message_saying(incident.id, "KubernetesDenied", "eniconfigs.crd.k8s.amazonaws.com")


def test_given_an_undo_that_fails_when_closed_then_what_stands_is_named_and_a_rollback_removes_it(
    lab: Lab, sick: Patient
) -> None:
    before = sick.world()
    refused = [
        refusal("ec2", "AssociateRouteTable", "OperationNotPermitted"),
        refusal("ec2", "DeleteSubnet", "Blocked"),
    ]
    with lab.faults(*refused):
        ended, incident = lab.remediate(sick.name)
    assert (ended.status, incident.outcome) == ("FAILED", Outcome.FAILED)
    assert incident.failure is not None
    assert incident.plan is not None
    assert "AssociateRouteTable: OperationNotPermitted" in incident.failure.message
    assert "DeleteSubnet: Blocked" in incident.failure.message
    assert f"CIDR {incident.plan.block}" in incident.failure.outstanding
    assert lab.ledger.reservation_of(incident.id) is not None
    message = lab.message_saying(incident.id, "failed", f"CIDR {incident.plan.block}")
    assert lab.buttons(message) == ["run_again", "rollback"]
    assert lab.roll_back(incident.id).status == "SUCCEEDED"
    assert sick.world() == before
    lab.message_saying(incident.id, "rolled back")


@pytest.mark.slow
def test_given_an_undo_that_the_cluster_refuses_when_closed_then_nothing_that_an_eniconfig_points_at_is_deleted(
    lab: Lab, sick: Patient
) -> None:
    before = sick.world()
    with rules_of_writer(lab, ["get", "list", "create", "patch"]), lab.faults(*REFUSALS["the add-on"][0]):
        ended, incident = lab.remediate(sick.name)
    assert (ended.status, incident.outcome) == ("FAILED", Outcome.FAILED)
    assert incident.failure is not None
    for standing in ("ENIConfig ap-northeast-2a", "subnet of ap-northeast-2a", "CIDR"):
        assert standing in incident.failure.outstanding
    assert {config["subnet"] for config in sick.eni_configs().values()} <= set(sick.subnets())
    assert lab.ledger.reservation_of(incident.id) is not None
    message = lab.message_saying(incident.id, "failed", "ENIConfig ap-northeast-2a")
    assert "rollback" in lab.buttons(message)
    assert lab.roll_back(incident.id).status == "SUCCEEDED"
    assert sick.world() == before


def test_given_a_zone_that_fails_while_another_ones_subnet_is_being_made_then_that_one_is_removed_as_well(
    lab: Lab, sick: Patient
) -> None:
    # given that one zone's subnet is refused at once, and the other one's is made but takes its time
    before = sick.world()
    refused = {**refusal("ec2", "CreateSubnet", "UnauthorizedOperation"), "times": 1}
    slow = {**refusal("ec2", "AssociateRouteTable", "RequestLimitExceeded"), "times": 6, "status": 503}

    # when it is remediated
    with lab.faults(refused, slow):
        ended, incident = lab.remediate(sick.name)

    # then the undo waited for it, and the failed step is the state's name
    assert_undone(lab, sick, before, ended, incident)
    assert incident.failure is not None
    assert incident.failure.step == "Create the zone's subnet"
    assert incident.steps[Step.CREATE_SUBNETS].state is StepState.FAILED


@pytest.mark.slow
def test_given_throttling_and_lost_answers_when_remediated_then_it_heals_and_makes_nothing_twice(
    lab: Lab, sick: Patient
) -> None:
    """The last test of this cluster. Two throttled calls pass inside the SDK, six need the state machine."""
    writes = ("AssociateVpcCidrBlock", "CreateSubnet", "AssociateRouteTable", "ReplaceNetworkAclAssociation")
    throttled = [{**refusal("ec2", action, "RequestLimitExceeded"), "times": 6, "status": 503} for action in writes]
    reads = {**refusal("eks", "DescribeCluster", "ThrottlingException"), "times": 2}
    with lab.faults(reads, *throttled, *(lost(action) for action in writes)):
        ended, incident = lab.remediate(sick.name)
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.HEALED), (ended, incident.failure)
    assert incident.plan is not None
    assert sick.cidrs() == sorted([sick.seeded.scenario.vpc_cidr, incident.plan.block])
    assert sick.new_subnets() == incident.subnets
    for zone, subnet in sick.new_subnets().items():
        assert sick.subnets()[subnet]["route_table"] == sick.seeded.network.route_tables[zone]
        assert sick.subnets()[subnet]["network_acl"] == sick.seeded.network.network_acls[zone]
    assert len(sick.subnets()) == 4
    assert len(sick.moved()) == 2
