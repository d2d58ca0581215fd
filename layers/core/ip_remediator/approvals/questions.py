"""Questions to people. Each is bound to a plan's hash, expires, is answered once, and never shows its task token."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Records
from ip_remediator.common.actor import Actor
from ip_remediator.common.document import SCHEMA
from ip_remediator.incidents.record import Approval, ApprovalState, AskReason
from ip_remediator.incidents.timeline import AUTOMATIC, EventDetail, Stage, State
from ip_remediator.incidents.timeline_items import timeline_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock


class ApprovalRefused(Exception):
    """The question cannot be answered (any more): unknown, expired or answered. The message says which."""


@dataclass(frozen=True)
class AnsweredQuestion:
    """The incident whose execution waits on `task_token`, and the plan. `repeated`: the same answer was given
    before."""

    incident_id: str
    task_token: str
    plan_hash: str
    repeated: bool = False


class Approvals:
    """The questions of plans and changes, each stored with its task token before people see it."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._records = Records(table)
        self._clock = clock

    def ask(
        self,
        incident: str,
        plan_hash: str,
        task_token: str,
        expires_at: datetime,
        shown_as: str = "approval",
        why: str = "",
        reason: AskReason | None = None,
        usual_seconds: int | None = None,
    ) -> Approval:
        """Stores a question in the record, as its attribute `shown_as` ("approval" is about the plan,
        "rollback_approval" about a rollback); the answer goes to whoever waits on `task_token`. `why`, `reason`: what
        made the remediator ask. `usual_seconds`: how long such plans took earlier."""
        approval = Approval(
            id=secrets.token_urlsafe(12),
            state=ApprovalState.PENDING,
            plan_hash=plan_hash,
            asked_at=self._clock(),
            expires_at=expires_at,
            why=why,
            reason=reason,
            usual_seconds=usual_seconds,
        )
        question = {
            **_key(approval.id),
            "incident_id": incident,
            "task_token": task_token,
            "shown_as": shown_as,
            "approval": approval.model_dump_json(),
            "schema": SCHEMA,
        }
        self._records.transact(
            [self._records.putting(question), *self._show(incident, approval, shown_as, State.PENDING)]
        )
        return approval

    def decide(self, approval_id: str, state: ApprovalState, by: Actor) -> AnsweredQuestion:
        """Answers the question; the first answer counts. The same answer of the same person may be given again: whoever
        resumes the execution may have crashed before doing so.

        Raises:
            ApprovalRefused: unknown, expired or answered already.
        """
        question = self._records.get(**_key(approval_id))
        if question is None:
            raise ApprovalRefused("this request doesn't exist or has already been removed")
        now = self._clock()
        asked = Approval.model_validate_json(str(question["approval"]))
        incident, token, answer = str(question["incident_id"]), str(question["task_token"]), f"{state} by {by}"
        decision = AnsweredQuestion(incident, token, asked.plan_hash)
        if "answer" in question:
            # Not shown again: the record may have a newer question.
            if question["answer"] == answer:
                return replace(decision, repeated=True)
            raise ApprovalRefused(f"the question about {incident} was answered already")
        if now >= asked.expires_at:
            expired = f"{asked.expires_at:%H:%M} UTC"
            raise ApprovalRefused(f"the question about {incident} expired at {expired}, which is a rejection")
        decided = asked.model_copy(update={"state": state, "decided_at": now, "decided_by": by})
        claim = self._records.setting(
            _key(approval_id),
            {"answer": answer, "task_token": token},
            "attribute_not_exists(answer) AND task_token = :token",
            {":token": token},
        )
        try:
            self._records.transact(
                [claim, *self._show(incident, decided, str(question["shown_as"]), State(state), str(by))]
            )
        except ConditionFailed:
            return self.decide(approval_id, state, by)  # answered, or asked again, since it was read
        return decision

    def remind(self, incident: str, asked: Approval, task_token: str) -> bool:
        """Records that people were reminded, and that `task_token` waits from now on. Returns False if the question was
        answered in the meantime, for the task that waited before."""
        reminded = asked.model_copy(update={"reminded_at": self._clock()})
        change = self._records.setting(
            _key(asked.id),
            {"task_token": task_token, "approval": reminded.model_dump_json()},
            "attribute_exists(pk) AND attribute_not_exists(answer)",
        )
        try:
            self._records.transact([change, *self._show(incident, reminded, "approval", State.REMINDED)])
        except ConditionFailed:
            return False
        return True

    def _show(
        self, incident: str, approval: Approval, shown_as: str, state: State, by: str = AUTOMATIC
    ) -> list[dict[str, object]]:
        record = {"pk": f"INCIDENT#{incident}", "sk": "META"}
        facts = EventDetail(plan_hash=approval.plan_hash, expires_at=approval.expires_at)
        event = timeline_item(incident, self._clock(), Stage(shown_as), state, approval.why, by, facts)
        return [
            self._records.setting(record, {shown_as: approval.model_dump_json()}),
            self._records.putting(event),
        ]


def _key(approval_id: str) -> dict[str, str]:
    return {"pk": f"APPROVAL#{approval_id}", "sk": "TOKEN"}
