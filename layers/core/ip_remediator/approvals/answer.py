"""Answers a question and resumes the execution that waits for it. Clicks in Slack and the command line both use it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.common.actor import Actor
from ip_remediator.incidents.record import ApprovalState

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from ip_remediator.approvals.questions import Approvals


def answer(
    approvals: Approvals, sfn: SFNClient, question: str, *, approved: bool, by: Actor, evict: bool | None = None
) -> str | None:
    """Answers the question of that id in the name of `by`. Returns what the person should be told when the answer
    changed nothing; None when the execution goes on with it.

    `evict`: for a question about a rollback, whether pods are moved off the block; None for every other question.
    Safe to repeat: the first answer counts, and the same answer by the same person resumes the execution again.

    Raises:
        ApprovalRefused: the question does not exist, expired, or has another answer.
        The errors of `common.errors`: nothing is lost, try again.
    """
    state = ApprovalState.APPROVED if approved else ApprovalState.REJECTED
    decision = approvals.decide(question, state, by)
    output: dict[str, object] = {"approved": approved, "by": str(by), "plan_hash": decision.plan_hash}
    if evict is not None:
        output["evict"] = evict
    with aws_call("SendTaskSuccess"):
        exceptions = sfn.exceptions
        try:
            sfn.send_task_success(taskToken=decision.task_token, output=json.dumps(output))
        except (exceptions.TaskTimedOut, exceptions.TaskDoesNotExist, exceptions.InvalidToken):
            no_longer = f"The execution of {decision.incident_id} no longer waits for an answer"
            if decision.repeated:
                return f"Your earlier answer was taken. {no_longer}."
            return f"{no_longer}: it has one, or it ended."
    return None
