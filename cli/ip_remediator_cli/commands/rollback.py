"""`ip-remediator rollback`: the undoing of an incident's changes, the same that Slack's button starts."""

from __future__ import annotations

from argparse import Namespace

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from ip_remediator_cli.change_command import ChangeCommand
from ip_remediator_cli.errors import OK, BadInput, CommandError
from ip_remediator_cli.records import choose_incident

_ROLLBACK = ChangeCommand("RollbackStateMachineArn", "rb", "pods and ENIs", "not rolled back")


def run(arguments: Namespace) -> int:
    """Starts a rollback; with `--wait` the exit status says how it ended."""
    chosen = choose_incident(arguments)
    incident = chosen.incident
    if incident.outcome is Outcome.ROLLED_BACK:
        print(f"{incident.id} was rolled back already")
        return OK
    _refuse_without_changes(incident)
    after = _ROLLBACK.run(chosen, arguments, evict=arguments.evict)
    if after is None:
        return OK
    if after.outcome is not Outcome.ROLLED_BACK:
        raise CommandError("not rolled back: it was cancelled; run the command again to ask again")
    print(f"\n{incident.id} is rolled back")
    return OK


def _refuse_without_changes(incident: Incident) -> None:
    if incident.open:
        raise BadInput(f"INCIDENT: {incident.id} is still being worked on: wait until it is closed")
    if incident.plan is None:
        raise BadInput(f"INCIDENT: {incident.id} ended {incident.outcome} and changed nothing: no rollback is needed")
