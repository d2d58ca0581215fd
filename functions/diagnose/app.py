"""Reads the cluster and its VPC -> Snapshot -> Diagnosis, both into the incident's record."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters import aws
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.observability import logger
from ip_remediator.settings import IncidentSettings
from ip_remediator.steps.diagnosing import diagnose_incident

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """`{"incident"}` -> `{"verdict", "curable", "needed", "summary"}`."""
    settings = IncidentSettings.read(os.environ)
    incidents = Incidents(aws.table(settings.incidents_table), utc_now)
    account_id = context.invoked_function_arn.split(":")[4]
    clients = {service: aws.client(service) for service in ("eks", "sts", "ec2")}
    return diagnose_incident(event["incident"], incidents, clients, utc_now, account_id)
