"""EKS and Kubernetes writes and their undo: the CRD, ENIConfigs, the settings of aws-node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.approvals import kill_switch
from ip_remediator.clients.aws import session
from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.common.clock import utc_now
from ip_remediator.incidents.repository import Incidents
from ip_remediator.node_replacement.owners import AutoScalingGroups
from ip_remediator.node_replacement.replace import NodeReplacer
from ip_remediator.observability import logger
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.cluster import ClusterConfiguration
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.drain import BlockDrainer
from ip_remediator.rollback.enis import EniRelease
from ip_remediator.settings import ClusterSettings
from ip_remediator.snapshot.ec2 import Ec2Reader

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_CONFIGURING = ("apply_eni_configs", "configure_cni", "await_rollout", "cni_switched", "undo")
_READING = ("assess", "await_rollout", "cni_switched", "assess_replacement", "await_successor")
_UNDO = ("undo", "uncordon", "restore_warm_targets")
_REPLACING = {
    "assess_replacement": lambda steps, event: steps.assess(event["requested_by"], event["nodes"]),
    "drain_node": lambda steps, event: steps.drain(event["zone"]),
    "end_node": lambda steps, event: steps.end(event["zone"]),
    "await_successor": lambda steps, event: steps.await_successor(event["zone"]),
    "give_node_back": lambda steps, event: steps.give_back(event["zone"]),
}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"action", "incident", "evict"?, "requested_by"?, "nodes"?, "zone"?}`; the actions are those of this module."""
    settings = ClusterSettings.read(os.environ)
    table = session.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(event["incident"])
    log = ChangeLog(table, utc_now, incident.id)
    if event["action"] in _UNDO and all(change.kind.in_vpc for change in log.made()):
        return {"undone": True}  # nothing to put back: do not depend on a cluster that may be unreachable
    cluster = open_cluster(incident.cluster, session.client("eks"), session.credentials())
    if event["action"] not in _READING:
        kill_switch.check(session.client("ssm"), settings.kill_switch, cluster.described.get("tags") or {})
    if replacing := _REPLACING.get(event["action"]):
        groups, ec2 = AutoScalingGroups(session.client("autoscaling")), Ec2Reader(session.client("ec2"))
        swapping = NodeReplacer(incident, incidents, log, cluster.kube, groups, ec2, utc_now)
        return dict(replacing(swapping, event))
    configuration = ClusterConfiguration(incident, incidents, log, cluster)
    draining = BlockDrainer(incident, incidents, log, cluster.kube, Ec2Block(session.client("ec2")), utc_now)
    match event["action"]:
        case "assess":
            return draining.assess(event["requested_by"], event["evict"])
        case "stop_new_enis":
            return EniRelease(configuration).stop_new_enis(interfaces=draining.recheck_and_transfer())
        case "restore_warm_targets":
            return EniRelease(configuration).restore_warm_targets()
        case "move_pods":
            return draining.move_pods(event["evict"])
        case "uncordon":
            return draining.uncordon()
        case action if action in _CONFIGURING:
            answer: dict[str, Any] = getattr(configuration, action)()
            return answer
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
