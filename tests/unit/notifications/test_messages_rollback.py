"""What people read and may press while an incident is rolled back."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.change_record import ChangeKind
from ip_remediator.incidents.record import (
    ApprovalState,
    Failure,
    HangingPods,
    Incident,
    Rollback,
    RollbackAssessment,
    RollbackState,
    Step,
    StepState,
)
from ip_remediator.notifications.messages.message import render
from ip_remediator.signals.correlation import SignalSummary
from tests.unit.notifications.test_messages import assert_shows, buttons, texts
from tests.unit.support.records import MADE, OPENED, PLAN, approval, healed, steps

ASKED_BY = "U0000ONCALL (on-call)"
PODS = ("default/nginx-1", "default/nginx-2")


def rolling(state: RollbackState, *, pods: tuple[str, ...] = PODS, number: int = 2, **fields: Any) -> Incident:
    """A healed incident whose rollback was assessed and is now in `state`; `fields` are the record's."""
    assessment = RollbackAssessment(
        at=OPENED, pods=number, pod_names=pods, interfaces=2, notes=("a warm ENI stays on ip-10-0-0-4",)
    )
    defaults: dict[str, Any] = {
        "rollback": Rollback(state=state, requested_by=ASKED_BY, assessment=assessment),
        "steps": steps(*MADE, rollback=StepState.RUNNING),
    }
    return healed(**(defaults | fields))


def question(**fields: Any) -> Incident:
    return rolling(RollbackState.ASSESSED, rollback_approval=approval(), **fields)


def confirmation(record: Incident, action: str) -> str:
    return str(buttons(record)[action]["confirm"]["text"]["text"])


def test_the_answer_to_an_earlier_question_is_not_told_as_that_of_a_rollback_confirmed_by_its_start():
    earlier = approval(state=ApprovalState.APPROVED, decided_at=OPENED, decided_by="U1 (yesterday)")
    earlier = earlier.model_copy(update={"asked_at": OPENED - timedelta(days=1)})
    shown = texts(render(rolling(RollbackState.RUNNING, rollback_approval=earlier)))

    assert "U1 (yesterday)" not in shown
    assert "*Confirmed*  when it was started" in shown


def test_who_confirmed_is_told_when_all_is_done_too():
    answer = approval(state=ApprovalState.APPROVED, decided_at=OPENED, decided_by="U1 (lead)")
    record = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK, rollback_approval=answer)

    assert "*Confirmed*  by U1 (lead)" in texts(render(record))


def test_while_it_is_looked_at_nothing_can_be_pressed():
    record = healed(
        rollback=Rollback(state=RollbackState.ASSESSED, requested_by=ASKED_BY),
        steps=steps(*MADE, rollback=StepState.RUNNING),
    )

    assert "Checking what is using `100.64.0.0/22`; nothing has changed yet" in texts(render(record))
    assert buttons(record) == {}


def test_the_question_names_pods_enis_notes_and_what_silence_means():
    shown = assert_shows(
        question(),
        "Roll back? It waits for your confirmation",
        "*Asked for*  by @U0000ONCALL",
        "*Found*  `100.64.0.0/22`: 2 pods have addresses of its subnets, which hold 2 ENIs",
        "• `default/nginx-1`, `default/nginx-2`",
        "• a warm ENI stays on ip-10-0-0-4",
        "*If nobody answers*  by 2026-03-01 11:00 UTC, nothing is changed",
    )
    assert "are running" not in shown


def test_with_pods_in_the_block_people_choose_whether_they_are_evicted():
    record = question()

    assert set(buttons(record)) == {"rollback_confirm", "rollback_confirm_evict", "rollback_cancel"}
    for button in buttons(record).values():
        assert json.loads(button["value"]) == {"approval": "Zk3-x_9"}
    wait, evict = confirmation(record, "rollback_confirm"), confirmation(record, "rollback_confirm_evict")
    assert "100.64.0.0/22: 2 pods have addresses of its subnets, which hold 2 ENIs." in wait
    assert "No pod is moved" in wait
    assert "2 pods will be evicted" in evict
    assert "disruption budgets" in evict
    assert "confirm" not in buttons(record)["rollback_cancel"]


