"""A plan in four short fields, for a decision within seconds: what is wrong, what it does, what it touches, the
risk."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Approval, AskReason, Incident
from ip_remediator.notifications.messages import planned
from ip_remediator.notifications.messages.cause import sentence
from ip_remediator.notifications.messages.text import Line, Part, clock, code, first_upper, names, words
from ip_remediator.planning.model import Plan
from ip_remediator.risks.model import highest

_FIELD = 600
_TELL_MINUTES = 120


def fields(incident: Incident, plan: Plan) -> list[Part]:
    """What is wrong, what the plan does, what it touches, and what may break."""
    nodes = sum(zone.nodes for zone in incident.diagnosis.zones) if incident.diagnosis else 0
    touches = f"{planned.touches(plan, nodes)}{_usual(incident.approval)}"
    worst = highest(plan.risks)
    title = f"Risk: {worst.name.lower()} ({len(plan.risks)})" if worst else "Risk: none found"
    risks = planned.risk_lines(plan, shown=2) or [Line("Nothing is known that would break", "none")]
    return [
        Part("What is wrong", [Line(first_upper(sentence(incident)), "none"), *_pods(incident)], limit=_FIELD),
        Part("What it does", [Line(f"{planned.does(plan)}. {first_upper(planned.cost(plan))}", "none")], limit=_FIELD),
        Part("What it touches", [Line(touches, "none")], limit=_FIELD),
        Part(title, risks, limit=900),
    ]


def _pods(incident: Incident) -> list[Line]:
    pods = incident.signals.pods
    return [Line(f"Waiting: {names(pods, shown=1)}", "none")] if pods else []


def _usual(approval: Approval | None) -> str:
    """How long it took in earlier incidents; nothing where none is known."""
    if approval is None or approval.usual_seconds is None:
        return ""
    return f". Took {lasted(approval.usual_seconds)} in earlier incidents"


def conditions(plan: Plan, approval: Approval) -> Iterator[Line]:
    """Why people are asked, and what happens if nobody answers."""
    if approval.why and approval.reason is not AskReason.MODE:
        yield Line(words(approval.why), "none", label="Why you are asked")
    free = f" and {code(plan.block)} is released" if plan.block else ""
    silence = f"by {clock(approval.expires_at)}, the plan is rejected: nothing changes{free}"
    yield Line(silence, "none", label="If nobody answers")
    yield Line(planned.undoable(plan), "none", label="Undo")
    if plan.prepares_only:
        instructions = counted(len(plan.handover), "instruction")
        yield Line(f"manual steps remain: {instructions}, in the details", "none", label="Afterwards")


def deadline(approval: Approval) -> str:
    """Until when it waits: decide by 11:00."""
    return f"decide by {clock(approval.expires_at)}{', expires soon' if approval.reminded_at else ''}"


def lasted(seconds: float) -> str:
    """40 s, 3 min, 2 h 5 min"""
    rounded = max(0, round(seconds))
    if rounded < _TELL_MINUTES:
        return f"{rounded} s"
    minutes = round(rounded / 60)
    return f"{minutes} min" if minutes < _TELL_MINUTES else f"{minutes // 60} h {minutes % 60} min"
