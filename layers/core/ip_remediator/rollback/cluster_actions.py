"""What the function `cluster` does in a rollback."""

from __future__ import annotations

from ip_remediator.clients.kubernetes.api import NO_CLUSTER
from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.common.actor import ActorField
from ip_remediator.provisioning.cluster_actions import PROVISIONING_CLUSTER, ClusterWork
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.drain import BlockDrainer
from ip_remediator.rollback.enis import EniRelease

ROLLBACK_CLUSTER: ActionTable[ClusterWork] = ActionTable(PROVISIONING_CLUSTER)


class Assess(OfIncident):
    """`evict`: whether pods on the block shall be evicted."""

    requested_by: ActorField
    evict: bool


class BlockInUse(Result):
    """How many pods and ENIs are on the block."""

    pods: int
    interfaces: int


class NewEnisStopped(Result):
    """`restored`: the CNI's settings were put back. `lowered`: how many of its warm targets."""

    restored: bool
    lowered: int = 0


class MovePods(OfIncident):
    """`evict`: whether pods may be evicted; otherwise none may be left."""

    evict: bool


class PodsMoved(Result):
    """`pods`: how many are left on the block; 0, because NotYet is raised before."""

    pods: int


class NodesGivenBack(Result):
    """`uncordoned`: the number of nodes."""

    uncordoned: int = 0


class WarmTargetsRestored(Result):
    """`restored`: false where none had been lowered."""

    restored: bool = False


class Settled(Result):
    """`hanging`: how many pods have no address then; None where they were not read back."""

    hanging: int | None = None


def _drainer(work: ClusterWork) -> BlockDrainer:
    kube = NO_CLUSTER if work.is_gone else work.cluster.kube
    return BlockDrainer(work.incident, work.incidents, work.log, kube, Ec2Block(work.client("ec2")), work.clock)


@ROLLBACK_CLUSTER.action(Assess, BlockInUse, Effect.READS)
def assess(work: ClusterWork, asked: Assess) -> BlockInUse:
    """Counts pods and ENIs in the block; nothing is changed."""
    return BlockInUse(**_drainer(work).assess(asked.requested_by, asked.evict))


@ROLLBACK_CLUSTER.action(OfIncident, NewEnisStopped, Effect.WRITES)
def stop_new_enis(work: ClusterWork, asked: OfIncident) -> NewEnisStopped:  # noqa: ARG001 - every action's signature
    """Gives the block's use on where another incident needs it, then stops nodes from making ENIs in it."""
    interfaces = _drainer(work).recheck_and_transfer()
    if work.is_gone:
        return NewEnisStopped(restored=False)
    done = EniRelease(work.configuration).stop_new_enis(interfaces=interfaces)
    return NewEnisStopped(restored=done["restored"], lowered=len(done.get("lowered", ())))


@ROLLBACK_CLUSTER.action(MovePods, PodsMoved, Effect.WRITES)
def move_pods(work: ClusterWork, asked: MovePods) -> PodsMoved:
    """Cordons nodes and evicts pods that have addresses of the block; PodDisruptionBudgets are respected."""
    if work.is_gone:
        return PodsMoved(pods=0)
    return PodsMoved(**_drainer(work).move_pods(asked.evict))


@ROLLBACK_CLUSTER.action(OfIncident, NodesGivenBack, Effect.RESTORES)
def uncordon(work: ClusterWork, asked: OfIncident) -> NodesGivenBack:  # noqa: ARG001
    """Lets pods onto the nodes again that the rollback cordoned."""
    if work.nothing_to_restore:
        return NodesGivenBack()
    return NodesGivenBack(uncordoned=len(_drainer(work).uncordon()["uncordoned"]))


@ROLLBACK_CLUSTER.action(OfIncident, WarmTargetsRestored, Effect.RESTORES)
def restore_warm_targets(work: ClusterWork, asked: OfIncident) -> WarmTargetsRestored:  # noqa: ARG001
    """Gives the CNI the warm targets back that the rollback lowered."""
    if work.nothing_to_restore:
        return WarmTargetsRestored()
    return WarmTargetsRestored(**EniRelease(work.configuration).restore_warm_targets())


@ROLLBACK_CLUSTER.action(OfIncident, Settled, Effect.READS)
def settle(work: ClusterWork, asked: OfIncident) -> Settled:  # noqa: ARG001
    """Waits for aws-node with its settings as before, and reads back which pods hang then."""
    if work.is_gone:
        return Settled()
    work.configuration.await_rollout()
    return Settled(hanging=_drainer(work).read_back_hanging())
