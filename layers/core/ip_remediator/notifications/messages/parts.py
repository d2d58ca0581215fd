"""The paragraphs of the message: while people decide, what they need to decide; afterwards, the result."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.actor import SOMEBODY
from ip_remediator.common.enums import Outcome
from ip_remediator.common.text import counted
from ip_remediator.incidents.calls_by_others import CallByOther
from ip_remediator.incidents.record import (
    Approval,
    ApprovalState,
    Failure,
    HealedPod,
    Incident,
    Step,
    StepState,
    SubnetBalance,
    Verification,
)
from ip_remediator.notifications.messages import planned
from ip_remediator.notifications.messages.advice import next_steps, remaining
from ip_remediator.notifications.messages.cause import cause_line, evidence, signals, zones
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.question import conditions, fields
from ip_remediator.notifications.messages.replacing import replacement
from ip_remediator.notifications.messages.rolling_back import rollback, rollback_shown
from ip_remediator.notifications.messages.state import (
    NO_PLAN,
    anything_made,
    asked,
    current_failure,
    failed_step,
    replacement_asked,
    rollback_asked,
    step_lines,
)
from ip_remediator.notifications.messages.text import (
    Line,
    Part,
    code,
    cut,
    items,
    listed,
    moment,
    names,
    person,
    prose,
    words,
)
from ip_remediator.watchdog.rules import maybe_stopped_by_others

_SUBNETS_NAMED = 4
_UNTOUCHED = (Outcome.OBSERVED, Outcome.REJECTED, Outcome.NOT_CURABLE, Outcome.NOT_NEEDED)


def decision_fields(incident: Incident) -> list[Part]:
    """The four fields of a plan that people decide about; empty at every other stage."""
    if incident.plan and (asked(incident) or incident.outcome is Outcome.OBSERVED):
        return fields(incident, incident.plan)
    return []


def question_parts(incident: Incident) -> list[Part]:
    """What people should know before they confirm a rollback or a replacement of nodes, while they are asked."""
    if rollback_asked(incident):
        return [rollback(incident)]
    return [replacement(incident)] if replacement_asked(incident) else []


def parts(incident: Incident, site: Site) -> list[Part]:
    """The paragraphs, in the order in which somebody on call needs them; without those of `question_parts`."""
    above = question_parts(incident)
    return [part for part in _parts(incident, site) if part.lines and part not in above]


def in_full(incident: Incident, site: Site) -> list[Part]:
    """What a terminal shows in place of the Details button: every change and risk of the plan."""
    if incident.plan is None or not decision_fields(incident):
        return []
    all_parts = [zones(incident), planned.in_full(incident.plan), planned.risks(incident.plan, site)]
    return [part for part in all_parts if part.lines]


def _parts(incident: Incident, site: Site) -> Iterator[Part]:
    question = asked(incident)
    yield Part("", [Line(words(note), "note") for note in _settings_not_understood(incident)])
    if question and incident.plan:
        yield Part("", list(conditions(incident.plan, question)))
        return
    yield Part("", _summary(incident))
    if incident.diagnosis is None:
        yield signals(incident)
    if incident.outcome == Outcome.NOT_CURABLE:
        yield zones(incident) if incident.diagnosis and incident.diagnosis.curable else evidence(incident)
    if incident.outcome not in (*_UNTOUCHED, Outcome.ROLLED_BACK, Outcome.HEALED) and not _failed_at_once(incident):
        yield Part("Steps", step_lines(incident), limit=1200)
    yield from _results(incident)
    yield rollback(incident)
    failure = current_failure(incident)
    if failure:
        yield _failure(incident, failure)
    yield _others(incident)
    yield Part(_remaining_title(incident), remaining(incident, site), limit=700)
    yield Part(_advice_title(incident), [Line(advice) for advice in next_steps(incident, site)], limit=900)


def _results(incident: Incident) -> Iterator[Part]:
    """The result, unless a rollback has replaced it."""
    if rollback_shown(incident):
        return
    if incident.verification:
        yield _result(incident.verification)
    if incident.outcome == Outcome.PREPARED and incident.plan:
        yield planned.handed_over(incident.plan, incident.subnets)
    yield replacement(incident)
    if incident.plan and incident.outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.PREPARED):
        yield Part("Risks that stay", planned.risk_lines(incident.plan), limit=900)


def _failed_at_once(incident: Incident) -> bool:
    """Whether it failed before any change was tried; then the failure says everything."""
    return incident.outcome is Outcome.UNDONE and not anything_made(incident)


def _remaining_title(incident: Incident) -> str:
    return "After the rollback" if incident.outcome is Outcome.ROLLED_BACK else "Still wrong"


def _advice_title(incident: Incident) -> str:
    refused = incident.failure is not None and incident.failure.error == NO_PLAN
    return "What else would help" if refused else "What to do"


def _summary(incident: Incident) -> list[Line]:
    """Cause, plan and decision, a line each; cause and plan are left out where the fields have them."""
    lines = [] if decision_fields(incident) else [cause_line(incident)]
    if incident.plan and not decision_fields(incident):
        lines.append(Line(planned.brief(incident.plan), "none", label=_plan_label(incident.outcome)))
    approval = incident.approval
    if approval and approval.state != ApprovalState.PENDING:
        lines.append(_decision(approval))
    ahead, decided = incident.steps.get(Step.APPROVE), incident.steps.get(Step.PLAN)
    if ahead and ahead.state is StepState.SKIPPED and approval is None:
        lines.append(Line(f"{words(ahead.note)}{_risks_taken(incident)}", "none", label="Went ahead without asking"))
    if decided and decided.note and incident.outcome == Outcome.OBSERVED:
        lines.append(Line(words(decided.note), "none", label="Decision"))
    return lines


def _risks_taken(incident: Incident) -> str:
    risks = incident.plan.risks if incident.plan else ()
    ordered = sorted(risks, key=lambda risk: -risk.severity)
    taken = [f"{words(risk.id)} ({risk.severity.name.lower()})" for risk in ordered[:5]]
    more = f" and {len(ordered) - 5} more" if ordered[5:] else ""
    return f"; risks taken: {', '.join(taken)}{more}" if taken else "; no risk is known"


def _plan_label(outcome: Outcome | None) -> str:
    return "Made" if outcome in (Outcome.HEALED, Outcome.PARTLY, Outcome.PREPARED) else "Plan"


def _decision(approval: Approval) -> Line:
    if approval.state == ApprovalState.EXPIRED:
        return Line(f"until {moment(approval.expires_at)}, which is a rejection", "none", label="No answer")
    who, when = person(approval.decided_by or SOMEBODY), approval.decided_at or approval.expires_at
    label = "Approved" if approval.state is ApprovalState.APPROVED else "Left as it is"
    return Line(f"by {who}, {moment(when)}", "none", label=label)


def _settings_not_understood(incident: Incident) -> tuple[str, ...]:
    return incident.policy.notes[:3] if incident.policy and incident.open else ()


def _result(verification: Verification) -> Part:
    healed, stuck = verification.healed, verification.still_stuck
    total = len(healed) + len(stuck)
    running = f"{len(healed)} of {counted(total, 'pod')} {'is' if total == 1 else 'are'} running"
    lines = [Line(running, "none")] if total or not verification.joined else []
    lines += items((f"node {code(name)} has joined" for name in verification.joined), shown=6, mark="done")
    lines += items((_healed(pod) for pod in healed), shown=6, mark="done")
    lines += _stuck(verification)
    if verification.shortfall:
        lines.append(Line(f"expected {verification.expected} healed now, {len(healed)} are", "failed"))
    lines += [Line(f"{names(verification.gone)} gone meanwhile")] if verification.gone else []
    zones_of_subnets = sorted({subnet.zone for subnet in verification.subnets})
    lines += items((_balance(zone, verification) for zone in zones_of_subnets), shown=6)
    return Part("Result", lines, limit=1300)


def _stuck(verification: Verification) -> list[Line]:
    homeless = verification.without_node
    waiting = [pod for pod in verification.still_stuck if pod not in homeless]
    lines = [Line(f"{names(waiting)} still {'waits' if len(waiting) == 1 else 'wait'}", "failed")] if waiting else []
    if homeless:
        lines.append(Line(f"no node has {names(homeless)}, in place of pods that are gone: start nodes", "failed"))
    lines += items((words(str(group)) for group in verification.node_groups), shown=6, mark="failed")
    return lines


def _healed(pod: HealedPod) -> str:
    name, zone = f"{pod.namespace}/{pod.name}", pod.zone or "zone unknown"
    return f"{code(name)} has {code(pod.address or '?')} ({words(zone)})"


def _balance(zone: str, verification: Verification) -> str:
    """Free addresses of a zone's subnets before and after; a subnet without a before was made by us."""
    subnets = [subnet for subnet in verification.subnets if subnet.zone == zone]
    free_counts = [_describe_free(subnet) for subnet in subnets]
    before = [subnet.before for subnet in subnets if subnet.before is not None]
    was = f"{sum(before):,} free before, now " if before else "now free: "
    return f"{words(zone)}: {was}{listed(free_counts[:_SUBNETS_NAMED])}"


