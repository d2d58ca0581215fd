"""What people read at each stage of an incident."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from ip_remediator.common.enums import Mode, Outcome, Verdict
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.record import (
    ApprovalState,
    AskReason,
    Failure,
    Incident,
    Policy,
    RunRequest,
    Step,
    StepState,
)
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.message import Message, details, details_view, digest, plain, render, subject
from ip_remediator.notifications.messages.text import mrkdwn
from tests.unit.support.records import (
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

REFERENCE = re.compile(r"<(?:!date\^[0-9]+\^[^|<>]+|https?://[^|<>\s]+)\|([^<>|]+)>|<(@[UW][A-Z0-9]+)>")


def texts(message: Message) -> str:
    """All that the blocks show, buttons left out; times, links and people as their labels."""
    shown: list[str] = []
    for block in message.blocks:
        objects = [block.get("text"), *block.get("fields", []), *block.get("elements", [])]
        shown += [obj["text"] for obj in objects if obj and isinstance(obj.get("text"), str)]
    return REFERENCE.sub(lambda reference: reference[1] or reference[2], "\n".join(shown))


def assert_shows(record: Incident, *words: str) -> str:
    """The record's message has all of `words`; returns what it shows."""
    shown = texts(render(record))
    assert [expected for expected in words if expected not in shown] == [], shown
    return shown


def buttons(record: Incident) -> dict[str, dict[str, Any]]:
    """Those that decide something: without the one that only shows details."""
    return {action: button for action, button in every_button(record).items() if action != "details"}


def every_button(record: Incident) -> dict[str, dict[str, Any]]:
    actions = [block for block in render(record).blocks if block["type"] == "actions"]
    assert len(actions) <= 1
    return {element["action_id"]: element for block in actions for element in block["elements"]}


@pytest.mark.parametrize("record", [asked(), healed(), undone()], ids=["asked", "healed", "undone"])
def test_once_there_is_a_plan_its_details_are_a_click_away(record: Incident):
    button = every_button(record)["details"]

    assert json.loads(button["value"]) == {"incident": record.id}
    assert "confirm" not in button
    assert "details" not in every_button(incident())


def test_a_new_incident_names_cluster_pods_and_the_signal():
    assert_shows(
        incident(),
        "prod: 2 pods have no IP address, looking for the cause",
        "ap-northeast-2 · mode auto · opened 2026-03-01 10:00 UTC",
        "2 pods (`default/nginx-7c5ddbdf54-8x2kq`, `default/nginx-7c5ddbdf54-tq9zl`) wait for an address",
        "`failed to assign an IP address`",
    )


def test_a_full_subnet_is_told_in_one_line_for_one_pod_and_for_several():
    one = DIAGNOSIS.model_copy(update={"zones": DIAGNOSIS.zones[:1]})

    several = texts(render(incident(diagnosis=DIAGNOSIS)))
    assert "*Cause*  subnet exhausted in ap-northeast-2a and ap-northeast-2b: 2 pods wait for an address" in several
    single = texts(render(incident(diagnosis=one)))
    assert "*Cause*  subnet exhausted in ap-northeast-2a: 1 pod waits for an address" in single


def test_a_few_free_addresses_are_not_told_as_none():
    few = DIAGNOSIS.model_copy(update={"zones": (DIAGNOSIS.zones[0].model_copy(update={"free": 1}),)})

    assert "subnet exhausted in ap-northeast-2a (1 address left): 1 pod waits" in texts(render(incident(diagnosis=few)))


def test_what_cannot_be_cured_shows_its_evidence_and_what_is_unknown():
    diagnosis = DIAGNOSIS.model_copy(
        update={"verdict": Verdict.NODE_LIMIT, "unknown": ("ENI slots of ip-10-0-0-9",), "summary": "every ENI is full"}
    )

    assert_shows(
        incident(diagnosis=diagnosis, outcome=Outcome.NOT_CURABLE, closed_at=OPENED),
        "*Cause*  node limit: every ENI is full",
        "• subnet subnet-0bb (10.0.1.0/28, ap-northeast-2b) has 0 free addresses",
        "not known: ENI slots of ip-10-0-0-9",
    )


