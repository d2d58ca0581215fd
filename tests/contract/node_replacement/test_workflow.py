"""The course of a replacement of nodes in a real table: one at a time, stopped with the reason, finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from ip_remediator.clients.aws.step_functions import execution_arn
from ip_remediator.common.actor import STARTED_BY_HAND
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.errors import ServiceUnavailable
from ip_remediator.incidents.record import Incident, Rollback, RollbackState, Step, StepState
from ip_remediator.incidents.record import Verification as Found
from ip_remediator.incidents.replacement_record import (
    NodeReplacement,
    NodeState,
    Replacement,
    ReplacementState,
    ZoneReplacement,
)
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.incidents.vpc_lock import VpcLock, VpcLocked
from ip_remediator.node_replacement.workflow import (
    REPLACEMENT,
    ClusterBusy,
    NodeReplacementWorkflow,
    ReplacementRunning,
)
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK, RollbackRunning, RollbackWorkflow
from tests.contract.conftest import unique
from tests.unit.support.records import PLAN

ZONE = "eu-west-1a"
NODES = ("n1", "n2")
PDB = "n1: 1 pod still there, being moved; PodDisruptionBudget shop/web (needs 2 healthy pods, has 2) keeps shop/web-1"


@dataclass
class Course:
    """A closed incident that names two nodes."""

    table: Any
    cluster: str
    vpc: str
    incident: str
    running: bool = False

    @property
    def incidents(self) -> Incidents:
        return Incidents(self.table, utc_now)

    @property
    def record(self) -> Incident:
        return self.incidents.get(self.incident)

    @property
    def steps(self) -> NodeReplacementWorkflow:
        ledger: Any = None  # a block is neither taken nor given back
        return NodeReplacementWorkflow(REPLACEMENT, Lifecycle(self.table, ledger, utc_now), lambda _: self.running, 60)

    def begin(self, execution: str = "mine", **more: Any) -> dict[str, Any]:
        return self.steps.begin({"incident": self.incident, **more}, execution)

    def assessed(self) -> None:
        self.begin()
        nodes = tuple(NodeReplacement(name=name, instance=name, host="auto_scaling", owner="g") for name in NODES)
        assessed = Replacement(state=ReplacementState.ASSESSED, requested_by="somebody", since=utc_now())
        zones = {ZONE: ZoneReplacement(nodes=nodes)}
        self.incidents.record_replacement(self.record, assessed, StepState.RUNNING, "looked", zones=zones)

    def lock_is_free(self) -> bool:
        try:
            VpcLock(self.table, utc_now).acquire(self.vpc, "another")
        except VpcLocked:
            return False
        return True


@pytest.fixture
def course(table: Any, cluster: str) -> Course:
    incidents, vpc = Incidents(table, utc_now), unique("vpc")
    incident = incidents.open(cluster, "eu-west-1", Mode.AUTO, "test")
    incidents.complete(incident, Step.PLAN, plan=PLAN.model_copy(update={"vpc_id": vpc}))
    incidents.complete(incident, Step.VERIFY, verification=Found(still_stuck=("shop/web-1",), nodes_to_replace=NODES))
    incidents.close(incidents.get(incident), Outcome.PARTLY)
    return Course(table, cluster, vpc, incident)


def failure(error: str, message: str) -> Caught:
    cause = json.dumps({"errorType": error, "errorMessage": message})
    return Caught.model_validate({"step": "Drain the node", "zone": ZONE, "Error": error, "Cause": cause})


def test_it_begins_with_all_the_named_nodes_or_with_those_asked_for(course: Course) -> None:
    assert course.begin() == {
        "incident": course.incident,
        "nodes": ["n1", "n2"],
        "requested_by": STARTED_BY_HAND,
        "confirmed": False,
        "confirmation_seconds": 3600,
        "continued": False,
        "zones": [],
    }
    assert course.begin(nodes=["n2"], confirmed=True)["nodes"] == ["n2"]
    assert not course.lock_is_free()


@pytest.mark.parametrize(
    ("document", "field"),
    [({"nodes": ["n1", "n9"]}, "n9 need not be replaced"), ({"nodes": []}, "nodes"), ({"evict": True}, "evict")],
)
def test_wrong_input_is_named(course: Course, document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput, match=field):
        course.begin(**document)
    assert course.lock_is_free()


def test_where_no_node_is_named_there_is_nothing_to_replace(course: Course) -> None:
    course.incidents.complete(course.incident, Step.VERIFY, verification=Found())
    with pytest.raises(InvalidInput, match="names no node to replace"):
        course.begin()


def test_not_after_a_rollback_was_begun(course: Course) -> None:
    paused = Rollback(state=RollbackState.PAUSED, requested_by="x")
    course.incidents.record_rollback(course.record, paused, StepState.FAILED, "in the way")
    with pytest.raises(InvalidInput, match="is being rolled back"):
        course.begin()


def test_not_while_the_cluster_has_an_open_incident(course: Course) -> None:
    busy = course.incidents.open(course.cluster, "eu-west-1", Mode.AUTO, "another shortage")
    with pytest.raises(ClusterBusy, match=busy):
        course.begin()


def test_one_execution_at_a_time_replaces_or_rolls_back(course: Course) -> None:
    course.begin("first")
    course.running = True
    with pytest.raises(ReplacementRunning, match="by first"):
        course.begin("second")
    rolling = RollbackWorkflow(ROLLBACK, course.steps.lifecycle, course.steps.is_running, 60)
    made = course.incidents
    made.record_rollback(
        course.record, Rollback(state=RollbackState.CANCELLED, requested_by="x"), StepState.SKIPPED, ""
    )
    with pytest.raises(RollbackRunning, match="has nodes replaced, by first"):
        rolling.begin({"incident": course.incident}, "third")
    assert course.begin("first")["nodes"] == ["n1", "n2"]


def test_a_zone_that_stopped_is_told_and_the_next_run_goes_on(course: Course) -> None:
    course.assessed()
    course.steps.confirm(course.incident, "U1 (ada)")
    ended = course.steps.finish(course.incident, Outcome.PARTLY, [failure("NotYet", PDB)])
    assert ended["failure"] == {"error": "NotYet", "cause": f"{ZONE}: {PDB}"}
    record = course.record
    assert record.replacement is not None
    assert (record.replacement.state, record.replacement.stopped) == (ReplacementState.STOPPED, (f"{ZONE}: {PDB}",))
    assert record.steps[Step.REPLACE_NODES].state is StepState.FAILED
    assert course.lock_is_free()
    VpcLock(course.table, utc_now).release(course.vpc, "another")
    assert course.begin("next")["nodes"] == ["n1", "n2"]


def test_when_every_zone_ended_well_the_outcome_is_revised_and_told(course: Course) -> None:
    course.assessed()
    for node in course.record.replacements[ZONE].nodes:
        progress = course.record.replacements[ZONE]
        done = node.model_copy(update={"state": NodeState.REPLACED})
        course.incidents.record_zone(course.incident, ZONE, progress.with_node(done), f"{node.name}: replaced")
    assert course.steps.finish(course.incident, Outcome.HEALED, [])["failure"] is None
    record = course.record
    assert record.outcome is Outcome.HEALED
    assert record.replacement is not None
    assert record.replacement.state is ReplacementState.DONE
    entries = [(entry["what"], entry["detail"]) for entry in course.incidents.timeline(course.incident)]
    assert ("incident closed", "healed") in entries
    assert entries[-1] == ("replace_nodes done", "2 nodes replaced")
    assert course.lock_is_free()


def test_silence_and_a_stop_before_anything_was_looked_at_give_the_lock_back(course: Course) -> None:
    course.begin()
    course.steps.cancel(course.incident, None)
    assert course.record.steps[Step.REPLACE_NODES].note == "nobody confirmed it, nothing was changed"
    stopped = course.steps.interrupt(course.incident, failure("ReplacementBlocked", "n1: in no Auto Scaling group"))
    assert (stopped.error, stopped.message) == ("ReplacementBlocked", "n1: in no Auto Scaling group")
    assert course.lock_is_free()


@pytest.mark.parametrize("execution", ["second", ""])
def test_an_execution_that_came_too_late_touches_nothing_of_the_first_ones(course: Course, execution: str) -> None:
    # given an execution that waits for its confirmation, and another one that could not begin
    course.assessed()
    course.steps.ask(course.incident, "token", "mine")
    course.running = True
    with pytest.raises(ReplacementRunning):
        course.begin("second")
    before = course.record

    # when it stops, cancels, confirms or finishes all the same
    interrupted = course.steps.interrupt(course.incident, failure("Throttled", "slow down"), execution)
    for act in (
        lambda: course.steps.cancel(course.incident, None, execution),
        lambda: course.steps.confirm(course.incident, None, execution),
        lambda: course.steps.ask(course.incident, "other token", execution),
        lambda: course.steps.finish(course.incident, Outcome.HEALED, [], execution),
    ):
        with pytest.raises(ReplacementRunning, match="is being changed by mine"):
            act()

    # then it says why it ended, and the first one's record, question and lock are as before
    assert interrupted.message == "slow down"
    assert course.record == before
    assert not course.lock_is_free()


def test_an_execution_that_another_follows_while_it_records_its_end_writes_nothing(
    course: Course, monkeypatch: pytest.MonkeyPatch
) -> None:
    course.assessed()
    before = course.record.replacement

    def overtaken(_workflow: NodeReplacementWorkflow, incident: Incident) -> None:
        assert course.incidents.claim(incident, "next")

    monkeypatch.setattr(NodeReplacementWorkflow, "settle", overtaken)
    interrupted = course.steps.interrupt(course.incident, failure("Throttled", "slow down"), "mine")
    assert interrupted.message == "slow down"
    assert (course.record.replacement, course.record.change_execution) == (before, "next")
    assert not course.lock_is_free()


MACHINE = "arn:aws:states:eu-west-1:1:stateMachine:Replacement"


def test_an_execution_hands_its_nodes_over_to_one_other_which_goes_on_without_asking(course: Course) -> None:
    # given an execution whose work goes on
    course.assessed()
    started: dict[str, Any] = {}

    def start(machine: str, name: str, document: Mapping[str, Any]) -> str:
        started[name] = document
        return execution_arn(machine, name)

    # when it hands over, and does so again because the answer was lost
    other = {course.steps.hand_over(course.incident, "mine", MACHINE, start) for _ in range(2)}

    # then there is one other execution, and the incident is its own although the first one still runs
    [arn] = other
    [document] = started.values()
    course.running = True
    begun = course.steps.begin(document, arn)
    assert (begun["continued"], begun["zones"], begun["nodes"]) == (True, [ZONE], [])
    with pytest.raises(ReplacementRunning, match=f"by {arn}"):
        course.steps.confirm(course.incident, None, "mine")
    assert not course.lock_is_free()


def test_an_execution_that_could_not_hand_over_still_has_the_incident(course: Course) -> None:
    course.assessed()

    def start(machine: str, name: str, document: Mapping[str, Any]) -> str:
        raise ServiceUnavailable("StartExecution")

    with pytest.raises(ServiceUnavailable):
        course.steps.hand_over(course.incident, "mine", MACHINE, start)
    assert course.record.change_execution == "mine"


def test_nobody_goes_on_with_anothers_nodes_by_saying_so(course: Course) -> None:
    course.begin("mine")
    with pytest.raises(InvalidInput, match="continues"):
        course.begin("another", continues=True)
    assert course.record.change_execution == "mine"
