"""What the message says at the stages between the question and the end, and of records that earlier releases stored."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from ip_remediator.common.actor import Actor
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.calls_by_others import CallByOther, CallsByOthers
from ip_remediator.incidents.record import (
    ApprovalState,
    Failure,
    Incident,
    Progress,
    Rollback,
    RollbackAssessment,
    RollbackState,
    Step,
    StepResult,
    StepState,
)
from ip_remediator.incidents.stored_record import from_stream_image
from ip_remediator.notifications.messages.headline import headline
from ip_remediator.notifications.messages.links import Site, console_links
from ip_remediator.notifications.messages.message import details_view, plain, render
from ip_remediator.notifications.messages.state import NO_PLAN
from ip_remediator.notifications.messages.text import mrkdwn, person, words
from tests.unit.notifications.test_messages import buttons, texts
from tests.unit.notifications.test_messages_rollback import question, rolling
from tests.unit.support.records import (
    DIAGNOSIS,
    FAILURE,
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

RECORDS = sorted((Path(__file__).parents[2] / "data" / "records").glob("*.json"))
ARN = "arn:aws:iam::000000000000:user/ann"


def planned(**fields: object) -> Incident:
    defaults = {"mode": Mode.APPROVE, "diagnosis": DIAGNOSIS, "plan": PLAN, "steps": steps(Step.DIAGNOSE, Step.PLAN)}
    return incident(**(defaults | fields))


@pytest.mark.parametrize(
    ("record", "phrase"),
    [
        (planned(), "plan ready, about to ask for approval"),
        (
            planned(approval=approval(ApprovalState.APPROVED, decided_by="ann", decided_at=OPENED)),
            "approved, checking once more before anything changes",
        ),
        (planned(steps=steps(Step.DIAGNOSE, Step.PLAN, Step.APPROVE)), "carrying out the plan"),
        (planned(steps=steps(Step.APPROVE, *MADE)), "remedy is in place, checking the pods"),
    ],
    ids=["before the question", "approved", "at work", "verifying"],
)
def test_the_headline_claims_no_more_than_what_happened(record: Incident, phrase: str) -> None:
    assert headline(record).words == f"2 pods have no IP address, {phrase}"


def test_what_failed_before_anything_was_made_does_not_speak_of_removing_and_names_its_step_once() -> None:
    failure = Failure(step=Step.DIAGNOSE, error="ClusterNotFound", message="no cluster typo")
    record = incident(steps=steps(diagnose=StepState.FAILED), failure=failure, outcome=Outcome.UNDONE, closed_at=OPENED)

    shown = texts(render(record))

    assert "failed before anything was changed" in shown
    assert "removed" not in shown
    assert shown.count("Diagnose") == 1


def test_a_verification_that_found_pods_without_an_address_is_not_ticked_off() -> None:
    rest = VERIFICATION.model_copy(update={"still_stuck": ("default/nginx-9",)})

    shown = texts(render(healed(outcome=Outcome.PARTLY, verification=rest)))

    assert ":x: Verify that the pods run: 2 of 3 do" in shown
    assert ":white_check_mark: Verify" not in shown


def test_a_rollbacks_failure_ends_when_the_next_attempt_begins() -> None:
    failure = Failure(step=Step.ROLLBACK, error="KillSwitchOn", message="the kill switch is on")
    again = question(failure=failure)
    cancelled = rolling(RollbackState.CANCELLED, failure=failure, steps=steps(*MADE, rollback=StepState.SKIPPED))

    for record in (again, cancelled):
        assert "KillSwitchOn" not in texts(render(record))
        assert "kill switch" not in texts(render(record))
    stopped = rolling(RollbackState.PAUSED, failure=failure, steps=steps(*MADE, rollback=StepState.FAILED))
    assert "KillSwitchOn" in texts(render(stopped))


def test_pods_that_hang_since_the_question_was_asked_appear_in_it() -> None:
    calm = DIAGNOSIS.model_copy(
        update={"zones": tuple(zone.model_copy(update={"stuck_pods": 0}) for zone in DIAGNOSIS.zones)}
    )

    shown = texts(render(asked().model_copy(update={"diagnosis": calm})))

    assert "2 pods have no IP address" in shown
    assert "no pod waits yet. Since then 2 pods wait" in shown


def test_auto_mode_says_why_it_went_ahead_and_which_risks_it_took() -> None:
    ahead = StepResult(state=StepState.SKIPPED, at=OPENED, note="mode auto: no risk exceeds high")

    shown = texts(render(healed(steps={**steps(*MADE, Step.VERIFY), Step.APPROVE: ahead})))

    assert "*Went ahead without asking*  mode auto: no risk exceeds high" in shown
    assert "risks taken: external-snat (high), control-plane-delay (low)" in shown


@pytest.mark.parametrize(
    ("record", "phrase"),
    [
        (
            planned(
                steps=steps(Step.APPROVE, *MADE),
                progress=Progress(step=Step.VERIFY, unit="pod", done=1, total=2),
            ),
            "Verify that the pods run: 1 of 2 pods so far",
        ),
        (
            rolling(RollbackState.RUNNING, progress=Progress(step=Step.ROLLBACK, unit="ENI", done=3, total=4)),
            "3 of 4 ENIs gone so far",
        ),
    ],
    ids=["verifying", "rolling back"],
)
def test_counts_move_while_it_waits(record: Incident, phrase: str) -> None:
    assert phrase in texts(render(record))


@pytest.mark.parametrize(("free", "hang"), [(0, "2 pods of these will have no IP address"), (5, None), (None, None)])
def test_after_a_rollback_it_is_said_which_pods_hang_again(free: int | None, hang: str | None) -> None:
    assessment = RollbackAssessment(at=OPENED, pods=2, pod_names=("a/b", "a/c"), interfaces=1, free_elsewhere=free)
    done = Rollback(state=RollbackState.DONE, requested_by="ann", assessment=assessment)

    shown = texts(render(healed(outcome=Outcome.ROLLED_BACK, rollback=done)))

    assert "2 pods lost their addresses (`a/b`, `a/c`) and are recreated by their owners" in shown
    assert ("will have no IP address" in shown) == (hang is not None)
    assert (hang or "") in shown


def test_an_eviction_says_before_it_which_pods_will_hang_again() -> None:
    record = question()
    assert record.rollback is not None
    assert record.rollback.assessment is not None
    counted = record.rollback.assessment.model_copy(update={"free_elsewhere": 1})
    record = record.model_copy(update={"rollback": record.rollback.model_copy(update={"assessment": counted})})

    asks = buttons(record)["rollback_confirm_evict"]["confirm"]["text"]["text"]

    assert asks.startswith("1 pod will have no address again (1 free address elsewhere).")


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (Outcome.OBSERVED, "Run this plan"),
        (Outcome.REJECTED, "Ask again"),
        (Outcome.UNDONE, "Retry"),
        (Outcome.NOT_CURABLE, "Retry"),
        (Outcome.ROLLED_BACK, "Start again"),
    ],
)
def test_an_ending_without_a_cure_offers_the_next_run_and_says_what_stays_wrong(outcome: Outcome, label: str) -> None:
    record = planned(outcome=outcome, closed_at=OPENED)

    assert buttons(record)["run_again"]["text"]["text"] == label
    shown = texts(render(record, Site(cool_down_minutes=15)))
    assert ("*After the rollback*" if outcome is Outcome.ROLLED_BACK else "*Still wrong*") in shown
    assert "signals of this cluster open no new incident before 10:15 UTC" in shown


def test_the_place_of_approve_is_never_that_of_rollback() -> None:
    first = next(block for block in render(healed()).blocks if block["type"] == "actions")["elements"]
    asked_first = next(block for block in render(question()).blocks if block["type"] == "actions")["elements"]

    assert first[0]["action_id"] == "details"
    assert asked_first[0]["action_id"] == "rollback_cancel"


def test_arns_can_be_copied() -> None:
    shown = mrkdwn(f"started by {person(Actor.aws(ARN))}: {words(f'asked by {ARN}, twice')}")

    assert shown.count(f"`{ARN}`") == 2
    assert "\u200b" not in shown


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("ap-northeast-2", "ap-northeast-2.console.aws.amazon.com"),
        ("cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
        ("us-iso-east-1", None),
        ("evil.example/", None),
    ],
)
def test_links_lead_to_the_console_of_the_partition(region: str, host: str | None) -> None:
    record = planned(region=region, execution="arn:aws:states:x:1:execution:remediate:abc")

    written = [mrkdwn(link) for link in console_links(record)]

    assert len(written) == (3 if host else 0)
    assert all(link.startswith(f"<https://{host}/") for link in written)


@pytest.mark.parametrize("docs", ["none", ""])
def test_without_a_site_for_the_documentation_nothing_is_linked_to(docs: str) -> None:
    assert "Run book" not in render(asked(), Site(docs=docs)).text
    assert (
        "<https://docs.example.com/operations.md|Run book>" in render(asked(), Site("https://docs.example.com/")).text
    )


def test_a_reader_with_a_clock_of_another_zone_is_shown_theirs() -> None:
    until = int((OPENED + timedelta(hours=1)).timestamp())

    assert f"<!date^{until}^{{time}}|11:00 UTC>" in render(asked()).text


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_records_of_earlier_releases_still_render(path: Path) -> None:
    items = json.loads(path.read_text())
    [record] = [from_stream_image(item) for item in items if item["sk"]["S"] == "META"]

    assert record.cluster in render(record).text
    assert plain(record)
    assert details_view(record)["blocks"]


def test_the_command_that_lifts_a_quota_is_shown_as_code_to_be_copied() -> None:
    command = "aws service-quotas request-service-quota-increase --service-code vpc --quota-code L-83CA0A9D"
    failure = Failure(step=Step.PLAN, error=NO_PLAN, message=f"the quota is 5: ask for more with `{command}`")
    shown = texts(render(incident(outcome=Outcome.NOT_CURABLE, failure=failure, closed_at=OPENED)))
    assert f"ask for more with `{command}`" in shown


SUBNET_GONE = Failure(step="ApplyEniConfigs", error="NotFound", message="subnet subnet-0a was deleted by somebody else")
DELETED = CallByOther(
    id="1",
    event="DeleteSubnet",
    resource="subnet-0a",
    caller="arn:aws:sts::111122223333:assumed-role/Terraform/ci",
    at=OPENED,
)


def test_given_others_may_have_stopped_it_when_shown_then_it_says_how_to_find_out_who_and_later_who() -> None:
    stopped = undone().model_copy(update={"failure": SUBNET_GONE})
    shown = plain(stopped)
    assert f"some minutes later AWS has a record: ip-remediator status {stopped.id} --callers" in shown
    later = plain(stopped.model_copy(update={"calls_by_others": CallsByOthers(calls=(DELETED,))}))
    assert f"{DELETED.caller}: DeleteSubnet of subnet-0a, 2026-03-01 10:00 UTC, says CloudTrail" in later
    assert "--callers" not in later


def test_given_a_fault_of_ours_when_shown_then_nobody_else_is_looked_for() -> None:
    ours = FAILURE.model_copy(update={"error": "Throttled"})
    assert "--callers" not in plain(undone().model_copy(update={"failure": ours}))


def test_given_a_quota_that_was_reached_when_shown_then_it_says_how_to_find_who_used_it_up() -> None:
    assert "--callers" in plain(undone().model_copy(update={"failure": FAILURE}))
