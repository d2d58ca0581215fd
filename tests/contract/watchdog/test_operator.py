"""What an operator ends by hand: never what an execution works on, and always with what stays behind named."""

from __future__ import annotations

import pytest

from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.opening import IncidentOpen, meta_key
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.watchdog.operator import OperatorActions, StillWorkedOn
from tests.contract.watchdog.world import CIDR, CORDON, REMEDIATION, ROLLING_BACK, World

BY, REASON = "arn:aws:iam::1:user/kim", "the function was deleted"


def operator(world: World) -> OperatorActions:
    return OperatorActions(world.watchdog)


# --- close


def test_given_an_execution_that_runs_when_closed_then_it_is_refused_and_nothing_changes(world: World) -> None:
    with pytest.raises(StillWorkedOn, match="execution remediation runs") as refused:
        operator(world).close(world.incident, BY, REASON)
    assert refused.value.execution == REMEDIATION
    assert world.record.open
    assert world.holds_lock()


def test_given_an_ended_execution_when_closed_then_everything_is_given_back_and_the_record_says_who_and_why(
    world: World,
) -> None:
    world.ends(REMEDIATION, "FAILED")
    closed = operator(world).close(world.incident, BY, REASON)
    record = world.record
    assert (record.outcome, closed.was_open, list(closed.standing)) == (Outcome.UNDONE, True, [])
    assert record.failure
    assert record.failure.error == "ClosedByOperator"
    assert record.failure.message == f"{REASON} ({BY})"
    assert not world.holds_lock()
    assert world.incidents.open_incident(record.cluster) is None
    assert world.incident in world.blocks.released


def test_given_changes_that_stand_when_closed_then_they_are_named_and_the_block_stays_reserved(world: World) -> None:
    world.log.intend(CIDR)
    world.log.intend(CORDON)
    world.refuses = True
    world.ends(REMEDIATION, "ABORTED")
    closed = operator(world).close(world.incident, BY, REASON)
    assert world.record.outcome is Outcome.FAILED
    assert [change.target for change in closed.standing] == ["100.64.0.0/22"]
    assert [change.target for change in closed.owed] == ["node-1"]
    assert world.blocks.released == []


def test_given_a_closed_incident_when_closed_again_then_its_outcome_stays_and_what_it_held_is_given_back(
    world: World,
) -> None:
    world.lifecycle.close(world.incident, Outcome.NOT_NEEDED, None)
    world.ends(REMEDIATION, "SUCCEEDED")
    closed = operator(world).close(world.incident, BY, REASON)
    assert (closed.was_open, world.record.outcome, world.record.failure) == (False, Outcome.NOT_NEEDED, None)
    assert not world.holds_lock()


def test_given_a_rollback_that_runs_when_its_incident_is_closed_again_then_it_is_refused(world: World) -> None:
    world.lifecycle.close(world.incident, Outcome.HEALED, None)
    world.ends(REMEDIATION, "SUCCEEDED")
    assert world.incidents.claim(world.record, ROLLING_BACK)
    with pytest.raises(StillWorkedOn, match="execution rollback runs"):
        operator(world).close(world.incident, BY, REASON)


# --- unlock


def test_given_a_holder_at_work_when_looked_up_then_it_is_not_proven_dead(world: World) -> None:
    for holder in (operator(world).lock_holder(world.vpc), operator(world).marker_holder(world.record.cluster)):
        assert holder
        assert (holder.incident, holder.works, holder.proof) == (world.incident, "execution remediation runs", "")


def test_given_a_holder_whose_execution_ended_when_unlocked_then_lock_and_marker_are_free(world: World) -> None:
    world.ends(REMEDIATION, "TIMED_OUT")
    actions, cluster = operator(world), world.record.cluster
    lock, marker = actions.lock_holder(world.vpc), actions.marker_holder(cluster)
    assert lock
    assert marker
    assert lock.proof == marker.proof == "it is open, but its execution has ended"
    actions.unlock_vpc(world.vpc, lock)
    actions.unlock_cluster(cluster, marker)
    assert not world.holds_lock()
    assert actions.lock_holder(world.vpc) is None
    assert actions.marker_holder(cluster) is None


def test_given_a_marker_whose_record_is_missing_when_unlocked_then_the_next_incident_can_be_opened(
    world: World,
) -> None:
    actions, cluster = operator(world), world.record.cluster
    world.incidents._records.transact([world.incidents._records.deleting(meta_key(world.incident))])
    with pytest.raises(IncidentOpen):
        world.incidents.open(cluster, "eu-west-1", Mode.AUTO, "")
    marker = actions.marker_holder(cluster)
    assert marker
    assert (marker.works, marker.proof) == ("", "there is no record of it")
    actions.unlock_cluster(cluster, marker)
    assert world.incidents.open(cluster, "eu-west-1", Mode.AUTO, "")
    assert world.incident not in world.incidents.worked_on()


def test_given_a_lock_that_changed_hands_when_unlocked_then_the_new_holder_keeps_it(world: World) -> None:
    world.ends(REMEDIATION, "ABORTED")
    actions = operator(world)
    dead = actions.lock_holder(world.vpc)
    assert dead
    actions.unlock_vpc(world.vpc, dead)
    VpcLock(world.table, world.clock).acquire(world.vpc, "another")
    actions.unlock_vpc(world.vpc, dead)
    holder = actions.lock_holder(world.vpc)
    assert holder
    assert holder.incident == "another"
