"""What the message tells at each stage: while people decide, everything they need; afterwards what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.approvals.policy import PEOPLE_DECIDE
from ip_remediator.common.enums import Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import (
    Approval,
    ApprovalState,
    HealedPod,
    Incident,
    Step,
    SubnetBalance,
    Verification,
)
from ip_remediator.notifications.messages import planned
from ip_remediator.notifications.messages.advice import next_steps
from ip_remediator.notifications.messages.cause import cause_line, evidence, signals, zones
from ip_remediator.notifications.messages.replacing import replacement
from ip_remediator.notifications.messages.rolling_back import rollback, rollback_shown
from ip_remediator.notifications.messages.state import NO_PLAN, STEP_WORDS, asked, step_lines
from ip_remediator.notifications.messages.text import Line, Part, code, items, listed, moment, names, words

_SUBNETS_NAMED = 4
_UNTOUCHED = (Outcome.OBSERVED, Outcome.REJECTED, Outcome.NOT_CURABLE, Outcome.NOT_NEEDED)


def parts(incident: Incident) -> list[Part]:
    """The paragraphs, in the order in which a person who was just woken up asks for them."""
    return [part for part in _parts(incident) if part.lines]


def _parts(incident: Incident) -> Iterator[Part]:
    question = asked(incident)
    yield Part("", _summary(incident, in_full=question is not None or incident.outcome == Outcome.OBSERVED))
    if incident.diagnosis is None:
        yield signals(incident)
    if incident.outcome == Outcome.NOT_CURABLE:
        yield zones(incident) if incident.diagnosis and incident.diagnosis.curable else evidence(incident)
    if incident.plan and (question or incident.outcome == Outcome.OBSERVED):
        yield zones(incident)
        yield planned.in_full(incident.plan)
        yield planned.risks(incident.plan)
    yield Part("", [Line(words(note), "medium") for note in _settings_not_understood(incident)])
    if question:
        yield Part("", list(_question(question, incident)))
        return
    if incident.outcome not in (*_UNTOUCHED, Outcome.ROLLED_BACK, Outcome.HEALED):
        yield Part("Steps", step_lines(incident), limit=1200)
    if incident.verification and not rollback_shown(incident):
        yield _result(incident.verification)
    if incident.outcome == Outcome.PREPARED and incident.plan and not rollback_shown(incident):
        yield planned.handed_over(incident.plan, incident.subnets)
    if not rollback_shown(incident):
        yield replacement(incident)
    yield rollback(incident)
    if _failed(incident):
        yield _failure(incident)
    yield Part(_advice_title(incident), [Line(advice) for advice in next_steps(incident)], limit=600)


def _advice_title(incident: Incident) -> str:
    refused = incident.failure is not None and incident.failure.error == NO_PLAN
    return "What else would help" if refused else "What to do"


def _summary(incident: Incident, *, in_full: bool) -> list[Line]:
    """Cause, plan and decision, a line each; the plan is left out where it is told in full."""
    lines = [cause_line(incident)]
    if incident.plan and not in_full:
        lines.append(Line(planned.brief(incident.plan), "none", label=_plan_label(incident.outcome)))
    approval = incident.approval
    if approval and approval.state != ApprovalState.PENDING:
        lines.append(_decision(approval))
    decided = incident.steps.get(Step.PLAN)
    if decided and decided.note and incident.outcome == Outcome.OBSERVED:
        lines.append(Line(words(decided.note), "none", label="Decision"))
    return lines


def _plan_label(outcome: Outcome | None) -> str:
    if outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.PREPARED):
        return "Made"
    return "Removed" if outcome == Outcome.ROLLED_BACK else "Plan"


def _decision(approval: Approval) -> Line:
    if approval.state == ApprovalState.EXPIRED:
        return Line(f"until {moment(approval.expires_at)}, which is a rejection", "none", label="No answer")
    who, when = words(approval.decided_by or "somebody"), approval.decided_at or approval.expires_at
    return Line(f"by {who}, {moment(when)}", "none", label=approval.state.capitalize())


def _settings_not_understood(incident: Incident) -> tuple[str, ...]:
    return incident.policy.notes[:3] if incident.policy and incident.open else ()


def _question(approval: Approval, incident: Incident) -> Iterator[Line]:
    if approval.why and approval.why != PEOPLE_DECIDE:
        yield Line(words(approval.why), "none", label="Why you are asked")
    free = f" and {code(incident.plan.block)} becomes free again" if incident.plan and incident.plan.block else ""
    silence = f"by {moment(approval.expires_at)}, that is a rejection: nothing is changed{free}"
    yield Line(silence, "none", label="If nobody answers")


def _result(verification: Verification) -> Part:
    healed, stuck = verification.healed, verification.still_stuck
    every = len(healed) + len(stuck)
    lines = [Line(f"{len(healed)} of {counted(every, 'pod')} {'runs' if every == 1 else 'run'} again", "none")]
    lines += items((_healed(pod) for pod in healed), shown=6, mark="done")
    lines += [Line(f"{names(stuck)} still {'waits' if len(stuck) == 1 else 'wait'}", "failed")] if stuck else []
    if verification.shortfall:
        lines.append(Line(f"expected {verification.expected} healed now, {len(healed)} are", "failed"))
    lines += [Line(f"{names(verification.gone)} gone meanwhile")] if verification.gone else []
    served = sorted({subnet.zone for subnet in verification.subnets})
    lines += items((_balance(zone, verification) for zone in served), shown=6)
    return Part("Result", lines, limit=1300)


def _healed(pod: HealedPod) -> str:
    name, zone = f"{pod.namespace}/{pod.name}", pod.zone or "zone unknown"
    return f"{code(name)} has {code(pod.address or '?')} ({words(zone)})"


def _balance(zone: str, verification: Verification) -> str:
    """Free addresses of a zone's subnets before and after; a subnet without a before was made by us."""
    subnets = [subnet for subnet in verification.subnets if subnet.zone == zone]
    told = [_told_free(subnet) for subnet in subnets]
    before = [subnet.before for subnet in subnets if subnet.before is not None]
    was = f"{sum(before):,} free before, now " if before else "now free: "
    return f"{words(zone)}: {was}{listed(told[:_SUBNETS_NAMED])}"


def _told_free(subnet: SubnetBalance) -> str:
    free = "an unknown number" if subnet.after is None else f"{subnet.after:,}"
    return f"{free} in {'the new ' if subnet.before is None else ''}{code(subnet.cidr)}"


def _failed(incident: Incident) -> bool:
    """Whether the failure recorded last is still true: a rollback that was done at last has none."""
    return incident.failure is not None and incident.outcome != Outcome.ROLLED_BACK


def _failure(incident: Incident) -> Part:
    failure = incident.failure
    if failure is None:
        return Part("What happened", [])
    if failure.error == NO_PLAN:
        return Part("Why there is no plan", [Line(words(failure.message), "none")])
    step = next((text for step, text in STEP_WORDS.items() if step == failure.step), words(failure.step))
    lines = [Line(f"{step}: {words(failure.error)}", "failed"), Line(code(failure.message), "none")]
    if failure.stands:
        lines.append(Line(words(failure.stands), "none", label="What stands"))
    return Part("What happened", lines)
