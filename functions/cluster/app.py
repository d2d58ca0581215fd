"""EKS and Kubernetes writes and their undo: the CRD, ENIConfigs, the settings of aws-node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters import aws
from ip_remediator.adapters.change_log import ChangeLog
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.clusters import open_cluster
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.observability import logger
from ip_remediator.settings import IncidentSettings
from ip_remediator.steps.cluster import ClusterConfiguration

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"action", "incident"}`; the actions are those below."""
    settings = IncidentSettings.read(os.environ)
    table = aws.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(event["incident"])
    log = ChangeLog(table, utc_now, incident.id)
    if event["action"] == "undo" and not log.made():
        return {"undone": True}  # nothing to put back: do not depend on a cluster that may be unreachable
    cluster = open_cluster(incident.cluster, aws.client("eks"), aws.credentials())
    configuration = ClusterConfiguration(incident, incidents, log, cluster)
    match event["action"]:
        case "apply_eni_configs":
            return configuration.apply_eni_configs()
        case "configure_cni":
            return configuration.configure_cni()
        case "await_rollout":
            return configuration.await_rollout()
        case "cni_switched":
            return configuration.cni_switched()
        case "restore_cni":
            return configuration.restore_cni()
        case "undo":
            return configuration.undo()
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