@pytest.mark.parametrize(
    ("standing", "sentence"),
    [
        ((ChangeKind.VPC_CIDR,), "CIDR is deleted."),
        ((ChangeKind.VPC_CIDR, ChangeKind.SUBNET), "subnets and CIDR are deleted."),
        ((ChangeKind.CNI,), "CNI settings are restored."),
        ((ChangeKind.CRD,), ""),
        (None, "ENIConfigs and CNI settings are restored; then subnets and CIDR are deleted."),
    ],
)
def test_given_a_failed_run_when_it_is_rolled_back_then_only_what_stands_is_named(
    standing: tuple[ChangeKind, ...] | None, sentence: str
):
    record = question(pods=(), number=0, outcome=Outcome.FAILED, verification=None)
    assert record.rollback
    assert record.rollback.assessment
    assessment = record.rollback.assessment.model_copy(update={"standing": standing})
    rollback = record.rollback.model_copy(update={"assessment": assessment})

    record = record.model_copy(update={"rollback": rollback})
    assert confirmation(record, "rollback_confirm").partition("ENIs.")[2].strip() == sentence

    done = rollback.model_copy(update={"state": RollbackState.DONE})
    shown = texts(render(record.model_copy(update={"rollback": done, "outcome": Outcome.ROLLED_BACK})))
    assert ("ENIConfigs and CNI settings restored" in shown) is (standing is None)


def test_without_pods_in_the_block_there_is_nobody_to_evict():
    record = question(pods=(), number=0)

    assert set(buttons(record)) == {"rollback_confirm", "rollback_cancel"}
    assert buttons(record)["rollback_confirm"]["text"]["text"] == "Roll back"
    assert "no pod has an address of its subnets" in texts(render(record))


def test_one_pod_is_told_as_one():
    shown = texts(render(question(pods=PODS[:1], number=1)))

    assert "1 pod has an address of its subnets" in shown


def test_pods_beyond_the_first_are_counted():
    assert "`default/nginx-2` and 998 more" in texts(render(question(number=1000)))


@pytest.mark.parametrize(("evict", "pace"), [(True, "pods are evicted"), (False, "no pod is moved")])
def test_a_running_rollback_says_who_confirmed_and_whether_pods_are_moved(pace: str, *, evict: bool):
    record = rolling(RollbackState.RUNNING)
    assert record.rollback is not None
    record = record.model_copy(
        update={
            "rollback": record.rollback.model_copy(update={"evict": evict}),
            "rollback_approval": approval(ApprovalState.APPROVED, decided_by=ASKED_BY, decided_at=OPENED),
        }
    )

    shown = texts(render(record))

    assert ":rewind: prod: rolling back" in shown
    assert "*Confirmed*  by @U0000ONCALL, 2026-03-01 10:00 UTC" in shown
    assert f":hourglass_flowing_sand: {pace}" in shown
    assert buttons(record) == {}


def test_a_paused_rollback_says_what_is_in_the_way_and_can_be_pressed_again():
    record = rolling(
        RollbackState.PAUSED,
        steps=steps(*MADE, rollback=StepState.FAILED),
        failure=Failure(
            step=Step.ROLLBACK, error="StillInUse", message="subnet-0cc holds 1 ENI", outstanding="a subnet"
        ),
    )

    shown = texts(render(record))

    assert ":warning: prod: the rollback stopped" in shown
    assert ":x: Roll back: StillInUse" in shown
    assert "`subnet-0cc holds 1 ENI`" in shown
    assert "it continues where it stopped" in shown
    assert "the execution's history" not in shown
    assert set(buttons(record)) == {"rollback"}


