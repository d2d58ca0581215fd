"""Reads the cluster and its VPC -> Snapshot -> Diagnosis, both into the incident's record."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals.kill_switch import parameter_on
from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.clock import utc_now
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.incidents.record import Policy
from ip_remediator.incidents.repository import Incidents
from ip_remediator.observability import logger
from ip_remediator.remediation.diagnose import foreseen, record_diagnosis, record_policy
from ip_remediator.settings import DiagnoseSettings
from ip_remediator.snapshot.capture import capture
from ip_remediator.snapshot.core_reads import Sources

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"incident"}` -> `{"verdict", "curable", "needed", "summary"}`."""
    settings = DiagnoseSettings.read(os.environ)
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    account_id = context.invoked_function_arn.split(":")[4]
    incident = incidents.get(event["incident"])
    cluster = open_cluster(incident.cluster, session.client("eks"), session.credentials())
    stopped = parameter_on(session.client("ssm"), settings.kill_switch)
    record_policy(incident, incidents, _defaults(settings, stopped=stopped), cluster.described.get("tags") or {})
    sources = Sources(session.client("eks"), session.client("ec2"), session.client("service-quotas"), cluster.kube)
    snapshot = capture(cluster.described, sources, utc_now, account_id)
    histories = SubnetHistories(session.table(settings.incidents_table))
    within = timedelta(hours=float(settings.forecast_hours))
    return record_diagnosis(incident, foreseen(snapshot, histories, within), incidents)


def _defaults(settings: DiagnoseSettings, *, stopped: bool) -> Policy:
    """Of the stack, as its parameters say; raises ValidationError for what the template does not allow."""
    return Policy.model_validate(
        {
            "mode": settings.default_mode,
            "auto_max_risk": settings.auto_max_risk,
            "change_window": settings.change_window,
            "kill_switch": stopped,
        }
    )
