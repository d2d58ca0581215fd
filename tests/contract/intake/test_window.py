"""What becomes of a cluster's signals on DynamoDB: they add up, open an incident, join it, or are stragglers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.common.enums import Mode, Outcome, Verdict
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.record import Rollback, RollbackAssessment, RollbackState, Step, StepState
from ip_remediator.incidents.repository import Incidents
from ip_remediator.intake.window import Joined, SignalWindow
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK, RollbackWorkflow
from ip_remediator.signals.correlation import MAX_COUNTED, MAX_NAMES, MAX_PENDING, Rules
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Signal, Source
from ip_remediator.signals.model import Affected
from tests.contract.conftest import Clock, at_once, briefly, unique
from tests.unit.support.records import PLAN

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws

RULES = Rules(weak_needed=2, window=timedelta(minutes=15), cool_down=timedelta(minutes=15))
Join = Callable[..., Joined]


@pytest.fixture
def incidents(table: Table, clock: Clock) -> Incidents:
    return Incidents(table, clock)


@pytest.fixture
def window(table: Table, clock: Clock) -> SignalWindow:
    return SignalWindow(table, clock, RULES, "eu-west-1", Mode.APPROVE, briefly)


@pytest.fixture
def signal(cluster: str, clock: Clock) -> Callable[..., Signal]:
    """A weak signal of the test's cluster, seen now."""

    def make(**fields: Any) -> Signal:
        seen_at = fields.pop("at", clock.now)
        defaults: dict[str, Any] = {
            "id": unique("signal"),
            "source": Source.KUBERNETES_EVENT,
            "cluster": cluster,
            "cause": Cause.NO_ADDRESS,
            "strength": Strength.WEAK,
            "first_seen": seen_at,
            "last_seen": seen_at,
            "excerpt": "failed to assign an IP address to container",
        }
        return Signal(**(defaults | fields))

    return make


@pytest.fixture
def strong(signal: Callable[..., Signal]) -> Callable[..., Signal]:
    return lambda **fields: signal(cause=Cause.SUBNET_FULL, strength=Strength.STRONG, **fields)


def writes_of(aws: LocalAws) -> list[str]:
    _, calls = aws.control("GET", "/_local/calls")
    return [call["action"] for call in calls if call["action"] != "GetItem"]


# --- Opening


def test_given_one_weak_signal_when_it_arrives_then_it_is_remembered_and_opens_nothing(
    window: SignalWindow, incidents: Incidents, signal: Callable[..., Signal], cluster: str
) -> None:
    assert window.join([signal(pod="default/nginx-1")]) == Joined(None)
    assert incidents.open_incident(cluster) is None


def test_given_weak_signals_of_two_pods_in_batches_of_their_own_then_the_incident_knows_both(
    window: SignalWindow, incidents: Incidents, signal: Callable[..., Signal], clock: Clock
) -> None:
    first = signal(pod="default/nginx-1", node="node-a", zone="eu-west-1a")
    window.join([first])
    clock.advance(minutes=14)
    second = signal(pod="default/nginx-2", node="node-b", zone="eu-west-1b")
    joined = window.join([second])
    assert (joined.opened, joined.start) == (True, True)
    record = incidents.get(str(joined.incident_id))
    assert (record.mode, record.reason) == (Mode.APPROVE, "kubernetes-event: no_address")
    summary = record.signals
    assert (summary.count, summary.causes) == (2, ("no_address",))
    assert summary.pods == ("default/nginx-1", "default/nginx-2")
    assert (summary.nodes, summary.zones) == (("node-a", "node-b"), ("eu-west-1a", "eu-west-1b"))
    assert (summary.first_seen, summary.last_seen) == (first.first_seen, second.last_seen)


def test_given_weak_signals_further_apart_than_the_window_then_they_do_not_add_up(
    window: SignalWindow, signal: Callable[..., Signal], clock: Clock
) -> None:
    window.join([signal(pod="default/nginx-1")])
    clock.advance(minutes=15, seconds=1)
    assert window.join([signal(pod="default/nginx-2")]) == Joined(None)


def test_given_a_late_signal_when_it_arrives_out_of_order_then_its_own_time_counts(
    window: SignalWindow, signal: Callable[..., Signal], clock: Clock
) -> None:
    joined_at = clock.now
    clock.advance(minutes=20)
    window.join([signal(pod="default/nginx-1")])
    clock.advance(minutes=20)
    assert window.join([signal(pod="default/nginx-2", at=joined_at + timedelta(minutes=10))]).opened


