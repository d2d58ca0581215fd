"""A record that cannot be written stops the run before the next change: nothing is made that no record knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import PermissionDenied, Throttled
from ip_remediator.incidents.record import ChangeKind
from tests.contract.provisioning.cluster_world import SUBNETS, World
from tests.contract.provisioning.test_vpc import BLOCK, ZONE
from tests.contract.provisioning.test_vpc import World as VpcWorld
from tests.contract.provisioning.test_vpc import world as world  # noqa: PLC0414 - a fixture

if TYPE_CHECKING:
    from local.aws.client import LocalAws

pytestmark = pytest.mark.slow

CHANGING = (
    "AssociateVpcCidrBlock",
    "CreateSubnet",
    "AssociateRouteTable",
    "ReplaceNetworkAclAssociation",
    "CreateSubnetCidrReservation",
    "DisassociateVpcCidrBlock",
    "DeleteSubnet",
    "UpdateAddon",
)
REFUSALS = {
    "refused": ({"error": "AccessDeniedException"}, PermissionDenied),
    "throttled": ({"error": "ProvisionedThroughputExceededException"}, Throttled),
}
WRITES = ("PutItem", "TransactWriteItems", "UpdateItem")


def changes_after_refusal(faults: LocalAws) -> list[str]:
    """The changes that were asked for once DynamoDB had refused a write."""
    calls = [(call["action"], call["status"]) for call in faults.calls()]
    refused = next(index for index, (action, status) in enumerate(calls) if action in WRITES and status >= 400)
    return [action for action, _ in calls[refused:] if action in CHANGING]


def each_write_refused(faults: LocalAws, kind: str, act: Callable[[], Any], before: Callable[[], Any]) -> int:
    """Does `act`, after `before`, again and again, each time with the next write of it refused, until none was; how
    many were."""
    fault, error = REFUSALS[kind]
    refused = 0
    for write in WRITES:
        for skip in range(20):
            before()
            faults.control("DELETE", "/_local/calls")
            faults.inject("dynamodb", write, skip=skip, **fault)
            try:
                act()
            except error:
                refused += 1
                assert changes_after_refusal(faults) == []
            else:
                faults.control("DELETE", "/_local/faults")
                break
    return refused


@pytest.mark.parametrize("kind", REFUSALS)
def test_given_a_record_that_cannot_be_written_when_the_vpc_is_changed_then_nothing_more_is_changed(
    world: VpcWorld, faults: LocalAws, kind: str
) -> None:
    def remediate() -> None:
        try:
            world.step.associate_cidr()
            world.step.create_subnet(ZONE)
        finally:
            recorded = {change.target for change in world.log.made()}
            assert (ZONE in recorded) >= bool(world.made())
            assert (BLOCK in recorded) >= (BLOCK in world.vpc.cidrs())

    def undo() -> None:
        world.clock.advance(seconds=61)
        world.step.undo()

    assert each_write_refused(faults, kind, remediate, before=undo) >= 6
    assert each_write_refused(faults, kind, undo, before=lambda: (undo(), remediate())) >= 2
    assert (world.made(), list(world.vpc.cidrs()), world.log.made()) == (set(), ["10.0.0.0/16"], [])


@pytest.mark.parametrize("kind", REFUSALS)
def test_given_a_record_that_cannot_be_written_when_the_cluster_is_changed_then_nothing_more_is_changed(
    configured: World, faults: LocalAws, kind: str
) -> None:
    def remediate() -> None:
        try:
            configured.step.apply_eni_configs()
            configured.step.configure_cni()
        finally:
            recorded = {change.target for change in configured.log.made(ChangeKind.ENICONFIG)}
            assert set(configured.eni_configs()) <= recorded
            assert bool(configured.configuration()) <= bool(configured.log.made(ChangeKind.CNI))

    def undo() -> None:
        configured.step.undo()

    assert each_write_refused(faults, kind, remediate, before=undo) >= 6
    assert each_write_refused(faults, kind, undo, before=lambda: (undo(), remediate())) >= 4
    assert (configured.eni_configs(), configured.configuration()) == ({}, {})
    assert {change.target for change in configured.log.made()} == set(SUBNETS)
