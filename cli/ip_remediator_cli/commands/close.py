"""`ip-remediator close` and `unlock`: what an operator ends by hand when nothing works on it any more."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.watchdog.on_aws import watchdog_on_aws
from ip_remediator.watchdog.operator import Closed, Holder, OperatorActions, StillWorkedOn
from ip_remediator_cli.aws import Aws, Deployment, find_deployment
from ip_remediator_cli.commands.decide import confirmed
from ip_remediator_cli.errors import OK, CommandError
from ip_remediator_cli.records import IncidentRecords
from ip_remediator_cli.tables import bullets, page

_LONGEST_REASON = 300


def run(arguments: Namespace) -> int:
    """Runs `close` or `unlock`; returns the exit status."""
    return _unlock(arguments) if arguments.command == "unlock" else _close(arguments)


def _close(arguments: Namespace) -> int:
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    incident = IncidentRecords(aws, deployment).chosen(arguments)
    try:
        closed = _actions(aws, deployment).close(incident.id, aws.caller()[1], arguments.reason[:_LONGEST_REASON])
    except StillWorkedOn as works:
        raise CommandError(f"{incident.id} was not closed: {works}{_how_to_stop(works)}") from works
    print(_describe(closed))
    return OK


def _unlock(arguments: Namespace) -> int:
    aws = Aws(arguments)
    actions = _actions(aws, find_deployment(aws, arguments.stack))
    vpc, cluster = arguments.vpc, arguments.cluster
    holder = actions.lock_holder(vpc) if vpc else actions.marker_holder(cluster)
    lock = f"the lock of {vpc}" if vpc else f"the marker of cluster {cluster}"
    if holder is None:
        print(f"{lock} is free")
        return OK
    print(f"{lock} is held by incident {holder.incident}: {holder.works or holder.proof}")
    if holder.works:
        _check_forced(arguments, lock, holder)
    if vpc:
        actions.unlock_vpc(vpc, holder)
    else:
        actions.unlock_cluster(cluster, holder)
    print(
        f"{lock} is free now; to close the incident, and to see what it created: ip-remediator close {holder.incident}"
    )
    return OK


def _check_forced(arguments: Namespace, lock: str, holder: Holder) -> None:
    if not arguments.force:
        raise CommandError(
            f"{lock} stays: incident {holder.incident} is at work ({holder.works}); wait for its end, stop its "
            "execution, or take it with --force"
        )
    print("the incident that holds it stops before its next change, and what it has created stays")
    if not (arguments.yes or confirmed(f"take {lock} away from {holder.incident}?")):
        raise CommandError(f"{lock} stays, because nobody said yes")


def _how_to_stop(works: StillWorkedOn) -> str:
    if works.execution is None:
        return "; try again in two minutes"
    return f"; stop it first: aws stepfunctions stop-execution --execution-arn {works.execution}"


def _describe(closed: Closed) -> str:
    incident = closed.incident
    how = f"is closed as {incident.outcome}" if closed.was_open else f"was closed already, as {incident.outcome}"
    block = incident.plan.block if incident.plan else None
    return page(
        f"{incident.id} {how}; the lock of its VPC and the marker of cluster {incident.cluster} are free",
        bullets("Still there", closed.standing),
        bullets("The cluster did not take back", closed.owed),
        f"remove it: ip-remediator rollback {incident.id}" if closed.standing else _freed(block),
    )


def _freed(block: str | None) -> str:
    return f"nothing that it made is left, and {block} is free again" if block else "nothing that it made is left"


def _actions(aws: Aws, deployment: Deployment) -> OperatorActions:
    """The watchdog's own rules, with the caller's permissions."""
    watchdog = watchdog_on_aws(
        aws.table(deployment.output("IncidentsTableName")),
        aws.table(deployment.output("LedgerTableName")),
        aws.client("stepfunctions"),
        aws.client("lambda"),
        state_machine_arn=deployment.output("RemediationStateMachineArn"),
        cluster_function=f"{deployment.stack}-cluster",
    )
    return OperatorActions(watchdog)