def test_what_forbids_a_rollback_is_told():
    record = rolling(RollbackState.PAUSED)
    assert record.rollback is not None
    assert record.rollback.assessment is not None
    assessment = record.rollback.assessment.model_copy(update={"in_the_way": ("ENIConfig other uses subnet-0cc",)})
    record = record.model_copy(update={"rollback": record.rollback.model_copy(update={"assessment": assessment})})

    assert ":x: ENIConfig other uses subnet-0cc" in texts(render(record))


def test_a_cancelled_rollback_leaves_the_result_and_a_new_offer():
    answer = approval(ApprovalState.REJECTED, decided_by=ASKED_BY, decided_at=OPENED)
    record = rolling(RollbackState.CANCELLED, rollback_approval=answer)

    shown = texts(render(record))

    assert ":white_check_mark: prod: healed" in shown
    assert "2 of 2 pods are running" in shown
    assert "*Cancelled*  by @U0000ONCALL" in shown
    assert set(buttons(record)) == {"rollback"}
    assert _offer(record) != _offer(healed())


def test_a_rollback_that_is_done_says_what_is_as_before_and_shows_no_older_failure():
    record = rolling(
        RollbackState.DONE,
        outcome=Outcome.ROLLED_BACK,
        failure=Failure(step=Step.ROLLBACK, error="StillInUse", message="subnet-0cc holds 1 ENI"),
        steps=steps(*MADE, Step.ROLLBACK),
    )

    shown = texts(render(record))

    assert ":rewind: prod: rolled back" in shown
    assert "*Plan*  CIDR `100.64.0.0/22`" in shown
    assert "subnets and CIDR deleted; `100.64.0.0/22` is free again" in shown
    assert "StillInUse" not in shown
    assert "continues where it stopped" not in shown
    assert "the shortage that opened this incident can come back" in shown
    assert "*After the rollback*" in shown
    assert set(buttons(record)) == {"run_again"}


def test_a_rollback_tells_only_what_its_plan_had_changed():
    extension = PLAN.model_copy(update={"source": "existing-cidr", "changes": PLAN.changes[1:3]})
    done = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK, plan=extension)

    assert "ENIConfigs restored; subnets deleted; `100.64.0.0/22` is free again" in texts(render(done))
    assert "ENIConfigs are restored; then subnets are deleted." in confirmation(
        question(plan=extension), "rollback_confirm"
    )


def _offer(record: Incident) -> str:
    return next(str(block["block_id"]) for block in render(record).blocks if block["type"] == "actions")


def test_given_pods_that_hang_since_the_rollback_then_they_are_named_instead_of_what_was_expected():
    # given two pods that were moved, and signals of the two that were made in their place
    done = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK)
    assert done.rollback
    assert done.rollback.assessment
    assert done.verification
    before = tuple(f"{pod.namespace}/{pod.name}" for pod in done.verification.healed)
    assessment = done.rollback.assessment.model_copy(update={"free_elsewhere": 0})
    signals = SignalSummary(
        count=9, pods=(*before, "default/nginx-8", "default/nginx-9"), last_seen=OPENED + timedelta(minutes=5)
    )
    record = done.model_copy(
        update={"signals": signals, "rollback": done.rollback.model_copy(update={"assessment": assessment})}
    )

    # then the message says what hangs, and no more what was expected to
    shown = texts(render(record))
    assert "2 pods have no IP address since then: `default/nginx-8`, `default/nginx-9`" in shown
    assert "will have no IP address" not in shown
    assert "more pods waited" not in shown


def test_given_only_signals_from_before_the_rollback_then_the_expectation_is_told():
    done = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK)
    assert done.rollback
    assert done.rollback.assessment
    assessment = done.rollback.assessment.model_copy(update={"free_elsewhere": 0})
    signals = SignalSummary(count=9, pods=("default/nginx-8",), last_seen=OPENED - timedelta(minutes=5))
    record = done.model_copy(
        update={"signals": signals, "rollback": done.rollback.model_copy(update={"assessment": assessment})}
    )
    assert "2 pods of these will have no IP address: elsewhere were 0 free addresses" in texts(render(record))