def test_given_one_strong_signal_then_it_opens_an_incident_at_once(
    window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal]
) -> None:
    joined = window.join([strong(excerpt="InsufficientFreeAddressesInSubnet")])
    assert joined.opened
    record = incidents.get(str(joined.incident_id))
    assert record.reason == "kubernetes-event: subnet_full"
    assert record.signals.excerpt == "InsufficientFreeAddressesInSubnet"


def test_given_the_same_signal_delivered_again_then_it_does_not_add_up_and_writes_nothing(
    window: SignalWindow, signal: Callable[..., Signal], faults: LocalAws
) -> None:
    once = signal(pod="default/nginx-1")
    window.join([once])
    faults.control("DELETE", "/_local/calls")
    for _ in range(5):
        assert window.join([once, once]) == Joined(None)
    assert writes_of(faults) == []


def test_given_weak_signals_that_meet_on_twenty_threads_then_one_incident_knows_all_of_them(
    window: SignalWindow, incidents: Incidents, signal: Callable[..., Signal]
) -> None:
    signals = [signal(pod=f"default/nginx-{number}") for number in range(20)]
    results = at_once(20, lambda number: window.join([signals[number]]))
    joined = [result for result in results if isinstance(result, Joined)]
    assert len(joined) == 20, results
    [opened] = [one for one in joined if one.opened]
    assert {one.incident_id for one in joined} == {None, opened.incident_id}
    summary = incidents.get(str(opened.incident_id)).signals
    assert (summary.count, len(summary.pods)) == (20, 20)


def test_given_a_noisy_cluster_then_what_is_remembered_stays_small(
    window: SignalWindow, table: Table, signal: Callable[..., Signal], cluster: str, clock: Clock
) -> None:
    for _ in range(4):
        clock.advance(minutes=30)
        window.join([signal(source=Source.ALARM, excerpt="x" * 500) for _ in range(100)])
    item = table.get_item(Key={"pk": f"CLUSTER#{cluster}", "sk": "SIGNALS"})["Item"]
    kept = [Signal.model_validate_json(str(text)) for text in item["signals"]]  # type: ignore[union-attr]
    assert len(kept) == MAX_PENDING
    assert {one.last_seen for one in kept} == {clock.now}
    assert item["ttl"] == int((clock.now + timedelta(days=1)).timestamp())


# --- Joining


def test_given_an_open_incident_when_signals_arrive_then_they_join_it_and_count_once(
    window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal], signal: Callable[..., Signal]
) -> None:
    first = window.join([strong(pod="default/nginx-1")])
    incidents.record_execution(str(first.incident_id), "arn:execution")
    second = signal(pod="default/nginx-2")
    assert window.join([second, second]) == Joined(first.incident_id)
    assert window.join([second]) == Joined(first.incident_id)
    summary = incidents.get(str(first.incident_id)).signals
    assert (summary.count, summary.pods) == (2, ("default/nginx-1", "default/nginx-2"))


def test_given_an_incident_whose_execution_was_not_started_then_the_next_delivery_starts_it(
    window: SignalWindow, strong: Callable[..., Signal]
) -> None:
    once = strong()
    first = window.join([once])
    assert window.join([once]) == Joined(first.incident_id, start=True)


def test_given_a_storm_then_names_and_writes_end_and_nothing_is_lost(
    window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal], faults: LocalAws
) -> None:
    batches = [[strong(pod=f"default/nginx-{batch}-{index}") for index in range(100)] for batch in range(20)]
    result = [window.join(batch) for batch in batches[:5]]
    faults.control("DELETE", "/_local/calls")
    result += [window.join(batch) for batch in batches[5:]]
    assert len({one.incident_id for one in result}) == 1
    assert writes_of(faults) == []
    summary = incidents.get(str(result[0].incident_id)).signals
    assert (summary.count, len(summary.pods)) == (MAX_COUNTED, MAX_NAMES)


def test_given_a_shortage_that_lasts_then_its_last_time_moves_by_the_minute(
    window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal], clock: Clock, faults: LocalAws
) -> None:
    once = strong()
    incident = str(window.join([once]).incident_id)
    faults.control("DELETE", "/_local/calls")
    for _ in range(4):
        clock.advance(seconds=30)
        window.join([once.model_copy(update={"last_seen": clock.now})])
    assert incidents.get(incident).signals.last_seen == once.first_seen + timedelta(minutes=2)
    assert writes_of(faults) == ["UpdateItem"] * 2


