"""Judges what is wrong with a cluster, and puts facts and verdict into the incident's record."""

from __future__ import annotations

from typing import Any

from ip_remediator.adapters.incidents import Incidents
from ip_remediator.domain.diagnosis import Verdict, diagnose
from ip_remediator.domain.incidents import Incident, Step
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import Snapshot


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