@pytest.mark.parametrize(
    ("names", "later", "shown"),
    [
        (("default/nginx-8", "default/nginx-9"), False, "2 pods have no IP address since then: `default/nginx-8`"),
        (("default/nginx-8",), True, "2 pods have no IP address since then: `default/nginx-8`, `default/nginx-7`"),
        ((), False, "every pod created since then had its IP address at 10:03 UTC"),
    ],
)
def test_given_what_was_read_back_at_the_end_then_it_is_told_and_only_later_signals_add_to_it(
    names: tuple[str, ...], later: bool, shown: str
) -> None:
    # given a read at the rollback's end, and signals of one pod from before or after it
    done = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK)
    assert done.rollback
    read = HangingPods(at=OPENED + timedelta(minutes=3), number=len(names), names=names)
    last_seen = OPENED + timedelta(minutes=5 if later else 2)
    changed = {
        "rollback": done.rollback.model_copy(update={"hanging": read}),
        "signals": SignalSummary(count=9, pods=("default/nginx-7",), last_seen=last_seen),
    }
    assert shown in texts(render(done.model_copy(update=changed)))


def test_given_that_every_pod_had_its_address_at_the_end_then_nothing_is_called_wrong():
    done = rolling(RollbackState.DONE, outcome=Outcome.ROLLED_BACK)
    assert done.rollback
    read = HangingPods(at=OPENED + timedelta(minutes=3), number=0)
    shown = texts(render(done.model_copy(update={"rollback": done.rollback.model_copy(update={"hanging": read})})))

    assert ":x:" not in shown
    assert "is back" not in shown


def test_what_a_rollback_asks_stands_above_its_buttons_and_all_else_below_them():
    """On a phone headline, numbers and buttons are to be seen together."""
    blocks = render(question()).blocks
    kinds = [block["type"] for block in blocks]
    pressed = kinds.index("actions")

    above, below = json.dumps(blocks[:pressed]), json.dumps(blocks[pressed:])
    assert "If nobody answers" in above
    assert "2 pods have addresses of its subnets" in above
    assert "*Cause*" in below
    assert "*Made*" in below


@pytest.mark.parametrize("state", [None, RollbackState.ASSESSED, RollbackState.RUNNING, RollbackState.PAUSED])
@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.UNDONE, Outcome.HEALED])
@pytest.mark.parametrize(
    "error", ["PermissionDenied", "QuotaReached", "Throttled", "KillSwitchOn", "ServiceUnavailable", "StillInUse"]
)
def test_advice_names_only_buttons_that_the_message_has(
    error: str, outcome: Outcome, state: RollbackState | None
) -> None:
    fields: dict[str, Any] = {
        "outcome": outcome,
        "failure": Failure(step="Create the subnets", error=error, message="m"),
    }
    if state is RollbackState.ASSESSED:
        fields["rollback_approval"] = approval()
    if state is RollbackState.PAUSED:
        fields["failure"] = Failure(step=Step.ROLLBACK, error=error, message="m")
        fields["steps"] = steps(*MADE, rollback=StepState.FAILED)
    record = rolling(state, **fields) if state else healed(**fields)

    labels = [button["text"]["text"] for button in buttons(record).values()]
    named = re.findall(r"press (Retry|Replace|Roll back|Run this plan)", texts(render(record)))

    assert [name for name in named if not any(label.startswith(name) for label in labels)] == []
    assert len(named) == len(set(named))


def test_a_rollback_without_a_permission_says_so_before_it_is_pressed_again():
    record = rolling(
        RollbackState.PAUSED,
        outcome=Outcome.FAILED,
        steps=steps(*MADE, rollback=StepState.FAILED),
        failure=Failure(step=Step.ROLLBACK, error="PermissionDenied", message="not authorized"),
    )
    assert "grant the permission that the message names, then press Roll back again" in texts(render(record))