def test_given_a_stale_incident_then_signals_open_a_new_one(
    window: SignalWindow, strong: Callable[..., Signal], clock: Clock
) -> None:
    first = window.join([strong()])
    clock.advance(hours=27)
    later = window.join([strong()])
    assert later.opened
    assert later.incident_id != first.incident_id


# --- After an incident


@pytest.fixture
def closed(window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal]) -> str:
    """An incident that has just been closed."""
    id_ = str(window.join([strong()]).incident_id)
    incidents.record_execution(id_, "arn:execution")
    incidents.close(incidents.get(id_), Outcome.HEALED)
    return id_


def test_given_a_signal_from_before_the_close_when_it_arrives_hours_later_then_it_is_a_straggler(
    window: SignalWindow, closed: str, strong: Callable[..., Signal], clock: Clock
) -> None:
    late = strong()
    clock.advance(hours=5)
    assert window.join([late]) == Joined(closed)


def test_given_a_signal_from_the_cool_down_then_it_joins_the_closed_incident_however_strong(
    window: SignalWindow, incidents: Incidents, closed: str, strong: Callable[..., Signal], clock: Clock
) -> None:
    clock.advance(minutes=15)
    assert window.join([strong(pod="default/nginx-9")]) == Joined(closed)
    assert incidents.get(closed).signals.pods == ("default/nginx-9",)


@pytest.fixture
def closed_as(window: SignalWindow, incidents: Incidents, strong: Callable[..., Signal]) -> Callable[..., str]:
    """An incident about pods that has just been closed with this outcome, after a plan for zone a alone."""

    def close(outcome: Outcome) -> str:
        id_ = str(window.join([strong()]).incident_id)
        incidents.record_execution(id_, "arn:execution")
        incidents.complete(id_, Step.DIAGNOSE, diagnosis=Diagnosis(verdict=Verdict.SUBNET_EXHAUSTED, summary=""))
        subnets = tuple(subnet for subnet in PLAN.subnets if subnet.zone == PLAN.subnets[0].zone)
        incidents.complete(id_, Step.PLAN, plan=PLAN.model_copy(update={"subnets": subnets}))
        incidents.close(incidents.get(id_), outcome)
        return id_

    return close


SERVED, OTHER_ZONE = PLAN.subnets[0].zone, "eu-west-1z"
LAUNCH = {"affected": Affected.NODES, "source": Source.AWS_EVENT}


@pytest.mark.parametrize(
    ("outcome", "fields", "opens"),
    [
        (Outcome.HEALED, {"zone": SERVED}, False),
        (Outcome.HEALED, {}, False),
        (Outcome.HEALED, LAUNCH, True),
        (Outcome.HEALED, {"zone": OTHER_ZONE}, True),
        (Outcome.HEALED, {**LAUNCH, "zone": SERVED}, True),
        (Outcome.REJECTED, LAUNCH, False),
        (Outcome.PARTLY, {"zone": OTHER_ZONE}, False),
        (Outcome.NOT_CURABLE, LAUNCH, False),
    ],
)
def test_given_a_closed_incident_about_pods_then_only_what_tells_of_another_shortage_than_it_healed_opens_one(
    window: SignalWindow,
    strong: Callable[..., Signal],
    clock: Clock,
    closed_as: Callable[..., str],
    outcome: Outcome,
    fields: dict[str, Any],
    opens: bool,
) -> None:
    closed = closed_as(outcome)
    clock.advance(minutes=1)
    joined = window.join([strong(**fields)])
    assert joined.opened is opens
    assert (joined.incident_id != closed) is opens


def test_given_nodes_served_right_after_pods_then_stragglers_of_the_pods_still_open_nothing(
    window: SignalWindow,
    incidents: Incidents,
    strong: Callable[..., Signal],
    clock: Clock,
    closed_as: Callable[..., str],
) -> None:
    closed_as(Outcome.HEALED)
    clock.advance(minutes=1)
    second = str(window.join([strong(**LAUNCH)]).incident_id)
    incidents.complete(second, Step.DIAGNOSE, diagnosis=Diagnosis(verdict=Verdict.NODE_LAUNCH, summary=""))
    incidents.close(incidents.get(second), Outcome.HEALED)
    clock.advance(minutes=1)
    assert window.join([strong(zone=SERVED)]) == Joined(second)
    assert window.join([strong(**LAUNCH)]) == Joined(second)
    clock.advance(minutes=15)
    assert window.join([strong(zone=SERVED)]).opened


