"""What the message tells: cause, plan, changes, risks, steps, result, failure, question."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from ipaddress import IPv4Network

from ip_remediator.domain.addressing import usable_addresses
from ip_remediator.domain.diagnosis import Diagnosis
from ip_remediator.domain.incidents import Approval, ApprovalState, Incident, SubnetBalance, Verification
from ip_remediator.domain.messages.advice import next_steps
from ip_remediator.domain.messages.state import STEP_WORDS, step_lines
from ip_remediator.domain.messages.text import Line, Part, code, counted, items, names, words
from ip_remediator.domain.planning import Plan, PlannedSubnet
from ip_remediator.domain.risks import Risk


def parts(incident: Incident) -> list[Part]:
    """Everything known about the incident, in the order in which it happened."""
    return [part for part in _parts(incident) if part.lines]


def _parts(incident: Incident) -> Iterator[Part]:
    yield _cause(incident.diagnosis) if incident.diagnosis else _signals(incident)
    if incident.plan:
        yield _plan(incident.plan)
        yield Part("Planned changes", items((words(change.description) for change in incident.plan.changes), shown=12))
        yield Part("Risks", _risks(incident.plan))
    approval = incident.approval
    pending = approval is not None and approval.state == ApprovalState.PENDING
    if approval and not pending:
        yield _approval(approval)
    yield Part("Steps", step_lines(incident), limit=1200)
    if incident.verification:
        yield _result(incident.verification, incident.plan)
    if incident.failure:
        yield _failure(incident)
    yield Part("What to do", [Line(advice) for advice in next_steps(incident)], limit=600)
    if approval and pending and incident.open:
        yield _approval(approval)  # last: the buttons follow


def _signals(incident: Incident) -> Part:
    signals = incident.signals
    lines = [Line(f"started: {words(incident.reason)}")] if incident.reason else []
    if signals.causes:
        lines.append(Line("the signals prove " + ", ".join(words(cause) for cause in signals.causes)))
    if signals.excerpt:
        lines.append(Line(code(signals.excerpt)))
    return Part("Signals", lines)


def _cause(diagnosis: Diagnosis) -> Part:
    verdict = str(diagnosis.verdict).replace("_", " ")
    lines = [Line(f"{verdict}: {words(diagnosis.summary)}", "none")]
    lines += items((words(fact) for fact in diagnosis.evidence), shown=6)
    if diagnosis.unknown:
        lines += [Line("not known: " + "; ".join(words(gap) for gap in diagnosis.unknown[:3]))]
    return Part("Cause", lines)


def _plan(plan: Plan) -> Part:
    lines = [
        Line(f"add {code(plan.block)} to {code(plan.vpc_id)} as a further CIDR")
        if plan.source == "new-cidr"
        else Line(f"use {code(plan.block)}, free in a CIDR that {code(plan.vpc_id)} already has")
    ]
    lines += items((_subnet(subnet) for subnet in plan.subnets), shown=6)
    lines.append(Line(f"expected: {words(plan.expectation)}"))
    return Part("Plan", lines)


def _subnet(subnet: PlannedSubnet) -> str:
    reservation = ", reserved for prefixes" if subnet.reserve_prefixes else ""
    return (
        f"{words(subnet.zone)}: subnet {code(subnet.cidr)}{_size(subnet.cidr)}{reservation}, "
        f"ENIConfig {names(subnet.eni_configs, shown=3) or '-'}"
    )


def _size(cidr: str) -> str:
    try:
        return f" ({usable_addresses(IPv4Network(cidr)):,} addresses)"
    except ValueError:
        return ""


def _risks(plan: Plan) -> list[Line]:
    ordered = sorted(plan.risks, key=lambda risk: -risk.severity)
    lines = [Line(_risk(risk), risk.severity.name.lower()) for risk in ordered[:6]]
    return lines + items((risk.id for risk in ordered[6:]), shown=0)


def _risk(risk: Risk) -> str:
    return f"{words(risk.found)}. May break: {words(risk.breaks)}. Remedy: {words(risk.remedy)}"


def _result(verification: Verification, plan: Plan | None) -> Part:
    healed, stuck = verification.healed, verification.still_stuck
    block = f" of {code(plan.block)}" if plan else ""
    lines = [Line(f"{len(healed)} of {counted(len(healed) + len(stuck), 'pod')} run with addresses{block}", "none")]
    lines += items(
        (
            f"{code(f'{pod.namespace}/{pod.name}')} has {code(pod.address or '?')} in {code(pod.subnet or '?')}, "
            f"{words(pod.zone or 'zone unknown')}"
            for pod in healed
        ),
        shown=6,
        mark="done",
    )
    lines += [Line(f"{names(stuck)} still waiting", "failed")] if stuck else []
    lines += [Line(f"{names(verification.gone)} gone meanwhile")] if verification.gone else []
    lines += items((_balance(subnet) for subnet in verification.subnets), shown=6)
    return Part("Result", lines, limit=1300)


def _balance(subnet: SubnetBalance) -> str:
    before = "new" if subnet.before is None else f"{subnet.before} free before"
    after = "unknown" if subnet.after is None else f"{subnet.after} free"
    return f"{code(subnet.id)} ({words(subnet.cidr)}, {words(subnet.zone)}): {before}, now {after}"


def _failure(incident: Incident) -> Part:
    failure = incident.failure
    if failure is None:
        return Part("What went wrong", [])
    step = next((text for step, text in STEP_WORDS.items() if step == failure.step), words(failure.step))
    lines = [Line(f"{step}: {words(failure.error)}", "failed"), Line(code(failure.message))]
    if failure.stands:
        lines.append(Line(f"what stands: {words(failure.stands)}"))
    return Part("What went wrong", lines)


def _approval(approval: Approval) -> Part:
    return Part("Approval", [Line(_answer(approval), "none")], limit=500)


def _answer(approval: Approval) -> str:
    if approval.state == ApprovalState.PENDING:
        return (
            f"Shall this be done? It waits until {moment(approval.expires_at)}; "
            "silence is a rejection: nothing is changed and the reserved block is released."
        )
    if approval.state == ApprovalState.EXPIRED:
        return f"Nobody answered until {moment(approval.expires_at)}, which is a rejection: nothing was changed."
    who, when = words(approval.decided_by or "somebody"), approval.decided_at or approval.expires_at
    return f"{str(approval.state).capitalize()} by {who}, {moment(when)}"


def moment(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M} UTC"
