"""What people read and may press while nodes are replaced."""

from __future__ import annotations

from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import ApprovalState, Incident, Rollback, RollbackState, Step, StepState
from ip_remediator.incidents.replacement_record import (
    NodeReplacement,
    NodeState,
    Replacement,
    ReplacementState,
    ZoneReplacement,
)
from ip_remediator.notifications.messages.message import plain, render
from tests.unit.notifications.test_messages import buttons, texts
from tests.unit.support.records import MADE, OPENED, VERIFICATION, approval, healed, steps

STUCK = VERIFICATION.model_copy(
    update={
        "healed": VERIFICATION.healed[:1],
        "still_stuck": ("default/nginx-2",),
        "nodes_to_replace": ("ip-10-0-0-4", "ip-10-0-1-4"),
    }
)
NODES = {
    "ap-northeast-2a": ZoneReplacement(
        nodes=(NodeReplacement(name="ip-10-0-0-4", instance="i-1", host="auto_scaling", owner="eks-a", pods=6),)
    ),
    "ap-northeast-2b": ZoneReplacement(
        nodes=(NodeReplacement(name="ip-10-0-1-4", instance="i-2", host="karpenter", owner="default-x", pods=5),)
    ),
}


def partly(**fields: Any) -> Incident:
    defaults: dict[str, Any] = {"verification": STUCK, "outcome": Outcome.PARTLY, "steps": steps(*MADE, Step.VERIFY)}
    return healed(**(defaults | fields))


def replacing(state: ReplacementState, step: StepState = StepState.RUNNING, **fields: Any) -> Incident:
    """An incident whose replacement of nodes is in `state`; `replacement` are further fields of its Replacement."""
    replacement = Replacement(
        state=state, requested_by="U0000ONCALL (on-call)", since=OPENED, **fields.pop("replacement", {})
    )
    defaults = {
        "replacement": replacement,
        "replacements": NODES,
        "steps": steps(*MADE, Step.VERIFY, replace_nodes=step),
    }
    return partly(**(defaults | fields))


def test_nodes_to_replace_are_offered_with_the_numbers() -> None:
    record = partly()
    shown = buttons(record)
    assert list(shown) == ["replace", "rollback"]
    assert shown["replace"]["text"]["text"] == "Replace 2 nodes"
    confirmation = shown["replace"]["confirm"]["text"]["text"]
    assert "2 nodes will be drained, terminated and recreated by their node group or Karpenter" in confirmation
    assert "1 pod" in confirmation
    assert "press Replace, or replace these nodes" in texts(render(record))


def test_more_than_a_run_takes_are_not_offered_at_once() -> None:
    many = STUCK.model_copy(update={"nodes_to_replace": tuple(f"n{number}" for number in range(101))})
    assert buttons(partly(verification=many))["replace"]["text"]["text"] == "Replace 100 nodes"


@pytest.mark.parametrize(
    "record",
    [
        healed(),
        partly(outcome=Outcome.ROLLED_BACK),
        partly(rollback=Rollback(state=RollbackState.PAUSED, requested_by="x")),
        partly(outcome=None, closed_at=None),
        replacing(ReplacementState.RUNNING),
    ],
    ids=["nothing to replace", "rolled back", "rollback paused", "open", "under way"],
)
def test_else_they_are_not_offered(record: Incident) -> None:
    assert "replace" not in buttons(record)


def test_while_nodes_are_replaced_nothing_else_can_be_started_and_each_node_is_told() -> None:
    done = NodeState.REPLACED
    first = NODES["ap-northeast-2a"].nodes[0].model_copy(update={"state": done, "new_node": "ip-10-0-0-9 i-9"})
    zones = {**NODES, "ap-northeast-2a": ZoneReplacement(nodes=(first,))}
    record = replacing(ReplacementState.RUNNING, replacements=zones)
    shown = texts(render(record))
    assert "prod: nodes are being replaced" in shown
    assert ":white_check_mark: `ip-10-0-0-4` (ap-northeast-2a) was replaced by `ip-10-0-0-9 i-9`" in shown
    assert "`ip-10-0-1-4` (ap-northeast-2b, Karpenter, NodeClaim `default-x`): 5 pods to be moved" in shown
    assert "replace these nodes" not in shown
    assert list(buttons(record)) == []


def test_a_question_shows_the_numbers_and_both_answers() -> None:
    record = replacing(ReplacementState.ASSESSED, replacement_approval=approval())
    assert "Replace nodes? It waits for your confirmation" in texts(render(record))
    shown = buttons(record)
    assert list(shown) == ["replace_cancel", "replace_confirm"]
    assert "2 nodes in 2 zones, 11 pods to be moved" in shown["replace_confirm"]["confirm"]["text"]["text"]


def test_a_stop_says_why_and_offers_the_rest() -> None:
    reason = "ap-northeast-2a: PodDisruptionBudget default/web keeps default/web-1"
    record = replacing(ReplacementState.STOPPED, StepState.FAILED, replacement={"stopped": (reason,)})
    shown = texts(render(record))
    assert ":warning: prod: the replacement of nodes stopped" in shown
    assert reason in shown
    assert reason in plain(record)
    assert list(buttons(record)) == ["replace", "rollback"]


def test_a_cancelled_one_leaves_the_result_and_a_new_offer() -> None:
    answer = approval(ApprovalState.REJECTED, decided_by="U1", decided_at=OPENED)
    record = replacing(ReplacementState.CANCELLED, StepState.SKIPPED, replacement_approval=answer)
    shown = texts(render(record))
    assert ":warning: prod: partly healed" in shown
    assert "Replacement of nodes cancelled, nothing was changed" in shown
    block, fresh = (_offer(item) for item in (record, partly()))
    assert block != fresh


def test_when_all_are_replaced_the_outcome_is_the_headline() -> None:
    cured = STUCK.model_copy(update={"still_stuck": (), "nodes_to_replace": ()})
    record = replacing(ReplacementState.DONE, StepState.DONE, outcome=Outcome.HEALED, verification=cured)
    shown = texts(render(record))
    assert ":white_check_mark: prod: healed" in shown
    assert "Nodes replaced" in shown
    assert list(buttons(record)) == ["rollback"]


def _offer(record: Incident) -> str:
    return next(str(block["block_id"]) for block in render(record).blocks if block["type"] == "actions")