def test_zones_are_told_apart_only_where_they_differ():
    calm = DIAGNOSIS.zones[0].model_copy(update={"verdict": Verdict.RECOVERED, "free": 100, "stuck_pods": 0})
    differing = DIAGNOSIS.model_copy(update={"zones": (calm, DIAGNOSIS.zones[1])})

    shown = plain(asked().model_copy(update={"diagnosis": differing}))

    assert "ap-northeast-2a: 100 free addresses, 1 node, no pod waits" in shown
    assert "ap-northeast-2b: no free address, 1 node, 1 pod waits" in shown
    assert "no pod waits" not in plain(asked())
    assert "Zones" not in plain(asked())


def test_a_question_is_four_short_fields_above_the_buttons_with_the_worst_risk_first():
    message = render(asked())

    header, setting, quick, pressed, *_ = message.blocks
    assert header["text"]["text"] == ":rotating_light: prod: 2 pods have no IP address. Add 100.64.0.0/22?"
    assert "decide by" in setting["elements"][0]["text"]
    wrong, does, touches, risk = (field["text"] for field in quick["fields"])
    assert wrong.startswith("*What is wrong*\nSubnet exhausted in ap-northeast-2a and ap-northeast-2b: 2 pods wait")
    assert "Adds `100.64.0.0/22` (502 pod addresses), with 2 subnets in 2 zones, and switches new pods to it" in does
    assert "Free of charge" in does
    assert touches == ("*What it touches*\n`aws-node` restarts on 2 nodes. No running pod moves or changes its address")
    assert risk == "*Risk: high (2)*\n:red_circle: *High:* egress\n:large_blue_circle: *Low:* kubectl exec"
    assert pressed["type"] == "actions"


def test_how_long_it_takes_is_told_only_where_it_was_measured():
    measured = asked().model_copy(update={"approval": approval(usual_seconds=130)})

    assert "Took 2 min in earlier incidents" in texts(render(measured))
    assert "earlier incidents" not in texts(render(asked()))


def test_where_there_is_no_button_the_whole_plan_is_told():
    shown = plain(asked())

    assert "add 100.64.0.0/22 to vpc-0123456789 as a secondary CIDR" in shown
    assert "ap-northeast-2a: subnet 100.64.0.0/24 (251 addresses)" in shown
    assert "ENIConfig ap-northeast-2a" in shown
    assert "Expected: heals 2 of 2 pods now" in shown
    assert "turn on custom networking on aws-node (AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true)" in shown
    assert shown.index("- high: EXTERNALSNAT=true") < shown.index("- low: a new CIDR")


def test_the_remedy_of_a_risk_can_be_copied_and_its_page_is_a_link():
    remedy = "`aws ec2 authorize-security-group-ingress --group-id sg-1 --cidr 100.64.0.0/22`; likewise for 2 others"
    risk = PLAN.risks[0].model_copy(update={"id": "security-groups-old-ranges", "remedy": remedy})
    record = asked().model_copy(update={"plan": PLAN.model_copy(update={"risks": (risk,)})})

    shown = str(details_view(record, Site(docs="https://docs.example.com/remediator")))
    assert f"Remedy: {remedy}" in shown
    assert "<https://docs.example.com/remediator/risks.md#security-groups-old-ranges|More>" in shown
    assert f"Remedy: {remedy.replace('`', '')}" in plain(record)
    assert "More (docs/risks.md#security-groups-old-ranges)" in plain(record)


@pytest.mark.parametrize("remedy", ["one ` alone <!channel>", "`a\u202eb\n<!here>`", "`" * 900, "`" + "x" * 900 + "`"])
def test_a_remedy_with_foreign_parts_formats_nothing(remedy: str):
    risk = PLAN.risks[0].model_copy(update={"remedy": remedy})
    view = details_view(asked().model_copy(update={"plan": PLAN.model_copy(update={"risks": (risk,)})}))
    shown = json.dumps(view, ensure_ascii=False)

    assert "<!" not in shown
    assert "\u202e" not in shown
    assert "x" * 500 not in shown


def test_a_change_of_a_kind_that_the_message_does_not_know_is_told_in_its_own_words():
    settings = PLAN.changes[-1].model_copy(update={"description": "set a warm target", "manifest": None})
    record = asked().model_copy(update={"plan": PLAN.model_copy(update={"changes": (settings,)})})

    assert "- set a warm target" in plain(record)


