"""Starting a change of a closed incident, a rollback or a replacement of nodes, and following it to its end."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.step_functions import start_once
from ip_remediator.common.actor import Actor
from ip_remediator.incidents.record import Incident
from ip_remediator_cli.errors import CommandError
from ip_remediator_cli.executions import Execution, follow, new_name
from ip_remediator_cli.records import ChosenIncident


@dataclass(frozen=True)
class ChangeCommand:
    """A command that starts a state machine for a closed incident.

    Attributes:
        machine: the stack's output with the ARN of the state machine.
        prefix: how the execution's name begins.
        numbers: what Slack's question counts.
        unfinished: the message when the execution fails.
    """

    machine: str
    prefix: str
    numbers: str
    unfinished: str

    def run(self, chosen: ChosenIncident, arguments: Namespace, **fields: Any) -> Incident | None:
        """The incident after the change, or None if `arguments` do not say to wait. `fields`: further input.

        Raises:
            CommandError: the execution failed.
        """
        aws, deployment, records, incident = chosen
        entries_shown = len(records.timeline(incident.id))
        sfn = aws.client("stepfunctions")
        document = {
            "incident": incident.id,
            "requested_by": Actor.aws(aws.caller()[1]).model_dump(mode="json"),
            "confirmed": arguments.yes,
            **fields,
        }
        name = new_name(self.prefix, incident.id)
        execution = Execution(sfn, start_once(sfn, deployment.output(self.machine), name, document))
        print(f"execution {execution.arn}", flush=True)
        if not arguments.yes:
            print(f"waiting for confirmation, with the numbers of {self.numbers}: in Slack, or by", flush=True)
            print(f"  ip-remediator approve {incident.id}", flush=True)
        if not arguments.wait:
            print(f"follow it in Slack, or: ip-remediator status {incident.id}")
            return None
        ending = follow(execution, records, incident.id, entries_shown)
        if ending.error:
            raise CommandError(f"{self.unfinished}: {ending}; remove what is in the way, then run the command again")
        return records.get(incident.id)
