"""`ip-remediator approve` and `reject`: the answer to an open question, where Slack has no buttons or is away."""

from __future__ import annotations

import sys
from argparse import Namespace
from dataclasses import dataclass

from ip_remediator.approvals.answer import answer
from ip_remediator.approvals.questions import ApprovalRefused, Approvals
from ip_remediator.common.actor import SOMEBODY, Actor
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.record import Approval, Incident
from ip_remediator.notifications.messages.planned import action
from ip_remediator_cli.commands.status import describe_replacement, describe_rollback
from ip_remediator_cli.errors import OK, BadInput, CommandError
from ip_remediator_cli.open_questions import NODES, PLAN, ROLLBACK, open_question
from ip_remediator_cli.plan_text import describe_plan
from ip_remediator_cli.records import choose_incident
from ip_remediator_cli.tables import page


@dataclass(frozen=True)
class OpenQuestion:
    """`text` is what is asked; `shown` is what a person should have read before answering."""

    text: str
    approval: Approval
    shown: str
    of_rollback: bool = False


def run(arguments: Namespace) -> int:
    """Runs `approve` or `reject`: shows the open question, asks, and answers it; returns the exit status."""
    aws, deployment, _, incident = choose_incident(arguments, asking=True)
    question = question_of(incident)
    _check(arguments, question)
    print(f"{question.shown}\n\n{question.text} (open until {question.approval.expires_at:%Y-%m-%d %H:%M} UTC)")
    if not (arguments.yes or confirmed(f"{incident.cluster}: {'approve' if arguments.approved else 'reject'}?")):
        raise CommandError("nothing was answered, because nobody said yes: the question stays open")
    try:
        note = answer(
            Approvals(aws.table(deployment.output("IncidentsTableName")), utc_now),
            aws.client("stepfunctions"),
            question.approval.id,
            approved=arguments.approved,
            by=Actor.aws(aws.caller()[1]),
            evict=arguments.evict if question.of_rollback else None,
        )
    except ApprovalRefused as refusal:
        raise CommandError(f"{refusal}; see `ip-remediator status {incident.id}`") from refusal
    print(note or f"{'approved' if arguments.approved else 'rejected'}; follow it: ip-remediator status {incident.id}")
    return OK


def question_of(incident: Incident) -> OpenQuestion:
    """What the incident waits for people to decide.

    Raises:
        BadInput: it waits for nothing.
    """
    question = open_question(incident)
    if question:
        about, approval = question
        texts = {
            PLAN: (action(incident.plan), describe_plan(incident.cluster, incident.plan)),
            ROLLBACK: ("Roll back", describe_rollback(incident)),
            NODES: ("Replace nodes", describe_replacement(incident)),
        }
        text, shown = texts[about]
        head = f"incident {incident.id}"
        return OpenQuestion(f"{incident.cluster}: {text}?", approval, page(head, shown), about == ROLLBACK)
    again = "" if incident.open else f", or ask again with `ip-remediator start --cluster {incident.cluster}`"
    raise BadInput(
        f"INCIDENT: {incident.id} waits for no answer{_answered(incident)}; "
        f"see `ip-remediator status {incident.id}`{again}"
    )


def _answered(incident: Incident) -> str:
    """The last answer, so that who answers second knows why it is too late."""
    answered = [approval for approval in incident.questions if approval and approval.decided_at]
    if not answered:
        return ""
    last = max(answered, key=lambda approval: approval.decided_at or approval.asked_at)
    return f": {last.state} by {last.decided_by or SOMEBODY} at {last.decided_at:%Y-%m-%d %H:%M} UTC"


def _check(arguments: Namespace, question: OpenQuestion) -> None:
    if arguments.evict and not question.of_rollback:
        raise BadInput("--evict: the open question is not about a rollback; leave it out")
    wanted, present = arguments.plan, question.approval.plan_hash
    if wanted and not present.startswith(wanted):
        raise BadInput(f"--plan: the open question is about plan {present}, not {wanted}; read that plan first")


def confirmed(question: str) -> bool:
    """Asks at a terminal. Elsewhere `--yes` must have been given.

    Raises:
        BadInput: nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise BadInput("standard input is no terminal, so nobody can be asked: read the above, then add --yes")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:  # Ctrl-D
        print()
        return False
