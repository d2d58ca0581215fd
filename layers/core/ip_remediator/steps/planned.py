"""The plan that a step carries out."""

from __future__ import annotations

from ip_remediator.adapters.errors import RequestRefused
from ip_remediator.domain.incidents import Incident
from ip_remediator.domain.planning import Plan


def plan_of(incident: Incident) -> Plan:
    """Raises RequestRefused: the incident has none."""
    if incident.plan is None:
        raise RequestRefused(f"incident {incident.id} has no plan")
    return incident.plan
