"""Reads the cluster and its VPC -> Snapshot -> Diagnosis, both into the incident's record."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals.kill_switch import parameter_on
from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.clock import utc_now
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.incidents.record import Policy
from ip_remediator.incidents.repository import Incidents
from ip_remediator.observability import logger
from ip_remediator.remediation.diagnose_actions import DIAGNOSE, DiagnoseWork
from ip_remediator.settings import DiagnoseSettings
from ip_remediator.snapshot.capture import capture
from ip_remediator.snapshot.core_reads import Sources

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Performs the action of `DIAGNOSE`."""
    call, settings = DIAGNOSE.parse(event), DiagnoseSettings.read(os.environ)
    table, account_id = session.table(settings.incidents_table), context.invoked_function_arn.split(":")[4]
    eks, ec2 = session.client("eks"), session.client("ec2")
    quotas, scaling = session.client("service-quotas"), session.client("autoscaling")
    work = DiagnoseWork(
        incidents=Incidents(table, utc_now),
        histories=SubnetHistories(table),
        connect=lambda name: open_cluster(name, eks, session.credentials()),
        capture=lambda open_: capture(
            open_.described, Sources(eks, ec2, quotas, scaling, open_.kube), utc_now, account_id
        ),
        defaults=lambda: _defaults(settings),
        within=timedelta(hours=float(settings.forecast_hours)),
    )
    return call.perform(work)


def _defaults(settings: DiagnoseSettings) -> Policy:
    """The stack's policy, which the cluster's tags override; raises ValidationError for values that the template
    forbids."""
    stopped = parameter_on(session.client("ssm"), settings.kill_switch)
    return Policy.model_validate(
        {
            "mode": settings.default_mode,
            "auto_max_risk": settings.auto_max_risk,
            "change_window": settings.change_window,
            "kill_switch": stopped,
        }
    )
