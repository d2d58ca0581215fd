"""The actions of the function `network`: those of a plan, and the wait for the ENIs that a rollback adds."""

from __future__ import annotations

from ip_remediator.common.actions import ActionTable, Effect, OfIncident, Result
from ip_remediator.provisioning.network_actions import PROVISIONING_NETWORK, NetworkWork
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.empty_subnets import await_empty as wait_until_empty

NETWORK: ActionTable[NetworkWork] = ActionTable(PROVISIONING_NETWORK)


class Emptied(Result):
    """`interfaces`: how many ENIs are left in the subnets; 0, because NotYet is raised before."""

    interfaces: int


@NETWORK.action(OfIncident, Emptied, Effect.WRITES)
def await_empty(work: NetworkWork, asked: OfIncident) -> Emptied:  # noqa: ARG001 - every action's signature
    """Raises NotYet while pods or ENIs have addresses of the block."""
    return Emptied(**wait_until_empty(work.network, Ec2Block(work.ec2)))
