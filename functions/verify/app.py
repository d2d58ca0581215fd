"""Verifies that the incident's pods run with addresses of the new block."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.clock import utc_now
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.incidents.repository import Incidents
from ip_remediator.node_replacement.verify_actions import VERIFY, VerifyWork
from ip_remediator.observability import logger
from ip_remediator.settings import IncidentSettings
from ip_remediator.snapshot.ec2 import Ec2Reader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Performs the action of `VERIFY`."""
    call, settings = VERIFY.parse(event), IncidentSettings.read(os.environ)
    incidents = Incidents(session.table(settings.incidents_table), utc_now)
    incident = incidents.get(call.request.incident)
    connect = partial(open_cluster, incident.cluster, session.client("eks"), session.credentials())
    return call.perform(VerifyWork(incident, incidents, connect, Ec2Reader(session.client("ec2")), session.client))
