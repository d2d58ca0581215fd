"""`ip-remediator replace`: fresh nodes for those without a free ENI slot, the same that Slack's button starts."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from ip_remediator.clients.aws.step_functions import start_once
from ip_remediator.common.actor import Actor
from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.errors import OK, BadInput, CommandError
from ip_remediator_cli.executions import Execution, follow, new_name
from ip_remediator_cli.records import IncidentRecords


def run(arguments: Namespace) -> int:
    aws = Aws(arguments)
    deployment = find_deployment(aws, arguments.stack)
    records = IncidentRecords(aws, deployment)
    incident = records.chosen(arguments)
    _refuse_unnamed(incident, arguments.nodes or [])
    shown = len(records.timeline(incident.id))
    document: dict[str, Any] = {
        "incident": incident.id,
        "requested_by": Actor.aws(aws.caller()[1]).model_dump(mode="json"),
        "confirmed": arguments.yes,
        **({"nodes": arguments.nodes} if arguments.nodes else {}),
    }
    sfn = aws.client("stepfunctions")
    execution = Execution(
        sfn, start_once(sfn, deployment.output("ReplacementStateMachineArn"), new_name("rn", incident.id), document)
    )
    print(f"execution {execution.arn}", flush=True)
    if not arguments.yes:
        print("to be confirmed in Slack, with the numbers of nodes and pods; --yes confirms it from here", flush=True)
    if not arguments.wait:
        print(f"follow it in Slack, or: ip-remediator status {incident.id}")
        return OK
    ending = follow(execution, records, incident.id, shown)
    if ending.error:
        raise CommandError(f"not all replaced: {ending}; when what is in the way is gone, run the command again")
    after = records.get(incident.id)
    if after.replacement is None or after.replacement.state is not ReplacementState.DONE:
        raise CommandError("not replaced: it was cancelled; run the command again to ask again")
    print(f"\n{incident.id} is {after.outcome}")
    return OK


def _refuse_unnamed(incident: Incident, nodes: list[str]) -> None:
    named = incident.verification.nodes_to_replace if incident.verification else ()
    if incident.open:
        raise BadInput(f"--incident: {incident.id} is still being worked on: wait until it is closed")
    if not named:
        raise BadInput(f"--incident: {incident.id} ended {incident.outcome} and names no node to replace")
    unknown = [node for node in nodes if node not in named]
    if unknown:
        raise BadInput(f"--node: {some_of(unknown)} need not be replaced; those that do: {', '.join(named)}")
