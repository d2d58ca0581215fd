"""The actions of the function `cluster`: those of plan and rollback, and the replacement of a zone's nodes."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, InZone, OfIncident, Result
from ip_remediator.common.actor import ActorField
from ip_remediator.node_replacement.owners import AutoScalingGroups
from ip_remediator.node_replacement.replace import NodeReplacer
from ip_remediator.provisioning.cluster_actions import ClusterWork
from ip_remediator.rollback.cluster_actions import ROLLBACK_CLUSTER
from ip_remediator.snapshot.ec2 import Ec2Reader
from ip_remediator.snapshot.node_groups import NodeGroups

CLUSTER: ActionTable[ClusterWork] = ActionTable(ROLLBACK_CLUSTER)


class AssessReplacement(OfIncident):
    """`nodes`: the names of the nodes to replace."""

    requested_by: ActorField
    nodes: list[str]


class NodesAssessed(Result):
    """`zones`: the names of those with nodes to replace."""

    zones: list[str]
    nodes: int
    pods: int


class NodeDrained(Result):
    """`pods`: how many are left on the zone's node; 0, because NotYet is raised before."""

    zone: str
    pods: int = 0


class ZoneResult(Result):
    """The zone that the action worked on."""

    zone: str


class NodeReplaced(Result):
    """`left`: how many nodes of the zone remain to be replaced."""

    zone: str
    left: int


def _replacer(work: ClusterWork) -> NodeReplacer:
    groups, ec2 = AutoScalingGroups(work.client("autoscaling")), Ec2Reader(work.client("ec2"))
    managed = NodeGroups(work.client("eks"), work.incident.cluster)
    return NodeReplacer(work.incident, work.incidents, work.log, work.cluster.kube, groups, ec2, managed, work.clock)


@CLUSTER.action(AssessReplacement, NodesAssessed, Effect.READS)
def assess_replacement(work: ClusterWork, asked: AssessReplacement) -> NodesAssessed:
    """Which nodes can be replaced, and how many pods that moves; nothing is changed."""
    return NodesAssessed(**_replacer(work).assess(asked.requested_by, asked.nodes))


@CLUSTER.action(InZone, NodeDrained, Effect.WRITES)
def drain_node(work: ClusterWork, asked: InZone) -> NodeDrained:
    """Cordons the zone's current node and evicts its pods; PodDisruptionBudgets are respected."""
    return NodeDrained(**_replacer(work).drain(asked.zone))


@CLUSTER.action(InZone, ZoneResult, Effect.WRITES)
def end_node(work: ClusterWork, asked: InZone) -> ZoneResult:
    """Has the node's owner (node group, Auto Scaling group, Karpenter) terminate it."""
    return ZoneResult(**_replacer(work).end(asked.zone))


# The name that the state machines send, those of an earlier release as well.
@CLUSTER.action(InZone, NodeReplaced, Effect.READS, name="await_successor")
def await_new_node(work: ClusterWork, asked: InZone) -> NodeReplaced:
    """Raises NotYet until a node in the drained one's place is Ready."""
    return NodeReplaced(**_replacer(work).await_new_node(asked.zone))


@CLUSTER.action(InZone, ZoneResult, Effect.WRITES)
def give_node_back(work: ClusterWork, asked: InZone) -> ZoneResult:
    """Uncordons the zone's node after a failure."""
    return ZoneResult(**_replacer(work).give_back(asked.zone))