def _describe_free(subnet: SubnetBalance) -> str:
    free = "an unknown number" if subnet.after is None else f"{subnet.after:,}"
    return f"{free} in {'the new ' if subnet.before is None else ''}{code(subnet.cidr)}"


def _failure(incident: Incident, failure: Failure) -> Part:
    if failure.error == NO_PLAN:
        return Part("Why there is no plan", [Line(prose(failure.message), "none")])
    name = failed_step(incident, failure)
    lines = [Line(f"{name}: {words(failure.error)}", "failed"), Line(code(failure.message), "none")]
    if failure.outstanding:
        lines.append(Line(words(failure.outstanding), "none", label="What it made"))
    return Part("What happened", lines)


def _others(incident: Incident) -> Part:
    """Who else changed what a stopped incident works on in AWS, or how to find out once AWS knows."""
    if not maybe_stopped_by_others(incident):
        return Part("", [])
    calls = incident.calls_by_others.calls if incident.calls_by_others else ()
    if not calls:
        command = code(f"ip-remediator status {cut(incident.id, 80)} --callers")
        return Part("", [Line(f"some minutes later AWS has a record: {command}", "none", label="Who changed it")])
    return Part("Changed by others", items((_call(call) for call in calls), shown=5), limit=1200)


def _call(call: CallByOther) -> str:
    """A call with its caller: that is what people ask about first."""
    return f"{code(call.caller)}: {words(call.event)} of {code(call.resource)}, {moment(call.at)}, says CloudTrail"
