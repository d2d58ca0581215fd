"""What an incident changed, on DynamoDB: written down first, kept through repeats, struck out when undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ip_remediator.clients.aws.dynamodb import ConditionFailed
from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import LockLost, VpcLock
from ip_remediator.provisioning.change_log import ChangeLog
from tests.contract.conftest import Clock, at_once, unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

BEFORE = {"spec": {"subnet": "subnet-a"}, "labels": {}, "annotations": {"note": "kept"}}
ENICONFIG = ChangeMade(kind=ChangeKind.ENICONFIG, target="eu-west-1a", before=BEFORE)
CIDR = ChangeMade(kind=ChangeKind.VPC_CIDR, target="100.64.0.0/22")


@pytest.fixture
def log(table: Table, clock: Clock) -> ChangeLog:
    return ChangeLog(table, clock, unique("incident"))


def stored(log: ChangeLog, kind: ChangeKind | None = None) -> list[ChangeMade]:
    """The changes without what the log says of their records."""
    return [ChangeMade.model_validate_json(change.model_dump_json()) for change in log.made(kind)]


def test_given_changes_then_all_or_those_of_a_kind_are_read_back(log: ChangeLog) -> None:
    log.intend(ENICONFIG)
    log.intend(CIDR)
    assert sorted(change.kind for change in log.made()) == ["eniconfig", "vpc_cidr"]
    assert stored(log, ChangeKind.ENICONFIG) == [ENICONFIG]
    assert log.made(ChangeKind.SUBNET) == []


def test_given_a_repeat_after_a_crash_then_what_was_there_before_the_first_try_is_kept(log: ChangeLog) -> None:
    log.intend(ENICONFIG)
    ours = {**BEFORE, "spec": {"subnet": "subnet-ours"}}
    repeat = log.intend(ENICONFIG.model_copy(update={"before": ours}))
    assert (repeat.repeated, repeat.before) == (True, BEFORE)
    assert stored(log) == [ENICONFIG]


def test_given_twenty_tries_at_once_then_one_record_is_kept_and_all_get_it(log: ChangeLog) -> None:
    results = at_once(20, lambda number: log.intend(CIDR.model_copy(update={"before": {"try": number}})))
    [kept] = log.made()
    assert all(result.before == kept.before for result in results)
    assert [result.repeated for result in results].count(False) == 1


def test_given_an_undone_change_then_it_stands_no_longer_and_the_timeline_tells(
    log: ChangeLog, table: Table, clock: Clock
) -> None:
    recorded = log.intend(CIDR)
    log.intend(ENICONFIG)
    log.undone(recorded)
    log.undone(recorded)
    assert stored(log) == [ENICONFIG]
    entries = Incidents(table, clock).timeline(log.incident)
    assert [(event["what"], event["detail"]) for event in entries] == [("change undone", "CIDR 100.64.0.0/22")]


def test_given_another_incident_then_its_changes_are_not_ours(log: ChangeLog, table: Table, clock: Clock) -> None:
    log.intend(CIDR)
    assert ChangeLog(table, clock, unique("incident")).made() == []


# --- Late writes: a function may still be undoing a change when the next execution makes it again


@pytest.fixture
def undoing(log: ChangeLog, clock: Clock) -> RecordedChange:
    """A change that a function has read, and undoes; then time passes."""
    log.intend(ENICONFIG)
    [read] = log.made()
    clock.advance(seconds=16)
    return read


def test_given_a_change_that_is_made_again_when_a_late_undo_ends_then_it_stands(
    log: ChangeLog, undoing: RecordedChange
) -> None:
    log.intend(ENICONFIG)
    log.undone(undoing)
    assert stored(log) == [ENICONFIG]


def test_given_a_change_that_was_undone_and_is_made_again_when_a_late_undo_ends_then_it_stands(
    log: ChangeLog, undoing: RecordedChange
) -> None:
    log.undone(undoing)
    again = ENICONFIG.model_copy(update={"before": None})
    log.intend(again)
    log.undone(undoing)
    assert stored(log) == [again]


def test_given_a_change_that_is_made_again_when_a_late_undo_notes_its_update_then_the_record_is_the_new_one(
    log: ChangeLog, undoing: RecordedChange
) -> None:
    log.undone(undoing)
    again = log.intend(ENICONFIG.model_copy(update={"before": None}))
    with pytest.raises(ConditionFailed):
        log.amend(undoing.model_copy(update={"after": {"update": "late"}}))
    log.amend(again.model_copy(update={"after": {"update": "own"}}))
    assert [(change.before, change.after) for change in log.made()] == [(None, {"update": "own"})]


def test_given_a_change_that_is_made_again_when_who_made_it_undoes_it_then_it_is_struck_out(
    log: ChangeLog, undoing: RecordedChange
) -> None:
    again = log.intend(ENICONFIG)
    assert again.recorded_at > undoing.recorded_at
    log.undone(again)
    assert log.made() == []


# --- Fencing


def test_given_the_lock_went_to_another_incident_then_no_further_change_is_recorded(table: Table, clock: Clock) -> None:
    vpc, incident = unique("vpc"), unique("incident")
    lock, log = VpcLock(table, clock), ChangeLog(table, clock, incident, vpc)
    with pytest.raises(LockLost, match=f"incident {incident} does not hold the lock of {vpc} any more"):
        log.intend(CIDR)
    lock.acquire(vpc, incident)
    assert not log.intend(CIDR).repeated
    clock.advance(hours=26)
    with pytest.raises(LockLost):
        log.intend(ENICONFIG)
    lock.acquire(vpc, "another")
    with pytest.raises(LockLost):
        log.intend(ENICONFIG)
    assert stored(log) == [CIDR]


def test_given_a_repeat_under_the_lock_then_the_first_record_is_kept(table: Table, clock: Clock) -> None:
    vpc, incident = unique("vpc"), unique("incident")
    VpcLock(table, clock).acquire(vpc, incident)
    log = ChangeLog(table, clock, incident, vpc)
    log.intend(ENICONFIG)
    assert log.intend(ENICONFIG.model_copy(update={"before": None})).before == BEFORE


def test_given_several_at_once_under_the_lock_then_all_are_recorded(table: Table, clock: Clock) -> None:
    """As the zones of a plan: each checks the one lock in its own transaction."""
    vpc, incident = unique("vpc"), unique("incident")
    VpcLock(table, clock).acquire(vpc, incident)
    log = ChangeLog(table, clock, incident, vpc)
    subnets = [ChangeMade(kind=ChangeKind.SUBNET, target=f"zone-{number}") for number in range(6)]
    at_once(6, lambda number: log.intend(subnets[number]))
    assert len(log.made(ChangeKind.SUBNET)) == 6


def test_given_another_execution_of_the_incident_took_the_lock_then_the_earlier_one_records_nothing(
    table: Table, clock: Clock
) -> None:
    vpc, incident = unique("vpc"), unique("incident")
    lock = VpcLock(table, clock)
    earlier, later = (ChangeLog(table, clock, incident, vpc, f"arn:{name}") for name in ("earlier", "later"))
    lock.acquire(vpc, incident, "arn:earlier")
    earlier.intend(CIDR)
    lock.acquire(vpc, incident, "arn:later")
    for change in (CIDR, ENICONFIG):
        with pytest.raises(LockLost):
            earlier.intend(change)
    with pytest.raises(LockLost):
        earlier.require_lock()
    later.intend(ENICONFIG)
    later.require_lock()
    assert {change.kind for change in later.made()} == {ChangeKind.VPC_CIDR, ChangeKind.ENICONFIG}
