"""VPC writes and their undo: leaked ENIs, the CIDR, and a subnet per zone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals import kill_switch
from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.eks import cluster_tags
from ip_remediator.common.clock import utc_now
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.incidents.repository import Incidents
from ip_remediator.observability import logger
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.network_actions import NetworkWork
from ip_remediator.rollback.network_actions import NETWORK
from ip_remediator.settings import NetworkSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Performs an action of `NETWORK`."""
    call, settings = NETWORK.parse(event), NetworkSettings.read(os.environ)
    table = session.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(call.request.incident)
    tags = cluster_tags(session.client("eks"), incident.cluster)
    kill_switch.check(session.client("ssm"), settings.kill_switch, tags)
    vpc_id = incident.plan.vpc_id if incident.plan else None
    log = ChangeLog(table, utc_now, incident.id, vpc_id, call.request.execution)
    work = NetworkWork(incident, incidents, log, session.client("ec2"), settings.stack_name, utc_now)
    if call.needs_lock:
        log.require_lock()
    return call.perform(work)
