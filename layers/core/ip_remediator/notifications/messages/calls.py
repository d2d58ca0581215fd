"""Replies in the thread of the incident's message that call people.

An edited message notifies nobody, a new reply does. So when a decision is needed, or when something failed, healed only
partly or expired, a reply says so, mentions who should act, and is edited once it is settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ip_remediator.common.actor import SOMEBODY
from ip_remediator.common.enums import Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Approval, ApprovalState, Incident, RollbackState, Step, StepState
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator.notifications.messages.cause import diagnosed, problem, since_diagnosis
from ip_remediator.notifications.messages.headline import headline
from ip_remediator.notifications.messages.planned import action
from ip_remediator.notifications.messages.state import (
    NO_PLAN,
    asked,
    cluster_name,
    current_failure,
    replacement_asked,
    rollback_asked,
    state_of,
)
from ip_remediator.notifications.messages.text import (
    clock,
    cut,
    first_upper,
    mention,
    moment,
    mrkdwn,
    person,
    prose,
    words,
)

_CALLING = (Outcome.FAILED, Outcome.UNDONE, Outcome.PARTLY, Outcome.NOT_CURABLE)
_QUESTION = "question"
_DECIDED = {
    ApprovalState.APPROVED: "approved",
    ApprovalState.REJECTED: "left as it is",
}


@dataclass(frozen=True)
class Call:
    """`about` tells it from every other call of the incident, and stays the same while it is about the same thing.
    `text`: plain, with references. `whom`: as for `mention`."""

    about: str
    emoji: str
    text: str
    whom: str = ""

    @property
    def mrkdwn(self) -> str:
        """The call in Slack's markup, with the mention."""
        return " ".join(piece for piece in (self.emoji, mention(self.whom), mrkdwn(self.text)) if piece)


def calls(incident: Incident, whom: str) -> list[Call]:
    """What people are called for now. `whom` is mentioned (see `mention`), unless a person asked for it in Slack."""
    return [*_questions(incident, whom), *_endings(incident, whom), *_stopped_changes(incident, whom)]


def settled(incident: Incident, about: str) -> Call:
    """The edited reply about something that people are no longer called for."""
    kind, _, id_ = about.partition(" ")
    became = _answer(incident, id_) if kind == _QUESTION else f"settled, now: {headline(incident).words}"
    return Call(about, ":heavy_check_mark:", f"{cluster_name(incident)}: {became}")


def _questions(incident: Incident, whom: str) -> Iterator[Call]:
    question = asked(incident)
    if question and incident.plan:
        text_of_question = f"{cluster_name(incident)}: {problem(incident)}. {action(incident.plan)}?"
        until = f"Decide by {clock(question.expires_at)}"
        yield Call(
            f"{_QUESTION} {question.id}",
            ":rotating_light:",
            f"{text_of_question} {until}; without an answer nothing changes.",
            whom,
        )
        if question.reminded_at:
            yield Call(f"{_QUESTION} {question.id} reminder", ":alarm_clock:", _reminder(incident, question), whom)
        if since_diagnosis(incident) and not diagnosed(incident):
            waiting = f"{counted(since_diagnosis(incident), 'pod')} started to wait for an address"
            text = f"{cluster_name(incident)}: since the question was asked, {waiting}. {until}."
            yield Call(f"{_QUESTION} {question.id} urgent", ":rotating_light:", text, whom)
    for answer, by in (
        (rollback_asked(incident), incident.rollback),
        (replacement_asked(incident), incident.replacement),
    ):
        if answer and by:
            text = f"{cluster_name(incident)}: {headline(incident).words}, until {clock(answer.expires_at)}."
            yield Call(f"{_QUESTION} {answer.id}", ":raised_hand:", text, by.requested_by.slack_user or whom)


def _reminder(incident: Incident, question: Approval) -> str:
    minutes = max(1, round((question.expires_at - (question.reminded_at or question.asked_at)).total_seconds() / 60))
    return (
        f"{cluster_name(incident)}: the plan still waits for an answer, until {moment(question.expires_at)} "
        f"(about {minutes} min). Without an answer nothing changes, and the pods go on waiting."
    )


def _endings(incident: Incident, whom: str) -> Iterator[Call]:
    """How a remediation ended, if it ended without a cure."""
    ended = _standing(incident)
    if incident.outcome in _CALLING:
        why = current_failure(incident)
        as_text = prose if why and why.error == NO_PLAN else words
        reason = f" {as_text(cut(why.message, 200))}" if why else ""
        yield Call(f"outcome {incident.outcome}", ":warning:", f"{ended}{reason}", whom)
    expired = incident.approval is not None and incident.approval.state is ApprovalState.EXPIRED
    if incident.outcome is Outcome.REJECTED and expired:
        yield Call("outcome expired", ":warning:", f"{ended} {first_upper(problem(incident))}.", whom)


def _stopped_changes(incident: Incident, whom: str) -> Iterator[Call]:
    """A rollback or a replacement of nodes that stopped half-way."""
    rollback, replacement = incident.rollback, incident.replacement
    paused = rollback is not None and rollback.state is RollbackState.PAUSED
    if paused and incident.outcome is not Outcome.ROLLED_BACK and _failed(incident, Step.ROLLBACK):
        yield Call(_about_step("rollback", incident, Step.ROLLBACK), ":warning:", _standing(incident), whom)
    stopped = replacement is not None and replacement.state is ReplacementState.STOPPED
    if stopped and _failed(incident, Step.REPLACE_NODES):
        yield Call(_about_step("replacement", incident, Step.REPLACE_NODES), ":warning:", _standing(incident), whom)


def _failed(incident: Incident, step: Step) -> bool:
    return state_of(incident, step) is StepState.FAILED


def _about_step(change: str, incident: Incident, step: Step) -> str:
    """The time makes a change that fails again later a new reason to call people."""
    return f"{change} {incident.steps[step].at.isoformat()}"


def _standing(incident: Incident) -> str:
    return f"{cluster_name(incident)}: {headline(incident).words}."


def _answer(incident: Incident, id_: str) -> str:
    """Which question it was, and what became of it: in one channel there may be several, of several clusters. `id_`
    may have a word behind it that says which reply about it is meant."""
    does = f"{action(incident.plan)}?" if incident.plan else "The plan?"
    for text, question in zip((does, "Roll back?", "Replace nodes?"), incident.questions, strict=True):
        if question and question.id == id_.partition(" ")[0]:
            return f"{text} Settled, {_became(incident, question)}"
    return "settled, a newer question replaced it"


def _became(incident: Incident, answer: Approval) -> str:
    if answer.state is ApprovalState.EXPIRED:
        return f"nobody answered until {moment(answer.expires_at)}"
    if answer.state is ApprovalState.PENDING:
        return f"now: {headline(incident).words}"
    when = answer.decided_at or answer.expires_at
    return f"{_DECIDED[answer.state]} by {person(answer.decided_by or SOMEBODY)}, {moment(when)}"
