"""EKS and Kubernetes writes and their undo: the CRD, ENIConfigs, the settings of aws-node."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters import aws, kill_switch
from ip_remediator.adapters.change_log import ChangeLog
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.clusters import open_cluster
from ip_remediator.adapters.ec2_block import Ec2Block
from ip_remediator.adapters.ec2_facts import Ec2Facts
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.node_groups import AutoScalingGroups
from ip_remediator.observability import logger
from ip_remediator.settings import ClusterSettings
from ip_remediator.steps.cluster import ClusterConfiguration
from ip_remediator.steps.draining import Draining
from ip_remediator.steps.swapping import Swapping

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_CONFIGURING = ("apply_eni_configs", "configure_cni", "await_rollout", "cni_switched", "undo", "restore_warm_targets")
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
    table = aws.table(settings.incidents_table)
    incidents = Incidents(table, utc_now)
    incident = incidents.get(event["incident"])
    log = ChangeLog(table, utc_now, incident.id)
    if event["action"] in _UNDO and all(change.kind.in_vpc for change in log.made()):
        return {"undone": True}  # nothing to put back: do not depend on a cluster that may be unreachable
    cluster = open_cluster(incident.cluster, aws.client("eks"), aws.credentials())
    if event["action"] not in _READING:
        kill_switch.check(aws.client("ssm"), settings.kill_switch, cluster.described.get("tags") or {})
    if replacing := _REPLACING.get(event["action"]):
        groups, ec2 = AutoScalingGroups(aws.client("autoscaling")), Ec2Facts(aws.client("ec2"))
        swapping = Swapping(incident, incidents, log, cluster.kube, groups, ec2, utc_now)
        return dict(replacing(swapping, event))
    configuration = ClusterConfiguration(incident, incidents, log, cluster)
    draining = Draining(incident, incidents, log, cluster.kube, Ec2Block(aws.client("ec2")), utc_now)
    match event["action"]:
        case "assess":
            return draining.assess(event["requested_by"], event["evict"])
        case "stop_new_enis":
            return configuration.stop_new_enis(interfaces=draining.make_way())
        case "move_pods":
            return draining.move_pods(event["evict"])
        case "uncordon":
            return draining.uncordon()
        case action if action in _CONFIGURING:
            answer: dict[str, Any] = getattr(configuration, action)()
            return answer
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
