"""What the function `plan` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.incidents.record import AskReason
from ip_remediator.remediation.close import waits
from ip_remediator.remediation.plan import Approved, Proposer


@dataclass(frozen=True)
class PlanWork:
    """`minutes`: how long a question is open."""

    proposer: Proposer
    minutes: int


class MakePlan(OfIncident):
    """`approved`: the plan that people approved before; None when nobody was asked yet."""

    approved: Approved | None = None


class Proposed(Result):
    """Who decides about the plan, why, and how long a question about it is open."""

    decision: str
    why: str
    reason: AskReason | None = None
    hash: str
    block: str | None
    strategy: str
    prepares_only: bool
    zones: list[str]
    approval_minutes: int
    ask_seconds: int
    remind_seconds: int


PLAN: ActionTable[PlanWork] = ActionTable()


@PLAN.action(MakePlan, Proposed, Effect.READS)
def plan(work: PlanWork, asked: MakePlan) -> Proposed:
    """Makes the plan, reserves its block, and says who decides. Raises CannotPlan, VpcLocked."""
    proposed: dict[str, Any] = work.proposer.propose(asked.incident, asked.approved, asked.execution)
    return Proposed(**proposed, **waits(work.minutes, again=asked.approved is not None))
