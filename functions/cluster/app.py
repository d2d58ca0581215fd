"""EKS and Kubernetes writes and their undo: the CRD, ENIConfigs, the settings of aws-node, nodes."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals import kill_switch
from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.actions import Effect
from ip_remediator.common.clock import utc_now
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.incidents.repository import Incidents
from ip_remediator.node_replacement.cluster_actions import CLUSTER
from ip_remediator.observability import logger
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster_actions import ClusterWork
from ip_remediator.settings import ClusterSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Performs an action of `CLUSTER`."""
    call, settings = CLUSTER.parse(event), ClusterSettings.read(os.environ)
    table = session.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(call.request.incident)
    vpc_id = incident.plan.vpc_id if incident.plan else None
    log = ChangeLog(table, utc_now, incident.id, vpc_id, call.request.execution)
    connect = partial(open_cluster, incident.cluster, session.client("eks"), session.credentials())
    work = ClusterWork(incident, incidents, log, connect, session.client, utc_now)
    if call.effect is Effect.WRITES or (call.effect is Effect.RESTORES and not work.nothing_to_restore):
        kill_switch.check(session.client("ssm"), settings.kill_switch, work.tags)
    if call.needs_lock:
        log.require_lock()
    elif call.effect is Effect.RESTORES:
        log.require_not_superseded()
    return call.perform(work)
