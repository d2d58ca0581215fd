"""`ip-remediator status`: the record of an incident and its timeline."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable
from datetime import datetime

from ip_remediator.clients.aws.event_history import EventHistory
from ip_remediator.common.enums import Outcome
from ip_remediator.common.text import counted, some_of
from ip_remediator.incidents.calls_by_others import CallsByOthers
from ip_remediator.incidents.record import Failure, Incident
from ip_remediator.incidents.replacement_record import summary
from ip_remediator.notifications.messages.planned import undoing
from ip_remediator.planning.model import handover_of
from ip_remediator.signals.correlation import SignalSummary
from ip_remediator.watchdog.callers import Callers
from ip_remediator_cli.aws import Aws, Deployment, find_deployment
from ip_remediator_cli.commands.incidents import listed
from ip_remediator_cli.documents import in_format
from ip_remediator_cli.errors import OK
from ip_remediator_cli.open_questions import NODES, PLAN, ROLLBACK, open_question
from ip_remediator_cli.plan_text import describe_plan
from ip_remediator_cli.records import IncidentRecords
from ip_remediator_cli.tables import bullets, commands, in_words, labelled, page, table, who
from ip_remediator_cli.watching import watch

_WATCH_SECONDS = 2.0
# The outputs with the roles that write to VPCs and clusters.
_WRITING_ROLES = ("NetworkRoleArn", "ClusterRoleArn")
_QUESTIONS = {PLAN: "carry out the plan?", ROLLBACK: "roll back?", NODES: "replace nodes?"}


def run(arguments: Namespace) -> int:
    """Prints an incident, or the latest of each cluster; returns the exit status."""
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    records = IncidentRecords(aws, deployment)
    named = (arguments.cluster, arguments.id, arguments.incident)
    if not any(named) and not arguments.callers:
        print(listed(arguments.output, records.latest_of_each()))
        return OK
    incident = records.chosen(arguments)
    if arguments.callers:
        print(_calls_by_others(aws, deployment, incident, arguments.output))
    elif arguments.watch:
        watch(_until_closed(records, incident.id, arguments.output), _WATCH_SECONDS)
    else:
        print(_described(records, incident, arguments.output))
    return OK


def _calls_by_others(aws: Aws, deployment: Deployment, incident: Incident, output: str) -> str:
    """Asked now, with the permissions of who runs the command; the record stays as it is."""
    own_roles = [deployment.output(name) for name in _WRITING_ROLES]
    print("asking CloudTrail, which takes some ten seconds", file=sys.stderr)
    [recorded] = Callers(EventHistory(aws.client("cloudtrail")), own_roles).of([incident])
    if output != "table":
        return in_format(output, recorded.model_dump(mode="json"))
    if not recorded.calls:
        return (
            f"CloudTrail has no call by others, since {_time(incident.opened_at)}, on what {incident.id} works on. It "
            "has a call about five minutes after it was made: ask again then"
        )
    return _others(recorded)


def _others(recorded: CallsByOthers | None) -> str:
    """Who else changed what the incident works on in AWS, as CloudTrail recorded it."""
    rows = [[_time(call.at), call.event, call.resource, call.caller] for call in recorded.calls] if recorded else []
    return table(["cloudtrail's time", "call", "of", "by"], rows) if rows else ""


def _until_closed(records: IncidentRecords, incident_id: str, output: str) -> Callable[[], str | None]:
    """The incident each time it is asked for, its end included, and nothing afterwards."""
    ended = False

    def shown() -> str | None:
        nonlocal ended
        if ended:
            return None
        incident = records.get(incident_id)
        ended = not incident.open
        return _described(records, incident, output)

    return shown


def _described(records: IncidentRecords, incident: Incident, output: str) -> str:
    timeline = records.timeline(incident.id)
    if output == "table":
        return describe(incident, timeline)
    return in_format(output, {"incident": incident.model_dump(mode="json"), "timeline": timeline})


def describe(incident: Incident, timeline: Iterable[dict[str, str]]) -> str:
    """The record for people; an empty `timeline` is left out."""
    events = [[event["at"][:19], in_words(event["what"]), who(event["by"]), event["detail"]] for event in timeline]
    return page(
        _facts(incident),
        _steps(incident),
        describe_plan(incident.cluster, incident.plan) if _plan_matters(incident) else "",
        _verification(incident),
        _others(incident.calls_by_others),
        _handed_over(incident),
        table(["time (UTC)", "what", "by", "detail"], events) if events else "",
    )


def _plan_matters(incident: Incident) -> bool:
    """Before anything is made, what would be made is what people want to read."""
    return not incident.subnets


def describe_rollback(incident: Incident) -> str:
    """What people should know before they confirm the rollback that was asked for."""
    use_of_block = incident.rollback.assessment if incident.rollback else None
    if use_of_block is None:
        return ""
    return page(
        f"{counted(use_of_block.pods, 'pod')} and {counted(use_of_block.interfaces, 'ENI')} of the block are in use, "
        f"as of {_time(use_of_block.at)}",
        bullets("Pods", use_of_block.pod_names),
        bullets("Notes", use_of_block.notes),
        undoing(incident.plan, use_of_block.standing),
    )


def describe_replacement(incident: Incident) -> str:
    """What people should know before they confirm the replacement of nodes that was asked for."""
    notes = incident.replacement.notes if incident.replacement else ()
    nodes = [
        f"{node.name} ({zone}): {counted(node.pods, 'pod')} to be moved"
        for zone, progress in sorted(incident.replacements.items())
        for node in progress.nodes
    ]
    pace = "One at a time in each zone, as disruption budgets allow. This can't be undone."
    return page(summary(incident.replacements), bullets("Nodes", nodes), bullets("Notes", notes), pace)


def _facts(incident: Incident) -> str:
    facts = {
        "incident": incident.id,
        "cluster": f"{incident.cluster} in {incident.region}",
        "mode": incident.mode,
        "opened": f"{_time(incident.opened_at)}, {incident.reason or 'no reason given'}",
        "signals": _signals(incident.signals),
        "verdict": f"{incident.diagnosis.verdict}: {incident.diagnosis.summary}" if incident.diagnosis else "",
        "plan": f"{incident.plan.space} ({incident.plan.strategy}), expected: {incident.plan.expectation}"
        if incident.plan
        else "",
        "approval": _approval(incident),
        "asks": _asks(incident),
        "outcome": f"{incident.outcome} at {_time(incident.closed_at)}" if incident.outcome else "(open)",
        "rollback": _rollback(incident),
        "failure": _failure(incident.failure) if incident.failure else "",
    }
    return labelled(facts)


def _failure(failure: Failure) -> str:
    return f"{failure.error} in {failure.step}: {failure.message.removesuffix('.')}; {failure.outstanding}"


def _signals(signals: SignalSummary) -> str:
    if not signals.count:
        return ""
    period = f", seen {_time(signals.first_seen)} to {_time(signals.last_seen)}" if signals.first_seen else ""
    return f"{signals.count} of {len(signals.pods)} pods: {', '.join(signals.causes)}{period}"


def _approval(incident: Incident) -> str:
    asked = incident.approval
    if asked is None:
        return ""
    return f"{asked.state}{f' by {asked.decided_by}' if asked.decided_by else ''}"


def _asks(incident: Incident) -> str:
    """What waits for an answer, until when, and how to give it."""
    question = open_question(incident)
    if question is None:
        return ""
    about, approval = question
    answer = f"ip-remediator approve {incident.id}, or reject"
    return f"{_QUESTIONS[about]} open until {_time(approval.expires_at)}; answer: {answer}"


def _rollback(incident: Incident) -> str:
    latest = incident.rollback
    if latest is None:
        return ""
    use = latest.assessment
    counts = f"{counted(use.pods, 'pod')} and {counted(use.interfaces, 'ENI')}" if use else ""
    on_block = f"; {counts} on the block at {_time(use.at)}" if use else ""
    way = f"; in the way: {', '.join(use.in_the_way)}" if use and use.in_the_way else ""
    hanging = latest.hanging
    without = f"; {counted(hanging.number, 'pod')} without an IP address at its end" if hanging else ""
    named = f": {some_of(hanging.names)}" if hanging and hanging.names else ""
    return f"{latest.state}, asked for by {latest.requested_by}{on_block}{way}{without}{named}"


def _steps(incident: Incident) -> str:
    steps = sorted(incident.steps.items(), key=lambda step: step[1].at)
    rows = [[in_words(name), result.state, f"{result.at:%H:%M:%S}", result.note] for name, result in steps]
    return table(["step", "state", "at", "note"], rows) if rows else ""


def _handed_over(incident: Incident) -> str:
    """What people run after a plan that only prepares."""
    if incident.plan is None or not incident.plan.prepares_only:
        return ""
    return commands("yours to run:", handover_of(incident.plan, incident.subnets))


def _verification(incident: Incident) -> str:
    verification = incident.verification
    if verification is None or incident.outcome is Outcome.ROLLED_BACK:
        return ""  # of addresses that are gone nothing is shown
    pods = [[f"{pod.namespace}/{pod.name}", pod.address, pod.zone, pod.subnet, pod.node] for pod in verification.healed]
    pods += [[name, None, None, None, "still waits"] for name in verification.still_stuck]
    balances = [[subnet.id, subnet.zone, subnet.cidr, subnet.before, subnet.after] for subnet in verification.subnets]
    return page(
        table(["pod", "address", "zone", "subnet", "node"], pods) if pods else "",
        table(["subnet", "zone", "cidr", "free before", "free after"], balances) if balances else "",
    )


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "?"
