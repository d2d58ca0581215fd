"""Judges what is wrong with a cluster, and puts facts and verdict into the incident's record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ip_remediator.adapters.incidents import Incidents
from ip_remediator.domain.diagnosis import Verdict, diagnose
from ip_remediator.domain.incidents import Incident, Policy, Step
from ip_remediator.domain.policy import in_force
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import Snapshot


def record_policy(incident: Incident, incidents: Incidents, defaults: Policy, tags: Mapping[str, str]) -> None:
    """Stores what may be done to the cluster, before anything else: people are told in the channel that it names."""
    policy = in_force(defaults, tags, incident.request.mode if incident.request else None)
    if policy != incident.policy:
        incidents.record_policy(incident.id, policy)


def record_diagnosis(incident: Incident, snapshot: Snapshot, incidents: Incidents) -> dict[str, Any]:
    """Stores the snapshot and the diagnosis; returns what the state machine branches on.

    `{"verdict", "curable", "needed", "summary"}`; not `needed`: the cluster has recovered.
    """
    diagnosis = diagnose(snapshot, [Cause(cause) for cause in incident.signals.causes])
    incidents.save_snapshot(incident.id, snapshot)
    incidents.complete(incident.id, Step.DIAGNOSE, diagnosis.verdict, diagnosis=diagnosis)
    return {
        "verdict": diagnosis.verdict.value,
        "curable": diagnosis.curable,
        "needed": diagnosis.verdict is not Verdict.RECOVERED,
        "summary": diagnosis.summary,
    }
