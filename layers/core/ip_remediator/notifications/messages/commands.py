"""Commands to type instead of buttons, for stacks without an endpoint for clicks."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages import blocks as kit
from ip_remediator.notifications.messages.state import (
    asked,
    replacement_asked,
    replacement_offered,
    rollback_asked,
    rollback_offered,
    run_offered,
)
from ip_remediator.notifications.messages.text import code, cut

_LONGEST_ID = 80


def commands(incident: Incident) -> list[kit.Block]:
    """One section with a command for each button that the message would have; none where there would be no button."""
    lines = [f"{label}: {code(f'ip-remediator {command}')}" for label, command in _all(incident)]
    return [kit.section("\n".join(lines))] if lines else []


def _all(incident: Incident) -> Iterator[tuple[str, str]]:
    id_ = cut(incident.id, _LONGEST_ID)
    if asked(incident) or rollback_asked(incident) or replacement_asked(incident):
        yield "Yes", f"approve {id_}"
        yield "No", f"reject {id_}"
        return
    if run_offered(incident):
        yield "Ask again", f"start --cluster {incident.cluster}"
    if replacement_offered(incident):
        yield "Replace the nodes", f"replace {id_}"
    if rollback_offered(incident):
        yield "Roll back", f"rollback {id_}"