def test_given_signals_from_after_the_cool_down_then_they_are_a_relapse_by_the_same_rules(
    window: SignalWindow, closed: str, signal: Callable[..., Signal], clock: Clock
) -> None:
    clock.advance(minutes=15, seconds=1)
    assert window.join([signal(pod="default/nginx-1")]) == Joined(None)
    relapse = window.join([signal(pod="default/nginx-2")])
    assert relapse.opened
    assert relapse.incident_id != closed


def test_given_a_straggler_and_a_relapse_in_one_batch_then_each_joins_its_own_incident(
    window: SignalWindow, incidents: Incidents, closed: str, strong: Callable[..., Signal], clock: Clock
) -> None:
    straggler = strong(pod="default/old")
    clock.advance(minutes=16)
    relapse = window.join([straggler, strong(pod="default/new")])
    assert relapse.opened
    assert incidents.get(closed).signals.pods == ("default/old",)
    assert incidents.get(str(relapse.incident_id)).signals.pods == ("default/new",)


def test_given_weak_signals_from_before_an_incident_by_hand_then_they_are_no_relapse_after_it(
    window: SignalWindow, incidents: Incidents, signal: Callable[..., Signal], cluster: str, clock: Clock
) -> None:
    window.join([signal(pod="default/nginx-1")])
    by_hand = incidents.open(cluster, "eu-west-1", Mode.AUTO, "by hand", execution="arn:execution")
    incidents.close(incidents.get(by_hand), Outcome.HEALED)
    clock.advance(minutes=15, seconds=1)
    assert window.join([signal(pod="default/nginx-2")]) == Joined(None)


# --- After a rollback that moved pods


@pytest.fixture
def rolled_back(table: Table, clock: Clock, incidents: Incidents, cluster: str) -> Callable[[int], str]:
    """A healed incident that people rolled back, with so many pods moved off its block."""

    def make(pods: int) -> str:
        lifecycle = Lifecycle(table, Ledger(table, clock), clock)
        incident = incidents.open(cluster, "eu-west-1", Mode.AUTO, "")
        incidents.complete(incident, Step.PLAN, plan=PLAN)
        lifecycle.close(incident, Outcome.HEALED, None)
        assert incidents.claim(incidents.get(incident), "rolling")
        assessed = RollbackAssessment(at=clock(), pods=pods, interfaces=1)
        rollback = Rollback(state=RollbackState.RUNNING, requested_by="U1", assessment=assessed, evict=True)
        incidents.record_rollback(incidents.get(incident), rollback, StepState.RUNNING, "")
        RollbackWorkflow(ROLLBACK, lifecycle, lambda _: True, 60).finish(incident, "rolling")
        return incident

    return make


def test_given_a_rollback_that_moved_pods_then_their_signals_open_nothing_and_a_day_later_people_decide(
    window: SignalWindow,
    incidents: Incidents,
    strong: Callable[..., Signal],
    clock: Clock,
    rolled_back: Callable[[int], str],
) -> None:
    incident = rolled_back(2)
    clock.advance(hours=1)
    joined = window.join([strong(pod="default/nginx-moved")])
    assert joined == Joined(incident)
    record = incidents.get(incident)
    assert "default/nginx-moved" in record.signals.pods
    assert record.rollback is not None
    assert record.rollback.left_alone_until == clock() + timedelta(hours=23)
    clock.advance(hours=24)
    joined = window.join([strong(pod="default/nginx-moved")])
    assert joined.opened
    assert incidents.get(str(joined.incident_id)).after_rollback == incident


def test_given_people_run_again_after_a_rollback_then_later_signals_open_incidents_as_ever(
    window: SignalWindow,
    incidents: Incidents,
    strong: Callable[..., Signal],
    clock: Clock,
    rolled_back: Callable[[int], str],
    cluster: str,
) -> None:
    rolled_back(2)
    again = incidents.open(cluster, "eu-west-1", Mode.AUTO, "by hand")
    incidents.close(incidents.get(again), Outcome.HEALED)
    clock.advance(hours=1)
    joined = window.join([strong()])
    assert joined.opened
    assert incidents.get(str(joined.incident_id)).after_rollback is None


def test_given_a_rollback_that_moved_no_pod_then_signals_open_incidents_as_ever(
    window: SignalWindow, strong: Callable[..., Signal], clock: Clock, rolled_back: Callable[[int], str]
) -> None:
    rolled_back(0)
    clock.advance(hours=1)
    assert window.join([strong()]).opened
