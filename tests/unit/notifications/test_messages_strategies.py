"""What people read of each kind of plan: planned, made, handed over, taken back."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, Rollback, RollbackState, Step, StepState, Verification
from ip_remediator.notifications.messages.message import details, plain, render
from ip_remediator.notifications.messages.planned import brief, in_full, taken_back
from ip_remediator.notifications.messages.state import rollback_offered, step_lines
from ip_remediator.planning.model import Change, Plan
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from tests.unit.support.records import DIAGNOSIS, PLAN, VERIFICATION, healed, incident, steps

ZONE = "ap-northeast-2a"
FIRST = PLAN.subnets[0].model_copy(update={"eni_configs": ()})
TAGS = {"kubernetes.io/role/cni": "1"}
LEAKED = (LeakedInterface(id="eni-1", subnet_id="subnet-0aa", addresses=6),)
CREATE, TAG = PLAN.changes[1], Change(action="tag_subnet", target="subnet-their", description="tag subnet-their")


def plan(**changed: Any) -> Plan:
    return PLAN.model_copy(update={"changes": (CREATE,), "subnets": (FIRST,), **changed})


DISCOVERY = plan(strategy="subnet-discovery", subnets=(FIRST.model_copy(update={"tags": TAGS}),))
THEIRS = plan(
    strategy="subnet-discovery",
    source="existing-subnets",
    block=None,
    subnets=(FIRST.model_copy(update={"id": "subnet-their", "tags": TAGS}),),
    changes=(TAG,),
)
NODE_GROUP = plan(
    strategy="node-group",
    handover=(f"aws eks create-nodegroup --subnets '<subnet of {ZONE}>'", "then drain the old nodes <one by one>"),
)
IPAM = plan(source="ipam-pool", ipam_pool="ipam-pool-1", subnets=PLAN.subnets[:1])
LEAKS = plan(
    strategy="delete-leaked-enis",
    source="none",
    block=None,
    subnets=(),
    leaked_interfaces=LEAKED,
    changes=(Change(action="delete_leaked_eni", target="eni-1", description="delete eni-1, left in subnet-0aa"),),
)


def details_text(document: Plan) -> str:
    return "\n".join(f"{line.label} {line.text}" for line in in_full(document).lines)


@pytest.mark.parametrize(
    ("document", "phrases", "absent"),
    [
        (DISCOVERY, ["`100.64.0.0/22`", "tagged `kubernetes.io/role/cni=1`", "route tables"], ["ENIConfig"]),
        (THEIRS, ["`subnet-their` (100.64.0.0/24), which exists already"], ["CIDR", "route tables", "ENIConfig"]),
        (NODE_GROUP, ["for node groups", "Afterwards manual steps remain: 2 instructions"], ["ENIConfig"]),
        (IPAM, ["as a secondary CIDR, out of the IPAM pool `ipam-pool-1`", "ENIConfig"], []),
        (LEAKS, ["delete eni-1, left in subnet-0aa"], ["CIDR", "route tables", "subnet `"]),
    ],
)
def test_given_a_plan_when_told_in_full_then_it_says_what_is_made_and_no_more(
    document: Plan, phrases: list[str], absent: list[str]
) -> None:
    text = details_text(document)
    assert [words for words in phrases if words not in text] == [], text
    assert [words for words in absent if words in text] == [], text


@pytest.mark.parametrize(
    ("document", "noun", "restored", "deleted"),
    [
        (DISCOVERY, "CIDR `100.64.0.0/22`, 1 subnet, found by its tag", "", "subnets and CIDR"),
        (THEIRS, "1 existing subnet, found by its tag", "tags of your subnets", ""),
        (NODE_GROUP, "CIDR `100.64.0.0/22`, 1 subnet for node groups", "", "subnets and CIDR"),
        (IPAM, "CIDR `100.64.0.0/22`, 1 subnet, 1 ENIConfig", "ENIConfigs", "subnets and CIDR"),
        (LEAKS, "deletion of 1 leaked ENI", "", ""),
        (PLAN, "CIDR `100.64.0.0/22`, 2 subnets, 2 ENIConfigs, custom networking", *taken_back(None)),
    ],
)
def test_given_a_plan_when_told_briefly_then_a_rollback_takes_back_just_that(
    document: Plan, noun: str, restored: str, deleted: str
) -> None:
    assert brief(document) == noun
    assert taken_back(document) == (restored, deleted)


def prepared(**changed: Any) -> Incident:
    done = steps(Step.DIAGNOSE, Step.PLAN, Step.ASSOCIATE_CIDR, Step.CREATE_SUBNETS)
    defaults: dict[str, Any] = {"plan": NODE_GROUP, "steps": done, "outcome": Outcome.PREPARED, "verification": None}
    return healed(**(defaults | {"subnets": {ZONE: "subnet-0cc"}} | changed))


def test_given_subnets_that_are_prepared_then_the_message_has_the_commands_with_their_ids() -> None:
    text = plain(prepared())
    assert "prepared, manual steps remain" in text
    assert "aws eks create-nodegroup --subnets 'subnet-0cc'" in text
    assert "subnet of" not in text
    assert rollback_offered(prepared())
    whole = details(prepared())
    assert whole is not None
    assert any("create-nodegroup --subnets 'subnet-0cc'" in str(block) for block in whole.blocks)
    assert any("&lt;one by one&gt;" in str(block) for block in whole.blocks)


def test_given_settings_of_others_then_what_people_do_is_told_as_theirs() -> None:
    by_hand = tuple(change.model_copy(update={"by_hand": True}) for change in PLAN.changes[3:])
    foreign = PLAN.model_copy(update={"changes": (*PLAN.changes[:3], *by_hand), "handover": ("kubectl apply -f x",)})
    assert "by you: set AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG=true" in details_text(foreign)
    assert "custom networking" not in brief(foreign)
    assert taken_back(foreign) == ("", "subnets and CIDR")


@pytest.mark.parametrize(
    ("document", "open_steps"),
    [
        (DISCOVERY, ["Add the CIDR to the VPC", "Create the subnets", "Verify that the pods run"]),
        (NODE_GROUP, ["Add the CIDR to the VPC", "Create the subnets"]),
        (LEAKS, ["Delete the leaked ENIs", "Verify that the pods run"]),
    ],
)
def test_given_a_plan_that_goes_ahead_then_only_its_own_steps_are_still_to_come(
    document: Plan, open_steps: list[str]
) -> None:
    record = incident(diagnosis=DIAGNOSIS, plan=document, steps=steps(Step.DIAGNOSE, Step.PLAN))
    assert [line.text for line in step_lines(record)] == open_steps


def test_given_leaked_enis_that_are_deleted_then_nothing_is_offered_to_roll_back() -> None:
    done = steps(Step.DIAGNOSE, Step.PLAN, Step.DELETE_LEAKED_ENIS, Step.VERIFY)
    for outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.FAILED):
        assert not rollback_offered(healed(plan=LEAKS, steps=done, outcome=outcome))
    assert "this room does not last" in plain(healed(plan=LEAKS, steps=done))
    failed = steps(Step.DIAGNOSE, Step.PLAN, delete_leaked_enis=StepState.FAILED)
    assert not rollback_offered(healed(plan=LEAKS, steps=failed, outcome=Outcome.FAILED))
    assert "failed before anything was changed" in plain(healed(plan=LEAKS, steps=failed, outcome=Outcome.UNDONE))


@pytest.mark.parametrize(("expected", "reported"), [(4, True), (2, False), (1, False), (None, False)])
def test_given_an_expectation_then_the_message_says_when_it_was_not_met(expected: int | None, reported: bool) -> None:
    result: Verification = VERIFICATION.model_copy(update={"expected": expected, "still_stuck": ("default/x",)})
    text = render(healed(verification=result, outcome=Outcome.PARTLY)).text
    assert ("expected 4 healed now, 2 are" in text) is reported


def test_given_a_rollback_of_tags_when_done_then_it_says_so() -> None:
    done = Rollback(state=RollbackState.DONE, requested_by="U1")
    text = plain(healed(plan=THEIRS, outcome=Outcome.ROLLED_BACK, rollback=done))
    assert "tags of your subnets restored" in text
    assert "deleted" not in text
    assert "free again" not in text
