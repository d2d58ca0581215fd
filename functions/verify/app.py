"""Proof that the incident's pods run with addresses of the new block."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.clients.kubernetes.pods import KubePods
from ip_remediator.clients.kubernetes.workload_pods import KubeDrain
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.repository import Incidents
from ip_remediator.node_replacement.verify import VerifierAfterReplacement
from ip_remediator.observability import logger
from ip_remediator.remediation.verify import Verifier
from ip_remediator.settings import IncidentSettings
from ip_remediator.snapshot.ec2 import Ec2Reader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"incident", "final": bool, "replaced"?: bool}` -> `{"outcome", "healed", "still_stuck"}`; `replaced`: after
    nodes were replaced, without `healed`."""
    settings = IncidentSettings.read(os.environ)
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    incident = incidents.get(event["incident"])
    cluster = open_cluster(incident.cluster, session.client("eks"), session.credentials())
    pods, ec2 = KubePods(cluster.kube), Ec2Reader(session.client("ec2"))
    known = incidents.snapshot(incident.id)
    if event.get("replaced"):
        again = VerifierAfterReplacement(incident, incidents, known, pods, ec2, KubeDrain(cluster.kube))
        return again.verify(final=event["final"])
    return Verifier(incident, incidents, known, pods, ec2).verify(final=event["final"])
