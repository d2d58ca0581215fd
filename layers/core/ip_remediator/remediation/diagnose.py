"""Diagnoses a cluster and stores the facts and the verdict in the incident's record."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from ip_remediator.approvals.policy import in_force
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import FOR_OTHERS, PODS_SERVED
from ip_remediator.diagnosis.truncate import truncate
from ip_remediator.forecasting.forecast import forecast
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.forecasting.zone_forecast import with_forecasts
from ip_remediator.incidents.record import Incident, Policy, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import save_snapshot
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_room.eni_subnets import zone_subnets, zones_of


def record_policy(incident: Incident, incidents: Incidents, defaults: Policy, tags: Mapping[str, str]) -> None:
    """Stores the cluster's policy before anything else, because it names the Slack channel."""
    policy = in_force(defaults, tags, incident.request.mode if incident.request else None)
    if policy != incident.policy:
        incidents.record_policy(incident.id, policy)


def foreseen(snapshot: Snapshot, histories: SubnetHistories, within: timedelta) -> Snapshot:
    """`snapshot` with the time at which the subnets of new ENIs will be full, if that is `within` the given time."""
    if snapshot.taken_at is None:
        return snapshot
    subnets = {subnet.id: subnet for zone in zones_of(snapshot) for subnet in zone_subnets(snapshot, zone)}
    forecasts = {
        id_: forecast(histories.read(subnet).history, snapshot.taken_at, subnet.free)
        for id_, subnet in subnets.items()
        if subnet.free is not None
    }
    return with_forecasts(snapshot, forecasts, within)


def record_diagnosis(incident: Incident, snapshot: Snapshot, incidents: Incidents) -> dict[str, Any]:
    """Stores the snapshot and the diagnosis, shortened if it is large; returns what the state machine branches on.

    `{"verdict", "curable", "needed"}`. Not `needed`: every pod is served. More room for nodes, or for the
    cluster itself, is still needed when a signal of the incident was about it, or people started the run.
    """
    causes = [Cause(cause) for cause in incident.signals.causes]
    diagnosis = diagnose(snapshot, causes)
    save_snapshot(incidents, incident.id, snapshot)
    incidents.complete(incident.id, Step.DIAGNOSE, diagnosis.verdict, diagnosis=truncate(diagnosis, snapshot))
    asked = diagnosis.verdict in FOR_OTHERS and (diagnosis.verdict.value in causes or incident.request is not None)
    return {
        "verdict": diagnosis.verdict.value,
        "curable": diagnosis.curable or asked,
        "needed": diagnosis.verdict not in PODS_SERVED or asked,
    }
