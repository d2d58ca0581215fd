"""Sweeps every onboarded cluster on a schedule: metrics, forecasts, and waiting pods that no signal reported."""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import kube_api
from ip_remediator.common.clock import utc_now
from ip_remediator.forecasting.eks_health import EksHealth
from ip_remediator.forecasting.onboarded_clusters import OnboardedClusters
from ip_remediator.forecasting.subnet_history import SubnetHistories
from ip_remediator.forecasting.sweep import Sweeper
from ip_remediator.intake.places import SubnetClusters
from ip_remediator.intake.queue import SignalQueue
from ip_remediator.observability import logger
from ip_remediator.settings import SweepSettings
from ip_remediator.snapshot.ec2 import Ec2Reader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ip_remediator.clients.kubernetes.api import KubeApi

# Of the function's time, what is kept to write down what was seen when some clusters do not answer.
_RESERVE_SECONDS = 30


@cache
def _sweeper() -> Sweeper:
    settings = SweepSettings.read(os.environ)
    clusters = OnboardedClusters(session.client("eks"), settings.sweep_role_arn, utc_now)

    def open_api(described: dict[str, Any], seconds: float) -> KubeApi:
        return kube_api(described, clusters.region, session.credentials(), seconds)

    return Sweeper(
        clusters=clusters,
        ec2=lambda: Ec2Reader(session.client("ec2")),
        open_api=open_api,
        histories=SubnetHistories(session.table(settings.incidents_table)),
        health=EksHealth(session.client("eks"), session.table(settings.incidents_table), utc_now),
        subnet_clusters=SubnetClusters(session.table(settings.incidents_table)),
        queue=SignalQueue(session.client("sqs"), settings.signals_queue_url),
        clock=utc_now,
        within=timedelta(hours=float(settings.forecast_hours)),
        subnet_metrics=settings.sweep_metrics == "subnets",
    )


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"swept", "failed", "signals"}`; the event is EventBridge's and says nothing."""
    report = _sweeper().sweep(context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS)
    logger.info("swept", **report)
    return report
