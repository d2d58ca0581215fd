"""The watchdog on a real table: what no execution works on is closed or made resumable, and everything given back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.common.enums import Mode, Outcome, Verdict
from ip_remediator.common.errors import ServiceUnavailable
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.opening import meta_key
from ip_remediator.incidents.record import (
    ApprovalState,
    ChangeKind,
    Rollback,
    RollbackState,
    Step,
    StepState,
)
from ip_remediator.incidents.replacement_record import Replacement, ReplacementState
from ip_remediator.incidents.repository import Incidents
from ip_remediator.node_replacement.workflow import REPLACEMENT, NodeReplacementWorkflow
from ip_remediator.rollback.workflow import ROLLBACK, RollbackWorkflow
from ip_remediator.watchdog.rules import Ending, Looked
from ip_remediator.watchdog.watch import Watchdog
from tests.contract.conftest import Clock, unique
from tests.contract.watchdog.world import CIDR, CORDON, ENDINGS, REMEDIATION, REPLACING, ROLLING_BACK, World


def closed(world: World, outcome: Outcome = Outcome.HEALED) -> None:
    world.log.intend(CIDR)
    world.lifecycle.close(world.incident, outcome, None)
    world.ends(REMEDIATION, "SUCCEEDED")
    world.watchdog.look(world.incident)


# --- Remediations


@pytest.mark.parametrize("status", ENDINGS)
def test_given_an_execution_that_ended_without_closing_when_looked_at_then_it_is_closed_and_all_is_given_back(
    world: World, status: str
) -> None:
    assert world.watchdog.look(world.incident) is Looked.WORKING
    assert world.watchdog.ended(world.ends(REMEDIATION, status), {"cluster": world.record.cluster}) is Looked.SETTLED
    record = world.record
    assert (record.outcome, record.failure and record.failure.error) == (Outcome.UNDONE, "ExecutionEnded")
    assert record.failure
    assert "by the test" in record.failure.message
    assert record.failure.step == Step.ASSOCIATE_CIDR
    assert world.incidents.open_incident(record.cluster) is None
    assert not world.holds_lock()
    assert world.incident in world.blocks.released
    assert not world.is_watched()


def test_given_changes_that_stand_when_its_execution_was_stopped_then_they_are_named_and_the_block_stays(
    world: World,
) -> None:
    world.log.intend(CIDR)
    world.ends(REMEDIATION, "ABORTED")
    assert world.watchdog.sweep()[world.incident] is Looked.SETTLED
    record = world.record
    assert record.failure
    assert (record.outcome, record.failure.outstanding) == (Outcome.FAILED, "still there: CIDR 100.64.0.0/22")
    assert world.blocks.released == []
    assert not world.holds_lock()


def test_given_a_closed_incident_whose_marker_stayed_open_when_looked_at_then_the_next_one_can_be_opened(
    world: World,
) -> None:
    """The write of the outcome was the last that reached DynamoDB."""
    cluster = world.record.cluster
    outcome = {"outcome": Outcome.HEALED.value, "closed_at": world.clock().isoformat()}
    records = world.incidents._records
    records.transact([records.setting({"pk": f"INCIDENT#{world.incident}", "sk": "META"}, outcome)])
    assert world.incidents.open_incident(cluster) == world.incident
    assert world.watchdog.sweep()[world.incident] is Looked.SETTLED
    assert world.incidents.open_incident(cluster) is None
    assert not world.holds_lock()


def test_given_an_incident_that_was_opened_and_never_started_when_looked_at_then_it_is_started_once(
    table: Any, clock: Clock, cluster: str
) -> None:
    incident = Incidents(table, clock).open(cluster, "eu-west-1", Mode.AUTO, "")
    world = World(table, clock, incident, unique("vpc"))
    assert world.watchdog.sweep()[incident] is Looked.STARTING
    clock.advance(minutes=3)
    assert world.watchdog.sweep()[incident] is Looked.STARTED
    assert world.watchdog.sweep()[incident] is Looked.WORKING
    assert (world.started, world.record.execution) == ([incident], REMEDIATION)
    world.ends(REMEDIATION, "FAILED")
    assert world.watchdog.sweep()[incident] is Looked.SETTLED
    assert not world.record.open


def test_given_one_that_cannot_be_looked_at_when_swept_then_the_others_are_and_the_error_is_told(
    world: World, cluster: str
) -> None:
    other = world.incidents.open(unique("other"), "eu-west-1", Mode.AUTO, "", execution="arn:gone")
    world.ends(REMEDIATION, "ABORTED")
    watchdog = Watchdog(world.lifecycle, refusing("arn:gone", world), world.start, world.give_back)
    with pytest.raises(ExceptionGroup, match="could not be looked at"):
        watchdog.sweep()
    assert not world.record.open
    assert world.incidents.get(other).open
    world.ends("arn:gone", "FAILED")
    world.watchdog.look(other)


def refusing(execution: str, world: World) -> Any:
    def ending(asked: str) -> Ending | None:
        if asked == execution:
            raise ServiceUnavailable("DescribeExecution: away")
        return world.endings.get(asked)

    return ending


# --- Rollbacks and replacements


def begin_rollback(world: World, execution: str = ROLLING_BACK) -> None:
    workflow = RollbackWorkflow(ROLLBACK, world.lifecycle, lambda arn: arn not in world.endings, 60)
    workflow.begin({"incident": world.incident, "confirmed": True}, execution)
    rollback = Rollback(state=RollbackState.RUNNING, requested_by="somebody")
    world.incidents.record_rollback(world.record, rollback, StepState.RUNNING, "confirmed")


@pytest.mark.parametrize("status", ENDINGS)
def test_given_a_rollback_that_ended_anyhow_when_looked_at_then_it_is_paused_nodes_are_back_and_it_can_go_on(
    world: World, status: str
) -> None:
    closed(world)
    begin_rollback(world)
    world.log.intend(CORDON)
    assert world.watchdog.look(world.incident) is Looked.WORKING
    assert world.watchdog.ended(world.ends(ROLLING_BACK, status), {"incident": world.incident}) is Looked.SETTLED
    record = world.record
    assert record.rollback
    assert record.failure
    assert record.rollback.state is RollbackState.PAUSED
    assert "what it had changed for the time being is given back" in record.failure.message
    assert world.log.made(ChangeKind.CORDON) == []
    assert not world.holds_lock()
    begin_rollback(world, ROLLING_BACK + "-2")


def test_given_a_cluster_that_does_not_answer_when_looked_at_then_the_cordon_is_named_until_it_is_given_back(
    world: World,
) -> None:
    closed(world)
    begin_rollback(world)
    world.log.intend(CORDON)
    world.refuses = True
    world.ends(ROLLING_BACK, "FAILED")
    assert world.watchdog.look(world.incident) is Looked.LEFT
    assert world.record.failure
    assert "cordon of node node-1" in world.record.failure.outstanding
    assert world.is_watched()
    world.refuses = False
    assert world.watchdog.sweep()[world.incident] is Looked.SETTLED
    assert world.record.failure
    assert "cordon" not in world.record.failure.outstanding


def test_given_a_rollback_that_could_not_note_that_it_began_when_it_has_failed_then_it_can_be_asked_for_again(
    world: World,
) -> None:
    closed(world)
    ended = world.ends(ROLLING_BACK, "FAILED", "Transient")
    world.watchdog.ended(ended, {"incident": world.incident})
    record = world.record
    assert record.rollback
    assert record.rollback.state is RollbackState.PAUSED
    assert record.steps[Step.ROLLBACK].state is StepState.FAILED


@pytest.mark.parametrize("refusal", ["RollbackRunning", "InvalidInput", "IncidentNotFound"])
def test_given_one_that_refused_to_begin_when_it_has_failed_then_the_running_one_is_left_alone(
    world: World, refusal: str
) -> None:
    closed(world)
    begin_rollback(world)
    second = world.ends(ROLLING_BACK + "-2", "FAILED", refusal)
    assert world.watchdog.ended(second, {"incident": world.incident}) is Looked.WORKING
    assert world.record.rollback
    assert world.record.rollback.state is RollbackState.RUNNING
    assert world.holds_lock()


def test_given_a_question_that_is_open_when_its_execution_was_stopped_then_it_has_expired(world: World) -> None:
    closed(world)
    workflow = RollbackWorkflow(ROLLBACK, world.lifecycle, lambda arn: arn not in world.endings, 60)
    workflow.begin({"incident": world.incident}, ROLLING_BACK)
    assessed = Rollback(state=RollbackState.ASSESSED, requested_by="somebody")
    world.incidents.record_rollback(world.record, assessed, StepState.RUNNING, "looked")
    workflow.ask(world.incident, "token", ROLLING_BACK)
    world.watchdog.ended(world.ends(ROLLING_BACK, "ABORTED"), {"incident": world.incident})
    assert world.record.rollback_approval
    assert world.record.rollback_approval.state is ApprovalState.EXPIRED


def test_given_a_replacement_that_was_stopped_when_looked_at_then_it_is_stopped_and_the_node_is_back(
    world: World,
) -> None:
    closed(world, Outcome.PARTLY)
    workflow = NodeReplacementWorkflow(REPLACEMENT, world.lifecycle, lambda _: False, 60)
    workflow.claim(world.record, REPLACING)
    workflow.start(world.record, "somebody", REPLACING)
    running = Replacement(state=ReplacementState.RUNNING, requested_by="somebody", since=datetime.now(UTC))
    world.incidents.record_replacement(world.record, running, StepState.RUNNING, "confirmed")
    world.log.intend(CORDON)
    world.watchdog.ended(world.ends(REPLACING, "ABORTED"), {"incident": world.incident})
    record = world.record
    assert record.replacement
    assert record.replacement.state is ReplacementState.STOPPED
    assert any("was stopped" in reason for reason in record.replacement.stopped)
    assert world.log.made(ChangeKind.CORDON) == []
    assert not world.holds_lock()


def test_given_a_rollback_that_finished_when_looked_at_then_its_record_stays_as_it_is(world: World) -> None:
    closed(world)
    begin_rollback(world)
    [cidr] = world.log.made(ChangeKind.VPC_CIDR)
    world.log.undone(cidr)
    RollbackWorkflow(ROLLBACK, world.lifecycle, lambda _: True, 60).finish(world.incident, ROLLING_BACK)
    assert not world.holds_lock()
    before = world.record
    assert world.watchdog.ended(world.ends(ROLLING_BACK, "SUCCEEDED"), {"incident": world.incident}) is Looked.SETTLED
    assert world.record == before
    assert not world.is_watched()


# --- Events


@pytest.mark.parametrize("document", [None, {}, [], "text", {"incident": "nobody"}, {"cluster": "nobody"}])
def test_given_an_execution_of_no_known_incident_when_it_ends_then_nothing_is_done(world: World, document: Any) -> None:
    assert world.watchdog.ended(world.ends("arn:other", "FAILED"), document) is None
    assert world.record.open


def test_given_another_execution_of_the_cluster_that_was_refused_when_it_ends_then_the_open_incident_goes_on(
    world: World,
) -> None:
    ended = world.ends("arn:second", "FAILED", "IncidentOpen")
    assert world.watchdog.ended(ended, {"cluster": world.record.cluster}) is None
    assert world.record.open


def test_given_a_rollback_that_begins_while_the_end_of_the_remediation_is_looked_at_then_it_keeps_lock_and_place(
    world: World,
) -> None:
    """The record was read before the rollback claimed it."""
    closed(world)
    stale = world.record
    begin_rollback(world)
    world.watchdog._unlock(stale)
    assert world.holds_lock()
    assert not world.incidents.strike_off(stale)
    assert world.is_watched()


def test_given_an_execution_that_was_stopped_when_its_function_may_still_run_then_it_is_looked_at_again(
    world: World,
) -> None:
    closed(world)
    begin_rollback(world)
    stopped = Ending(execution=ROLLING_BACK, status="ABORTED", stopped_at=world.clock())
    world.endings[ROLLING_BACK] = stopped
    assert world.watchdog.look(world.incident) is Looked.LEFT
    late = Rollback(state=RollbackState.ASSESSED, requested_by="somebody")
    world.incidents.record_rollback(world.record, late, StepState.RUNNING, "written by a function that ran on")
    world.clock.advance(seconds=201)
    assert world.watchdog.sweep()[world.incident] is Looked.SETTLED
    assert world.record.rollback
    assert world.record.rollback.state is RollbackState.PAUSED


# --- The run for nodes, after pods have their addresses


def plan_that_leaves_nodes_waiting(world: World) -> None:
    plan = world.record.require_plan().model_copy(update={"nodes_next": ("eu-west-1a",)})
    diagnosis = Diagnosis(verdict=Verdict.SUBNET_EXHAUSTED, summary="")
    world.incidents.complete(world.incident, Step.PLAN, plan=plan, diagnosis=diagnosis)


@pytest.mark.parametrize(("causes", "follows"), [({"subnet_full", "node_launch"}, True), ({"subnet_full"}, False)])
def test_given_a_signal_of_nodes_while_pods_were_healed_when_it_has_ended_then_the_run_for_nodes_starts(
    world: World, causes: set[str], follows: bool
) -> None:
    records, diagnosis = world.incidents._records, Diagnosis(verdict=Verdict.SUBNET_EXHAUSTED, summary="")
    world.incidents.complete(world.incident, Step.DIAGNOSE, diagnosis=diagnosis)
    records.transact([records.setting(meta_key(world.incident), {"signal_causes": causes})])
    closed(world)
    assert bool(world.record.next_incident) is follows


def test_given_a_healed_incident_that_left_nodes_waiting_when_it_has_ended_then_the_run_for_nodes_starts_once(
    world: World,
) -> None:
    plan_that_leaves_nodes_waiting(world)
    closed(world)
    following = world.record.next_incident
    assert following
    assert world.started == [following]
    record = world.incidents.get(following)
    assert (record.cluster, record.mode, record.follows) == (world.record.cluster, world.record.mode, world.incident)
    assert record.signals.causes == ("node_launch",)
    assert record.execution

    world.incidents.close(record, Outcome.NOT_NEEDED)
    world.watchdog.look(world.incident)
    assert world.started == [following]
    assert world.record.next_incident == following


@pytest.mark.parametrize("outcome", [Outcome.PARTLY, Outcome.REJECTED, Outcome.FAILED, Outcome.ROLLED_BACK])
def test_given_an_incident_that_did_not_heal_every_pod_then_no_run_for_nodes_follows(
    world: World, outcome: Outcome
) -> None:
    plan_that_leaves_nodes_waiting(world)
    closed(world, outcome)
    assert world.started == []


def test_given_an_incident_that_follows_another_one_then_none_follows_it(world: World) -> None:
    plan_that_leaves_nodes_waiting(world)
    records = world.incidents._records
    records.transact([records.setting(meta_key(world.incident), {"follows": "earlier"})])
    closed(world)
    assert world.started == []


def test_given_signals_that_opened_another_incident_meanwhile_then_that_one_is_the_next_run(world: World) -> None:
    plan_that_leaves_nodes_waiting(world)
    world.lifecycle.close(world.incident, Outcome.HEALED, None)
    other = world.incidents.open(world.record.cluster, "eu-west-1", Mode.AUTO, "")
    world.ends(REMEDIATION, "SUCCEEDED")
    world.watchdog.look(world.incident)
    assert world.started == []
    assert world.incidents.open_incident(world.record.cluster) == other