@pytest.mark.parametrize("stage", ["running", "healed", "undone"])
def test_after_the_decision_the_plan_takes_one_line(stage: str):
    answer = approval(ApprovalState.APPROVED, decided_by="U0000ONCALL (on-call)", decided_at=OPENED)
    record = {
        "running": asked().model_copy(update={"approval": answer}),
        "healed": healed(approval=answer),
        "undone": undone(),
    }[stage]

    shown = texts(render(record))

    assert "CIDR `100.64.0.0/22`, 2 subnets, 2 ENIConfigs, custom networking" in shown
    assert ("Risks that stay" in shown) == (stage == "healed")
    assert "EXTERNALSNAT" not in shown
    assert shown.count("100.64.0.0/24") <= 1
    assert len(shown) < 1300


def test_a_plan_that_is_only_observed_is_shown_like_a_question_and_can_be_run():
    record = incident(mode=Mode.OBSERVE, diagnosis=DIAGNOSIS, plan=PLAN, outcome=Outcome.OBSERVED)
    shown = texts(render(record))

    assert "*What it does*" in shown
    assert ":red_circle: *High:* egress" in shown
    assert "press Run this plan" in shown
    assert buttons(record)["run_again"]["text"]["text"] == "Run this plan"
    assert "subnet 100.64.1.0/24 (251 addresses)" in plain(record)


def test_a_dry_run_says_how_to_carry_the_plan_out():
    record = incident(diagnosis=DIAGNOSIS, plan=PLAN, outcome=Outcome.OBSERVED, request=RunRequest(dry_run=True))

    assert "start it again without dry_run" in texts(render(record))


def test_a_block_of_a_cidr_that_the_vpc_has_is_not_called_a_new_cidr():
    plan = PLAN.model_copy(update={"source": "existing-cidr"})

    record = asked().model_copy(update={"plan": plan})

    assert "use 100.64.0.0/22, free in a CIDR that vpc-0123456789 already has" in plain(record)
    assert "Use 100.64.0.0/22?" in texts(render(record))


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

    assert "decide by 11:00 UTC · without an answer nothing changes" in shown
    assert "*If nobody answers*  by 11:00 UTC, the plan is rejected: nothing changes and `100.64.0.0/22`" in shown
    assert "*Undo*  can be rolled back later; pods that use the new addresses must then move" in shown
    assert buttons(record)["approve"]["text"]["text"] == "Add 100.64.0.0/22"
    assert buttons(record)["approve"]["style"] == "primary"
    assert buttons(record)["reject"]["text"]["text"] == "Leave as it is"
    assert "style" not in buttons(record)["reject"]
    assert set(buttons(record)) == {"approve", "reject"}
    for button in buttons(record).values():
        assert json.loads(button["value"]) == {"approval": "Zk3-x_9"}


def test_the_confirmations_of_a_question_say_the_numbers():
    pressed = buttons(asked())

    approve = pressed["approve"]["confirm"]["text"]["text"]
    assert approve == (
        "Expected: heals 2 of 2 pods now. 4 changes. aws-node restarts on 2 nodes. No running pod moves or "
        "changes its address. 2 risks, the highest high."
    )
    reject = pressed["reject"]["confirm"]["text"]["text"]
    assert reject == "Nothing changes: 2 pods go on waiting, and 100.64.0.0/22 is released."


@pytest.mark.parametrize(
    "record",
    [
        asked(),
        healed(),
        healed(outcome=Outcome.FAILED),
        healed(outcome=Outcome.PARTLY, verification=VERIFICATION.model_copy(update={"nodes_to_replace": ("n1",)})),
        undone(),
        incident(mode=Mode.OBSERVE, diagnosis=DIAGNOSIS, plan=PLAN, outcome=Outcome.OBSERVED),
    ],
    ids=["asked", "healed", "failed", "partly", "undone", "observed"],
)
def test_given_several_clusters_in_a_channel_then_every_dialog_and_modal_names_its_own(record: Incident):
    record = record.model_copy(update={"cluster": "shop_prod-2"})

    dialogs = [button["confirm"] for button in every_button(record).values() if "confirm" in button]
    assert dialogs
    assert [dialog["title"]["text"].partition(": ")[0] for dialog in dialogs] == ["shop_prod-2"] * len(dialogs)
    first = details_view(record)["blocks"][0]["text"]["text"]
    assert first.startswith(f"*{mrkdwn('shop_prod-2')}: {len(PLAN.changes)} changes of plan ")
    private = details(record)
    assert private
    assert private.blocks[0]["text"]["text"].splitlines()[0] == first.splitlines()[0]


