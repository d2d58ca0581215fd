"""Reads the cluster and its VPC, and judges what is wrong."""

from __future__ import annotations

from typing import Any

from ip_remediator.adapters.clock import Clock
from ip_remediator.adapters.clusters import open_cluster
from ip_remediator.adapters.ec2_facts import Ec2Facts
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.kube_facts import KubeFacts
from ip_remediator.adapters.snapshots import capture
from ip_remediator.domain.diagnosis import Diagnosis, Verdict, diagnose
from ip_remediator.domain.incidents import Step
from ip_remediator.domain.signals import Cause


def diagnose_incident(
    incident_id: str, incidents: Incidents, clients: dict[str, Any], clock: Clock, account_id: str
) -> dict[str, Any]:
    """Stores the snapshot and the diagnosis; returns `{"verdict", "curable", "summary"}`.

    `clients`: boto3 clients by service (eks, sts, ec2).
    """
    incident = incidents.get(incident_id)
    cluster = open_cluster(incident.cluster, clients["eks"], clients["sts"])
    snapshot = capture(
        cluster.described, cluster.eks, KubeFacts(cluster.kube), Ec2Facts(clients["ec2"]), clock, account_id
    )
    causes = [Cause(cause) for cause in incident.signals.causes]
    diagnosis = diagnose(snapshot, causes)
    incidents.save_snapshot(incident_id, snapshot)
    incidents.complete(incident_id, Step.DIAGNOSE, diagnosis.verdict, diagnosis=diagnosis)
    return _answer(diagnosis)


def _answer(diagnosis: Diagnosis) -> dict[str, Any]:
    return {
        "verdict": diagnosis.verdict.value,
        "curable": diagnosis.curable,
        "needed": diagnosis.verdict is not Verdict.RECOVERED,
        "summary": diagnosis.summary,
    }
