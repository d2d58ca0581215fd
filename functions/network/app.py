"""VPC writes and their undo: leaked ENIs, the CIDR, and a subnet per zone."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals import kill_switch
from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.eks import cluster_tags
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.repository import Incidents
from ip_remediator.observability import logger
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.delete_leaked_enis import LeakedInterfaces
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from ip_remediator.provisioning.leaked_enis import LeakedEnis
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.provisioning.vpc import Network
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.empty_subnets import await_empty
from ip_remediator.settings import NetworkSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"action", "incident", "zone"?, "evict"?}`; the actions are those below."""
    settings = NetworkSettings.read(os.environ)
    table = session.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(event["incident"])
    kill_switch.check(
        session.client("ssm"), settings.kill_switch, cluster_tags(session.client("eks"), incident.cluster)
    )
    owner = Ownership(settings.stack_name, incident.id, incident.cluster)
    ec2 = Ec2Changes(session.client("ec2"), owner)
    log = ChangeLog(table, utc_now, incident.id)
    network = Network(incident, incidents, log, ec2, SubnetTags(session.client("ec2")))
    match event["action"]:
        case "delete_leaked_enis":
            nodes = incidents.snapshot(incident.id).nodes
            instances = {node.instance_id for node in nodes if node.instance_id}
            enis = LeakedEnis(session.client("ec2"), incident.cluster, instances, utc_now)
            return LeakedInterfaces(incident, incidents, log, enis).delete()
        case "associate_cidr":
            return network.associate_cidr()
        case "create_subnet":
            return network.create_subnet(event["zone"])
        case "stop_discovery":
            return network.stop_discovery()
        case "await_empty":
            return await_empty(network, Ec2Block(session.client("ec2")))
        case "undo":
            return network.undo()
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
