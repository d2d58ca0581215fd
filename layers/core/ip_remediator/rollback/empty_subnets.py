"""The wait until no ENI is left in an incident's subnets."""

from __future__ import annotations

from typing import Any

from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import Progress, Step
from ip_remediator.provisioning.vpc import Network
from ip_remediator.rollback.block_usage import Ec2Block
from ip_remediator.rollback.rules import interfaces_remain


def await_empty(network: Network, block: Ec2Block) -> dict[str, Any]:
    """Returns once no ENI is left in the incident's subnets. Leaked ENIs of the CNI are deleted: they are attached to
    nothing, serve no pod, and no new ones are made by now.

    Raises:
        NotYet: names the ENIs that are left; call again.
    """
    made = {subnet.id for subnet in network.ec2.subnets()}
    interfaces = block.interfaces(made)
    leaked = [eni for eni in interfaces if not eni.attached and eni.of_cni and eni.cluster == network.incident.cluster]
    for eni in leaked:
        network.log.require_lock()
        network.ec2.delete_interface(eni.id)
    if leaked:
        interfaces = block.interfaces(made)
    if interfaces:
        _record_progress(network, len(interfaces))
        raise NotYet(interfaces_remain(interfaces))
    return {"interfaces": 0}


def _record_progress(network: Network, interfaces: int) -> None:
    rollback = network.incident.rollback
    total = max(rollback.assessment.interfaces if rollback and rollback.assessment else 0, interfaces)
    progress = Progress(step=Step.ROLLBACK, unit="ENI", done=total - interfaces, total=total)
    if progress != network.incident.progress:
        network.incidents.record_progress(network.incident.id, progress)
