"""`ip-remediator rollback`: the undoing of an incident's changes, the same that Slack's button starts."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.clients.aws.step_functions import start_once
from ip_remediator.common.actor import Actor
from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.errors import OK, BadInput, CommandError
from ip_remediator_cli.executions import Execution, follow, new_name
from ip_remediator_cli.records import IncidentRecords


def run(arguments: Namespace) -> int:
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    records = IncidentRecords(aws, deployment)
    incident = records.chosen(arguments)
    if incident.outcome is Outcome.ROLLED_BACK:
        print(f"{incident.id} was rolled back already")
        return OK
    _refuse_without_changes(incident)
    shown = len(records.timeline(incident.id))
    sfn = aws.client("stepfunctions")
    document = {
        "incident": incident.id,
        "requested_by": Actor.aws(aws.caller()[1]).model_dump(mode="json"),
        "confirmed": arguments.yes,
        "evict": arguments.evict,
    }
    execution = Execution(
        sfn, start_once(sfn, deployment.output("RollbackStateMachineArn"), new_name("rb", incident.id), document)
    )
    print(f"execution {execution.arn}", flush=True)
    if not arguments.yes:
        print("to be confirmed in Slack, with the numbers of pods and ENIs; --yes confirms it from here", flush=True)
    if not arguments.wait:
        print(f"follow it in Slack, or: ip-remediator status {incident.id}")
        return OK
    ending = follow(execution, records, incident.id, shown)
    if ending.error:
        raise CommandError(f"not rolled back: {ending}; when what is in the way is gone, run the command again")
    if records.get(incident.id).outcome is not Outcome.ROLLED_BACK:
        raise CommandError("not rolled back: it was cancelled; run the command again to ask again")
    print(f"\n{incident.id} is rolled back")
    return OK


def _refuse_without_changes(incident: Incident) -> None:
    if incident.open:
        raise BadInput(f"--incident: {incident.id} is still being worked on: wait until it is closed")
    if incident.plan is None:
        raise BadInput(f"--incident: {incident.id} ended {incident.outcome} and changed nothing: no rollback is needed")
