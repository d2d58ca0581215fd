"""Proof that the incident's pods run with addresses of the new block."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters import aws
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.clusters import open_cluster
from ip_remediator.adapters.ec2_facts import Ec2Facts
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.kube_drain import KubeDrain
from ip_remediator.adapters.kube_pods import KubePods
from ip_remediator.observability import logger
from ip_remediator.settings import IncidentSettings
from ip_remediator.steps.verifying import Verifier
from ip_remediator.steps.verifying_again import VerifierAfterReplacement

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"incident", "final": bool, "replaced"?: bool}` -> `{"outcome", "healed", "still_stuck"}`; `replaced`: after
    nodes were replaced, without `healed`."""
    settings = IncidentSettings.read(os.environ)
    incidents = Incidents(aws.table(settings.incidents_table), utc_now)
    incident = incidents.get(event["incident"])
    cluster = open_cluster(incident.cluster, aws.client("eks"), aws.credentials())
    pods, ec2 = KubePods(cluster.kube), Ec2Facts(aws.client("ec2"))
    known = incidents.snapshot(incident.id)
    if event.get("replaced"):
        again = VerifierAfterReplacement(incident, incidents, known, pods, ec2, KubeDrain(cluster.kube))
        return again.verify(final=event["final"])
    return Verifier(incident, incidents, known, pods, ec2).verify(final=event["final"])