def test_the_confirmation_never_cuts_how_many_pods_are_helped():
    plan = PLAN.model_copy(
        update={"heals_now": 1, "replace_nodes": tuple(f"ip-{number}.internal" for number in range(9))}
    )
    record = asked().model_copy(update={"plan": plan, "cluster": "c" * 100})

    text = buttons(record)["approve"]["confirm"]["text"]["text"]
    assert text.startswith("Expected: 1 pod gets an address now; the others after 9 nodes are replaced.")
    assert "the highest high" in text


def test_a_question_says_why_it_is_asked_and_that_it_expires_soon():
    question = approval(why="mode auto: external-snat exceeds low", reason=AskReason.RISK, reminded_at=OPENED)

    assert_shows(
        asked().model_copy(update={"approval": question, "mode": Mode.AUTO}),
        "*Why you are asked*  mode auto: external-snat exceeds low",
        ":alarm_clock: prod: 2 pods have no IP address. Add 100.64.0.0/22?",
        "decide by 11:00 UTC, expires soon",
    )


def test_settings_that_were_not_understood_are_told_while_the_incident_is_open():
    policy = Policy(mode=Mode.APPROVE, notes=("tag eks-ip-remediator:mode=yolo is no mode: approve is taken",))

    assert "tag eks-ip-remediator:mode=yolo is no mode" in texts(render(incident(policy=policy)))
    assert "yolo" not in texts(render(healed(policy=policy)))


@pytest.mark.parametrize(
    ("state", "label"), [(ApprovalState.APPROVED, "Approved"), (ApprovalState.REJECTED, "Left as it is")]
)
def test_an_answered_question_names_who_and_when_and_has_no_buttons(state: ApprovalState, label: str):
    answer = approval(state, decided_by="U0000ONCALL (on-call)", decided_at=OPENED + timedelta(minutes=5))
    record = asked().model_copy(update={"approval": answer})

    assert f"*{label}*  by @U0000ONCALL, 2026-03-01 10:05 UTC" in texts(render(record))
    assert f"{label}: by U0000ONCALL (on-call), 2026-03-01 10:05 UTC" in plain(record)
    assert buttons(record) == {}


def test_a_question_that_nobody_answered_is_told_as_such():
    record = asked().model_copy(
        update={"approval": approval(ApprovalState.EXPIRED), "outcome": Outcome.REJECTED, "closed_at": OPENED}
    )

    assert_shows(
        record,
        "nobody answered, nothing was changed",
        "*No answer*  until 2026-03-01 11:00 UTC, which is a rejection",
    )


def test_a_healed_incident_shows_pods_with_addresses_and_subnets_before_and_after():
    assert_shows(
        healed(),
        ":white_check_mark: prod: healed",
        "closed after 60 s",
        "2 of 2 pods are running",
        "`default/nginx-7c5ddbdf54-8x2kq` has `100.64.0.17` (ap-northeast-2a)",
        "ap-northeast-2a: 0 free before, now 0 in `10.0.0.0/28` and 245 in the new `100.64.0.0/24`",
    )


def test_a_partly_healed_incident_names_the_pods_still_stuck_and_the_nodes_to_replace():
    rest = {"still_stuck": ("default/nginx-9",), "nodes_to_replace": ("ip-10-0-1-7",)}
    record = healed(outcome=Outcome.PARTLY, verification=VERIFICATION.model_copy(update=rest))

    assert_shows(
        record,
        "2 of 3 pods are running",
        ":x: `default/nginx-9` still waits",
        "replace these nodes, which have no free ENI slot: `ip-10-0-1-7`",
    )


