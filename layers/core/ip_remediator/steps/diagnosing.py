"""Judges what is wrong with a cluster, and puts facts and verdict into the incident's record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.subnet_history import SubnetHistories
from ip_remediator.domain.abridged import abridged
from ip_remediator.domain.basics import Verdict
from ip_remediator.domain.capacity import zone_subnets
from ip_remediator.domain.diagnosis import diagnose
from ip_remediator.domain.forecast import forecast
from ip_remediator.domain.incidents import Incident, Policy, Step
from ip_remediator.domain.outlook import with_forecasts, zones_of
from ip_remediator.domain.policy import in_force
from ip_remediator.domain.signals import Cause
from ip_remediator.domain.snapshot import Snapshot


def record_policy(incident: Incident, incidents: Incidents, defaults: Policy, tags: Mapping[str, str]) -> None:
    """Stores what may be done to the cluster, before anything else: people are told in the channel that it names."""
    policy = in_force(defaults, tags, incident.request.mode if incident.request else None)
    if policy != incident.policy:
        incidents.record_policy(incident.id, policy)


def foreseen(snapshot: Snapshot, histories: SubnetHistories, within: timedelta) -> Snapshot:
    """`snapshot` with the hour in which subnets that new ENIs come from will be full, where that is `within` reach."""
    if snapshot.taken_at is None:
        return snapshot
    used = {subnet.id: subnet for zone in zones_of(snapshot) for subnet in zone_subnets(snapshot, zone)}
    found = {
        id_: forecast(histories.read(subnet).history, snapshot.taken_at, subnet.free)
        for id_, subnet in used.items()
        if subnet.free is not None
    }
    return with_forecasts(snapshot, found, within)


def record_diagnosis(incident: Incident, snapshot: Snapshot, incidents: Incidents) -> dict[str, Any]:
    """Stores the snapshot and the diagnosis, abridged if it is large; returns what the state machine branches on.

    `{"verdict", "curable", "needed", "summary"}`; not `needed`: the cluster has recovered.
    """
    diagnosis = diagnose(snapshot, [Cause(cause) for cause in incident.signals.causes])
    incidents.save_snapshot(incident.id, snapshot)
    incidents.complete(incident.id, Step.DIAGNOSE, diagnosis.verdict, diagnosis=abridged(diagnosis, snapshot))
    return {
        "verdict": diagnosis.verdict.value,
        "curable": diagnosis.curable,
        "needed": diagnosis.verdict is not Verdict.RECOVERED,
        "summary": diagnosis.summary,
    }
