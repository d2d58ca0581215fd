"""One writer per VPC, on DynamoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ip_remediator.incidents.vpc_lock import HELD_FOR, LockLost, VpcLock, VpcLocked
from tests.contract.conftest import Clock, at_once, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table


@pytest.fixture
def lock(table: Table, clock: Clock) -> VpcLock:
    return VpcLock(table, clock)


@pytest.fixture
def vpc() -> str:
    return unique("vpc")


def test_given_a_held_lock_then_others_are_told_who_holds_it_and_the_holder_may_take_it_again(
    lock: VpcLock, vpc: str
) -> None:
    lock.acquire(vpc, "incident-1")
    with pytest.raises(VpcLocked, match=f"{vpc} is being changed by incident incident-1"):
        lock.acquire(vpc, "incident-2")
    lock.acquire(vpc, "incident-1")
    lock.acquire(unique("vpc"), "incident-2")


def test_given_twenty_incidents_at_once_then_one_gets_the_vpc(lock: VpcLock, vpc: str) -> None:
    results = at_once(20, lambda number: lock.acquire(vpc, f"incident-{number}"))
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, VpcLocked) for result in results) == 19


def test_given_a_released_lock_then_another_gets_it_in_the_same_instant(lock: VpcLock, vpc: str) -> None:
    lock.acquire(vpc, "incident-1")
    lock.release(vpc, "incident-1")
    lock.acquire(vpc, "incident-2")


def test_given_somebody_elses_lock_then_releasing_it_changes_nothing(lock: VpcLock, vpc: str) -> None:
    lock.acquire(vpc, "incident-1")
    lock.release(vpc, "incident-2")
    lock.release(unique("vpc"), "incident-2")
    with pytest.raises(VpcLocked):
        lock.acquire(vpc, "incident-2")


def test_given_a_holder_that_never_came_back_then_its_lock_expires(lock: VpcLock, vpc: str, clock: Clock) -> None:
    lock.acquire(vpc, "incident-1")
    clock.advance(seconds=HELD_FOR.total_seconds() - 1)
    with pytest.raises(VpcLocked):
        lock.acquire(vpc, "incident-2")
    clock.advance(seconds=1)
    lock.acquire(vpc, "incident-2")


def test_given_a_lock_that_is_taken_again_then_it_lasts_from_then_on(lock: VpcLock, vpc: str, clock: Clock) -> None:
    lock.acquire(vpc, "incident-1")
    clock.advance(hours=24)
    lock.acquire(vpc, "incident-1")
    clock.advance(hours=24)
    with pytest.raises(VpcLocked):
        lock.acquire(vpc, "incident-2")


REMEDIATION, ROLLBACK = (f"arn:aws:states:eu-west-1:1:execution:{name}:1" for name in ("Remediation", "Rollback"))


def test_given_a_later_execution_of_the_incident_then_the_earlier_one_writes_gives_back_and_releases_nothing(
    lock: VpcLock, vpc: str
) -> None:
    lock.acquire(vpc, "incident-1", REMEDIATION)
    lock.require(vpc, "incident-1", REMEDIATION)
    lock.acquire(vpc, "incident-1", ROLLBACK)
    for check in (lock.require, lock.require_not_superseded):
        with pytest.raises(LockLost, match="execution 1 took the incident over"):
            check(vpc, "incident-1", REMEDIATION)
        check(vpc, "incident-1", ROLLBACK)
        check(vpc, "incident-1", None)  # its execution began before state machines sent it
    lock.release(vpc, "incident-1", execution=REMEDIATION)
    lock.require(vpc, "incident-1", ROLLBACK)
    lock.release(vpc, "incident-1", execution=ROLLBACK)
    assert lock.holder(vpc) is None


def test_given_a_lock_that_is_released_or_expired_then_what_is_temporary_may_still_be_given_back(
    lock: VpcLock, vpc: str, clock: Clock
) -> None:
    lock.acquire(vpc, "incident-1", ROLLBACK)
    clock.advance(seconds=HELD_FOR.total_seconds())
    with pytest.raises(LockLost):
        lock.require(vpc, "incident-1", ROLLBACK)
    lock.require_not_superseded(vpc, "incident-1", REMEDIATION)
    lock.acquire(vpc, "incident-2", ROLLBACK)
    lock.require_not_superseded(vpc, "incident-1", REMEDIATION)
