"""`ip-remediator replace`: fresh nodes for those without a free ENI slot, the same that Slack's button starts."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.replacement_record import ReplacementState
from ip_remediator_cli.change_command import ChangeCommand
from ip_remediator_cli.errors import OK, BadInput, CommandError
from ip_remediator_cli.records import choose_incident

_REPLACEMENT = ChangeCommand("ReplacementStateMachineArn", "rn", "nodes and pods", "not all replaced")


def run(arguments: Namespace) -> int:
    """Starts a replacement of nodes; with `--wait` the exit status says how it ended."""
    chosen = choose_incident(arguments)
    incident = chosen.incident
    _refuse_unnamed(incident, arguments.nodes or [])
    named = {"nodes": arguments.nodes} if arguments.nodes else {}
    after = _REPLACEMENT.run(chosen, arguments, **named)
    if after is None:
        return OK
    if after.replacement is None or after.replacement.state is not ReplacementState.DONE:
        raise CommandError("not replaced: it was cancelled; run the command again to ask again")
    print(f"\n{incident.id} is {after.outcome}")
    return OK


def _refuse_unnamed(incident: Incident, nodes: list[str]) -> None:
    named = incident.verification.nodes_to_replace if incident.verification else ()
    if incident.open:
        raise BadInput(f"INCIDENT: {incident.id} is still being worked on: wait until it is closed")
    if not named:
        raise BadInput(f"INCIDENT: {incident.id} ended {incident.outcome} and names no node to replace")
    unknown = [node for node in nodes if node not in named]
    if unknown:
        raise BadInput(f"--node: {some_of(unknown)} need not be replaced; those that do: {', '.join(named)}")