def test_a_failure_says_what_went_wrong_what_stands_and_what_to_do():
    assert_shows(
        undone(),
        ":x: Create the subnets: QuotaReached",
        "`CreateSubnet: SubnetLimitExceeded: The maximum number of subnets has been reached.`",
        "*What it made*  nothing: the CIDR was disassociated and the block released",
        "ask AWS for a higher quota, then press Retry",
    )


def test_a_failure_has_the_name_that_its_step_has_in_the_list_above():
    record = undone()
    assert record.failure
    failure = record.failure.model_copy(update={"step": "Create the zone's subnet"})
    record = record.model_copy(
        update={"failure": failure, "steps": steps(Step.ASSOCIATE_CIDR, create_subnets=StepState.FAILED)}
    )
    shown = assert_shows(record, ":x: Create the subnets: QuotaReached")
    assert "zone's subnet" not in shown
    later = {"failure": failure.model_copy(update={"step": Step.ROLLBACK}), "outcome": Outcome.FAILED}
    both = steps(Step.ASSOCIATE_CIDR, create_subnets=StepState.FAILED, rollback=StepState.FAILED)
    rollback = record.model_copy(update={**later, "steps": both})
    assert_shows(rollback, ":x: Roll back: QuotaReached")
    unknown = record.model_copy(update={"steps": {}})
    assert_shows(unknown, ":x: Create the zone's subnet: QuotaReached")


def test_what_was_made_and_removed_again_shows_as_undone():
    assert ":leftwards_arrow_with_hook: Add the CIDR to the VPC" in texts(render(undone()))


def test_an_error_without_advice_of_its_own_points_to_the_execution():
    failure = Failure(step="verify", error="SomethingNew", message="?")
    record = healed(outcome=Outcome.FAILED, failure=failure)

    assert_shows(
        record,
        "the execution's history has the answer to every call",
        "press Roll back to undo what is still there",
    )


def test_a_shortage_that_cannot_be_planned_for_says_why_and_what_else_would_help():
    failure = Failure(step="plan", error="CannotPlan", message="the VPC has 5 CIDRs and the quota is 5: ask for more")
    record = incident(diagnosis=DIAGNOSIS, failure=failure, outcome=Outcome.NOT_CURABLE, closed_at=OPENED)

    shown = assert_shows(
        record,
        ":no_entry: prod: cannot be cured automatically, nothing was changed",
        "*Why there is no plan*\nthe VPC has 5 CIDRs and the quota is 5: ask for more",
        "*What else would help*\n• an IPv6 cluster",
    )
    assert "CannotPlan" not in shown


def test_a_node_limit_names_the_other_cures():
    diagnosis = Diagnosis(verdict=Verdict.NODE_LIMIT, summary="every ENI is attached")

    assert_shows(
        incident(diagnosis=diagnosis, outcome=Outcome.NOT_CURABLE, closed_at=OPENED),
        "more addresses cannot cure this",
        "use larger instance types or more nodes, or turn on prefix delegation",
    )


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
    assert "style" not in button
    asks = button["confirm"]["text"]["text"]
    assert "We first check what is using 100.64.0.0/22. 2 pods got addresses of it." in asks
    assert "Nothing changes until you have seen the result and confirmed." in asks


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

    assert digest(render(before)) == digest(render(before.model_copy(update={"inherits": ("earlier",)})))
    assert digest(render(before)) != digest(render(incident(steps=steps(Step.DIAGNOSE, Step.PLAN))))


def test_plain_text_tells_the_same_without_slacks_syntax():
    text = plain(healed())

    assert text.startswith(
        "prod: healed, 2 pods are running\nap-northeast-2 · mode auto · opened 2026-03-01 10:00 UTC, closed after 60 s"
    )
    assert "\nCause: subnet exhausted in" in text
    assert "[x] default/nginx-7c5ddbdf54-8x2kq has 100.64.0.17 (ap-northeast-2a)" in text
    assert "`" not in text
    assert ":white_check_mark:" not in text
    assert "*" not in text


def test_a_subject_is_short_ascii_on_one_line():
    text = subject(incident(cluster="größe\n" * 40))

    assert len(text) < 100
    assert text.isascii()
    assert "\n" not in text
