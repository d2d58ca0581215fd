"""What an operator can do next, for each way in which an incident can end without a cure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.common.text import counted
from ip_remediator.diagnosis.alternatives import ALTERNATIVES
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.record import Incident, RollbackAssessment, Step, StepState
from ip_remediator.notifications.messages.cause import waiting
from ip_remediator.notifications.messages.links import Site
from ip_remediator.notifications.messages.rolling_back import rollback_shown
from ip_remediator.notifications.messages.state import (
    NO_PLAN,
    current_failure,
    replacement_asked,
    replacement_offered,
    replacement_under_way,
    rollback_asked,
    rollback_offered,
    run_offered,
)
from ip_remediator.notifications.messages.text import Line, clock, names

# By the class names of `common.errors`: the state machine records the name, which is the error's contract.
_FOR_ERROR = {
    "PermissionDenied": "grant the permission that the message names",
    "QuotaReached": "ask AWS for a higher quota",
    "PoolExhausted": "add a range to the Pools parameter, or roll back incidents that are no longer needed",
    "ClusterNotFound": "was the cluster deleted? If not, correct its name and region where the signal comes from (the "
    "ClusterName of the alarm or of the event exporter), or in the request",
    "Throttled": "wait a while: AWS kept throttling the calls",
    "KillSwitchOn": "turn the kill switch off: while it is on, nothing is written, not even an undo",
    "ServiceUnavailable": "the other side did not answer: check that the function reaches it",
}
_OTHER_ERROR = "read the message above; the execution's history has the answer to every call"
_IN_THE_WAY = "remove what blocks the rollback"
_FOR_VERDICT = {
    Verdict.NODE_LIMIT: (
        "use larger instance types or more nodes, or turn on prefix delegation",
        "lower max-pods to what the instance type's ENIs can serve",
    ),
    Verdict.ENI_QUOTA: ("ask for more network interfaces per region (quota L-DF5E4CA3)",),
    Verdict.SUBNET_EXHAUSTED: ALTERNATIVES,
    Verdict.PREFIX_FRAGMENTED: ALTERNATIVES,
}

# Outcomes after which pods are without an address, as far as is known.
_UNCURED = (
    Outcome.PARTLY,
    Outcome.FAILED,
    Outcome.UNDONE,
    Outcome.REJECTED,
    Outcome.OBSERVED,
    Outcome.NOT_CURABLE,
    Outcome.ROLLED_BACK,
)


def next_steps(incident: Incident, site: Site) -> list[str]:
    """Advice, the most useful first; empty if nothing is left to do."""
    return list(_advice(incident, site))


def _advice(incident: Incident, site: Site) -> Iterator[str]:
    yield from _replace_full_nodes(incident)
    yield from _after_failure(incident, site)
    if incident.outcome == Outcome.NOT_CURABLE and incident.diagnosis:
        yield from _instead(incident.diagnosis)
    if incident.outcome == Outcome.OBSERVED:
        yield _after_observing(incident)
    yield from _keep_the_cure(incident)
    yield from _roll_back(incident)


def _replace_full_nodes(incident: Incident) -> Iterator[str]:
    full_nodes = incident.verification.nodes_to_replace if incident.verification else ()
    if full_nodes and not replacement_under_way(incident):
        how = "press Replace, or replace" if replacement_offered(incident) else "replace"
        yield f"{how} these nodes, which have no free ENI slot: {names(full_nodes)}"


def _after_failure(incident: Incident, site: Site) -> Iterator[str]:
    """What mends the failure, and the button that goes on then, if the message has it."""
    failure = current_failure(incident)
    mend = _FOR_ERROR.get(failure.error) if failure else None
    if _rollback_failed(incident):
        again = ", then press Roll back again: it continues where it stopped"
        yield f"{mend or _IN_THE_WAY}{again if rollback_offered(incident) else ''}"
    elif mend:
        yield f"{mend}{', then press Retry' if _retry_shown(incident) else ''}"
    elif failure and failure.error != NO_PLAN:
        yield _OTHER_ERROR
    if failure and failure.error == "PermissionDenied":
        yield f"every permission and why it is needed: {site.page('permissions.md')}"


def _retry_shown(incident: Incident) -> bool:
    """While something is asked, the message has the buttons of the answer alone."""
    return run_offered(incident) and not (rollback_asked(incident) or replacement_asked(incident))


def _keep_the_cure(incident: Incident) -> Iterator[str]:
    """What people must do so that a cure lasts."""
    plan = incident.plan
    if plan is None or incident.outcome not in (Outcome.HEALED, Outcome.PARTLY):
        return
    if incident.next_incident:
        yield f"nodes lack addresses, too: {incident.next_incident} is about them"
    if plan.leaked_interfaces:
        yield "this room does not last: it is what the deleted ENIs held. Plan more subnets before it is used up"
    if incident.outcome == Outcome.HEALED and plan.block and not rollback_shown(incident):
        yield "put the CIDR and the subnets into Terraform or CloudFormation, so that the next run of it keeps them"


def _roll_back(incident: Incident) -> Iterator[str]:
    if incident.outcome == Outcome.FAILED and rollback_offered(incident) and not _rollback_failed(incident):
        yield "press Roll back to undo what is still there"


def _rollback_failed(incident: Incident) -> bool:
    result = incident.steps.get(Step.ROLLBACK)
    return incident.outcome is not None and result is not None and result.state is StepState.FAILED


def _after_observing(incident: Incident) -> str:
    if incident.policy and incident.policy.kill_switch:
        return "the kill switch is on: turn it off before you start a run"
    if incident.request and incident.request.dry_run:
        return "this was a dry run: press Run this plan, or start it again without dry_run"
    return "press Run this plan, or set the cluster's mode to approve or auto"


def remaining(incident: Incident, site: Site) -> list[Line]:
    """What is not cured at the end of the incident, and when new signals will open another one."""
    if incident.outcome not in _UNCURED:
        return []
    lines = [*_still_stuck(incident)]
    left_alone = incident.rollback is not None and incident.rollback.left_alone_until is not None
    if lines and site.cool_down_minutes and incident.closed_at and not left_alone:
        until = incident.closed_at + timedelta(minutes=site.cool_down_minutes)
        lines.append(Line(f"signals of this cluster open no new incident before {clock(until)}"))
    return lines


def _still_stuck(incident: Incident) -> Iterator[Line]:
    verification = incident.verification
    if incident.outcome is Outcome.ROLLED_BACK:
        yield from _after_rollback(incident)
    elif verification:
        if verification.still_stuck:
            number = len(verification.still_stuck)
            verb = "has" if number == 1 else "have"
            yield Line(f"{counted(number, 'pod')} {verb} no IP address: {names(verification.still_stuck)}", "failed")
    elif pods := waiting(incident):
        such_as = ", such as" if len(incident.signals.pods) < pods else ":"
        named = f"{such_as} {names(incident.signals.pods, shown=2)}" if incident.signals.pods else ""
        yield Line(
            f"as far as is known, {counted(pods, 'pod')} {'has' if pods == 1 else 'have'} no IP address{named}",
            "failed",
        )


def _after_rollback(incident: Incident) -> Iterator[Line]:
    """The pods that the new addresses served lose them. Whether those in their place hang was read back at the end;
    where it was not, the assessment counted what is free elsewhere. Signals that come later add to it."""
    assessment = incident.rollback.assessment if incident.rollback else None
    if assessment and assessment.pods:
        yield Line(_moved(assessment))
    if assessment:
        yield from _hanging(incident, assessment)
    yield Line("what added addresses is undone, so the shortage that opened this incident can come back")


def _moved(assessment: RollbackAssessment) -> str:
    rest = assessment.pods - len(assessment.pod_names[:2])
    named = f" ({names(assessment.pod_names, shown=2)}{' among them' if rest else ''})" if assessment.pod_names else ""
    if assessment.pods == 1:
        return f"1 pod lost its address{named} and is recreated by its owner"
    return f"{counted(assessment.pods, 'pod')} lost their addresses{named} and are recreated by their owners"


def _hanging(incident: Incident, assessment: RollbackAssessment) -> Iterator[Line]:
    """What was read back at the end, and what signals named after that."""
    read = incident.rollback.hanging if incident.rollback else None
    reported = _reported_since(incident, read.at if read else assessment.at)
    pods = list(dict.fromkeys([*(read.names if read else ()), *reported]))
    number = max(len(pods), read.number if read else 0)
    if number:
        have = "has" if number == 1 else "have"
        yield Line(f"{counted(number, 'pod')} {have} no IP address since then: {names(pods)}", "failed")
    elif read:
        yield Line(f"every pod created since then had its IP address at {clock(read.at)}", "done")
    elif assessment.pods:
        yield from _expected_to_hang(assessment)


def _reported_since(incident: Incident, then: datetime) -> list[str]:
    """The pods that signals named after `then`, and that were not among those of the incident before."""
    last, verification = incident.signals.last_seen, incident.verification
    if last is None or last <= then or verification is None:
        return []
    before = {f"{pod.namespace}/{pod.name}" for pod in verification.healed} | set(verification.still_stuck)
    return [pod for pod in incident.signals.pods if pod not in before]


def _expected_to_hang(assessment: RollbackAssessment) -> Iterator[Line]:
    free = assessment.free_elsewhere
    if free is not None and free < assessment.pods:
        hang = assessment.pods - free
        other = counted(free, "free address", "free addresses")
        yield Line(f"{counted(hang, 'pod')} of these will have no IP address: elsewhere were {other}", "failed")


def _instead(diagnosis: Diagnosis) -> tuple[str, ...]:
    return diagnosis.alternatives or _FOR_VERDICT.get(diagnosis.verdict, ())
