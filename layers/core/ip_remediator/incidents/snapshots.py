"""The facts that an incident was diagnosed from, stored beside its record.

Apart from `repository`, because what reads records alone starts faster without the documents of a snapshot.
"""

from __future__ import annotations

from ip_remediator.incidents.repository import Incidents
from ip_remediator.snapshot.model import Snapshot


def save_snapshot(incidents: Incidents, incident: str, snapshot: Snapshot) -> None:
    """Raises the errors of `common.errors`."""
    incidents.save_facts(incident, snapshot.model_dump_json(exclude_defaults=True))


def snapshot_of(incidents: Incidents, incident: str) -> Snapshot:
    """Raises IncidentNotFound when the incident was not diagnosed yet, and the other errors of `common.errors`."""
    return Snapshot.model_validate_json(incidents.facts(incident))
