"""What the function `diagnose` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from ip_remediator.clients.kubernetes.connect import OpenCluster
from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.enums import Verdict
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.incidents.record import Policy
from ip_remediator.incidents.repository import Incidents
from ip_remediator.remediation.diagnose import foreseen, record_diagnosis, record_policy
from ip_remediator.snapshot.model import Snapshot


@dataclass(frozen=True)
class DiagnoseWork:
    """`defaults`: what holds where a cluster's tags say nothing else, looked up when it is called. `within`: how near a
    full subnet must be to count as a shortage."""

    incidents: Incidents
    histories: SubnetHistories
    connect: Callable[[str], OpenCluster]
    capture: Callable[[OpenCluster], Snapshot]
    defaults: Callable[[], Policy]
    within: timedelta


class Diagnosed(Result):
    """Not `needed`: the cluster has recovered."""

    verdict: Verdict
    curable: bool
    needed: bool


DIAGNOSE: ActionTable[DiagnoseWork] = ActionTable()


@DIAGNOSE.action(OfIncident, Diagnosed, Effect.READS)
def diagnose(work: DiagnoseWork, asked: OfIncident) -> Diagnosed:
    """Captures the facts, judges them, and stores both in the incident's record."""
    incident = work.incidents.get(asked.incident)
    cluster = work.connect(incident.cluster)
    tags: Mapping[str, Any] = cluster.described.get("tags") or {}
    record_policy(incident, work.incidents, work.defaults(), tags)
    snapshot = foreseen(work.capture(cluster), work.histories, work.within)
    return Diagnosed(**record_diagnosis(incident, snapshot, work.incidents))
