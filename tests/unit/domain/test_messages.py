"""What people read at each stage of an incident."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from ip_remediator.domain.diagnosis import Diagnosis, Verdict
from ip_remediator.domain.incidents import ApprovalState, Failure, Incident, Mode, Outcome, Step, StepState
from ip_remediator.domain.messages import Message, digest, plain, render, subject
from tests.unit.domain.records import (
    DIAGNOSIS,
    MADE,
    OPENED,
    PLAN,
    VERIFICATION,
    approval,
    asked,
    healed,
    incident,
    steps,
    undone,
)


def texts(message: Message) -> str:
    """All that the blocks show, buttons left out."""
    shown = []
    for block in message.blocks:
        objects = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        shown += [each["text"] for each in objects if each and isinstance(each.get("text"), str)]
    return "\n".join(shown)


def buttons(record: Incident) -> dict[str, dict[str, Any]]:
    actions = [block for block in render(record).blocks if block["type"] == "actions"]
    return {element["action_id"]: element for block in actions for element in block["elements"]}


def test_a_new_incident_names_cluster_pods_and_the_signal():
    shown = texts(render(incident()))

    assert "prod: pods cannot get an address" in shown
    assert "`prod` in ap-northeast-2" in shown
    assert "2 pods: `default/nginx-7c5ddbdf54-8x2kq`" in shown
    assert "`failed to assign an IP address`" in shown


def test_a_diagnosis_shows_the_verdict_with_its_evidence_and_what_is_unknown():
    diagnosis = DIAGNOSIS.model_copy(update={"unknown": ("ENI slots of ip-10-0-0-9",)})

    shown = texts(render(incident(diagnosis=diagnosis)))

    assert "subnet exhausted: ap-northeast-2a: 0 free addresses in subnet-0aa" in shown
    assert "• subnet subnet-0bb (10.0.1.0/28, ap-northeast-2b) has 0 free addresses" in shown
    assert "not known: ENI slots of ip-10-0-0-9" in shown


def test_a_plan_shows_block_subnets_changes_and_risks_with_the_worst_first():
    shown = texts(render(asked()))

    assert "add `100.64.0.0/22` to `vpc-0123456789` as a further CIDR" in shown
    assert "ap-northeast-2a: subnet `100.64.0.0/24` (251 addresses), ENIConfig `ap-northeast-2a`" in shown
    assert "expected: heals 2 of 2 pods now" in shown
    assert "set AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true through DaemonSet aws-node" in shown
    assert shown.index(":red_circle: EXTERNALSNAT=true") < shown.index(":large_blue_circle: a new CIDR")


def test_a_block_of_a_cidr_that_the_vpc_has_is_not_called_a_further_cidr():
    plan = PLAN.model_copy(update={"source": "existing-cidr"})

    assert "use `100.64.0.0/22`, free in a CIDR that `vpc-0123456789` already has" in texts(render(incident(plan=plan)))


@pytest.mark.parametrize(
    ("done", "running", "to_come"),
    [
        ((), Step.DIAGNOSE, 6),
        ((Step.DIAGNOSE,), Step.PLAN, 5),
        ((Step.DIAGNOSE, Step.PLAN), Step.ASSOCIATE_CIDR, 4),
        (MADE, Step.VERIFY, 0),
    ],
)
def test_the_step_after_the_last_finished_one_shows_as_running(done: tuple[Step, ...], running: Step, to_come: int):
    shown = texts(render(incident(steps=steps(*done))))

    ticked = [line for line in shown.splitlines() if line.startswith((":white_check_mark:", ":hourglass"))]
    assert len(ticked) == len(done) + 1
    assert ticked[-1].startswith(":hourglass_flowing_sand:")
    assert shown.count(":white_small_square:") == to_come
    assert ("Verify that the pods run" in ticked[-1]) == (running is Step.VERIFY)


def test_a_step_skipped_between_others_is_not_awaited():
    record = incident(steps=steps(Step.DIAGNOSE, Step.PLAN, associate_cidr=StepState.SKIPPED))

    assert ":heavy_minus_sign: Add the CIDR to the VPC\n:hourglass_flowing_sand: Create the subnets" in texts(
        render(record)
    )


def test_observe_mode_awaits_no_step_that_changes_something():
    assert "Create the subnets" not in texts(render(incident(mode=Mode.OBSERVE, steps=steps(Step.DIAGNOSE))))


def test_a_closed_incident_awaits_nothing():
    record = incident(steps=steps(Step.DIAGNOSE), outcome=Outcome.NOT_NEEDED, closed_at=OPENED)

    shown = texts(render(record))

    assert ":hourglass_flowing_sand:" not in shown
    assert ":white_small_square:" not in shown


def test_a_pending_question_says_when_it_expires_and_what_silence_means():
    record = asked()

    shown = texts(render(record))

    assert "waits for approval" in shown
    assert "until 2026-03-01 11:00 UTC; silence is a rejection" in shown
    assert ":hourglass_flowing_sand: Approval" in shown
    assert set(buttons(record)) == {"approve", "reject"}
    for button in buttons(record).values():
        assert json.loads(button["value"]) == {"approval": "Zk3-x_9"}
    assert "4 changes will be made with 100.64.0.0/22" in buttons(record)["approve"]["confirm"]["text"]["text"]


@pytest.mark.parametrize("state", [ApprovalState.APPROVED, ApprovalState.REJECTED])
def test_an_answered_question_names_who_and_when_and_has_no_buttons(state: ApprovalState):
    answer = approval(state, decided_by="U0000ONCALL (on-call)", decided_at=OPENED + timedelta(minutes=5))
    record = asked().model_copy(update={"approval": answer})

    assert f"{state.capitalize()} by U0000ONCALL (on-call), 2026-03-01 10:05 UTC" in texts(render(record))
    assert buttons(record) == {}


def test_a_question_that_nobody_answered_is_told_as_such():
    record = asked().model_copy(
        update={"approval": approval(ApprovalState.EXPIRED), "outcome": Outcome.REJECTED, "closed_at": OPENED}
    )

    shown = texts(render(record))

    assert "nobody answered, nothing was changed" in shown
    assert "Nobody answered until 2026-03-01 11:00 UTC" in shown


def test_a_healed_incident_shows_pods_with_addresses_and_subnets_before_and_after():
    shown = texts(render(healed()))

    assert ":white_check_mark: prod: healed" in shown
    assert "2 of 2 pods run with addresses of `100.64.0.0/22`" in shown
    assert "`default/nginx-7c5ddbdf54-8x2kq` has `100.64.0.17` in `subnet-0cc`, ap-northeast-2a" in shown
    assert "`subnet-0aa` (10.0.0.0/28, ap-northeast-2a): 0 free before, now 0 free" in shown
    assert "`subnet-0cc` (100.64.0.0/24, ap-northeast-2a): new, now 245 free" in shown


def test_a_partly_healed_incident_names_the_pods_still_stuck_and_the_nodes_to_replace():
    rest = {"still_stuck": ("default/nginx-9",), "nodes_to_replace": ("ip-10-0-1-7",)}
    record = healed(outcome=Outcome.PARTLY, verification=VERIFICATION.model_copy(update=rest))

    shown = texts(render(record))

    assert "2 of 3 pods run" in shown
    assert ":x: `default/nginx-9` still waiting" in shown
    assert "replace these nodes, which have no free ENI slot: `ip-10-0-1-7`" in shown


def test_a_failure_says_what_went_wrong_what_stands_and_what_to_do():
    shown = texts(render(undone()))

    assert ":x: Create the subnets: QuotaReached" in shown
    assert "`CreateSubnet: SubnetLimitExceeded: The maximum number of subnets has been reached.`" in shown
    assert "what stands: nothing: the CIDR was disassociated and the block released" in shown
    assert "ask AWS for a higher quota, then start again" in shown


def test_what_was_made_and_removed_again_shows_as_undone():
    assert ":leftwards_arrow_with_hook: Add the CIDR to the VPC" in texts(render(undone()))
    rolled_back = healed(outcome=Outcome.ROLLED_BACK, steps=steps(*MADE, Step.VERIFY, Step.ROLLBACK))
    assert ":leftwards_arrow_with_hook: Turn on custom networking" in texts(render(rolled_back))


def test_an_error_without_advice_of_its_own_points_to_the_execution():
    failure = Failure(step="verify", error="SomethingNew", message="?")
    record = healed(outcome=Outcome.FAILED, failure=failure)

    shown = texts(render(record))

    assert "the execution's history has every call's answer" in shown
    assert "Rollback removes what was made" in shown


def test_a_node_limit_names_the_other_cures():
    diagnosis = Diagnosis(verdict=Verdict.NODE_LIMIT, summary="every ENI is attached")

    shown = texts(render(incident(diagnosis=diagnosis, outcome=Outcome.NOT_CURABLE, closed_at=OPENED)))

    assert "more addresses cannot cure this" in shown
    assert "use larger instance types or more nodes, or turn on prefix delegation" in shown


@pytest.mark.parametrize(
    ("record", "offered"),
    [
        (healed(), True),
        (healed(outcome=Outcome.PARTLY), True),
        (healed(outcome=Outcome.FAILED), True),
        (healed(outcome=Outcome.ROLLED_BACK), False),
        (healed(outcome=Outcome.UNDONE), False),
        (healed(outcome=None), False),
        (healed(outcome=Outcome.FAILED, steps=steps(Step.DIAGNOSE, Step.PLAN)), False),
        (healed(steps=steps(*MADE, rollback=StepState.RUNNING)), False),
        (healed(steps=steps(*MADE, rollback=StepState.FAILED)), True),
        (healed(steps=steps(*MADE, Step.ROLLBACK)), False),
    ],
)
def test_rollback_is_offered_only_while_something_made_stands_and_no_rollback_runs(record: Incident, *, offered: bool):
    assert ("rollback" in buttons(record)) == offered


def test_the_rollback_button_names_the_incident_only_and_asks_first():
    button = buttons(healed())["rollback"]

    assert json.loads(button["value"]) == {"incident": "prod-20260301-100000-a1b2c3"}
    assert button["style"] == "danger"
    assert button["confirm"]["style"] == "danger"
    assert "what stands in the way is shown" in button["confirm"]["text"]["text"]


def test_a_later_offer_of_a_rollback_differs_from_the_first():
    def offer(record: Incident) -> str:
        return next(block["block_id"] for block in render(record).blocks if block["type"] == "actions")

    again = healed(steps=steps(*MADE, rollback=StepState.FAILED))

    assert offer(healed()) == offer(healed())
    assert offer(healed()) != offer(again)
    assert "the rollback stopped" in texts(render(again))
    assert "it continues where it stopped" in texts(render(again))


def test_the_digest_changes_with_what_is_shown_and_only_then():
    before = incident(steps=steps(Step.DIAGNOSE))

    assert digest(render(before)) == digest(render(before.model_copy(update={"execution": "arn:aws:states:x"})))
    assert digest(render(before)) != digest(render(incident(steps=steps(Step.DIAGNOSE, Step.PLAN))))


def test_plain_text_tells_the_same_without_slacks_syntax():
    text = plain(healed())

    assert text.startswith("prod: healed\nCluster: prod in ap-northeast-2\n")
    assert "[x] default/nginx-7c5ddbdf54-8x2kq has 100.64.0.17 in subnet-0cc" in text
    assert "`" not in text
    assert ":white_check_mark:" not in text
    assert "*" not in text


def test_a_subject_is_short_ascii_on_one_line():
    text = subject(incident(cluster="größe\n" * 40))

    assert len(text) < 100
    assert text.isascii()
    assert "\n" not in text
