"""What the function `network` does of a plan in the VPC, and its undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ip_remediator.common.actions import ActionTable, Effect, InZone, OfIncident, Result
from ip_remediator.common.clock import Clock
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.delete_leaked_enis import LeakedInterfaces
from ip_remediator.provisioning.ec2 import Ec2Changes, Ownership
from ip_remediator.provisioning.leaked_enis import LeakedEnis
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.provisioning.vpc import Network

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


@dataclass(frozen=True)
class NetworkWork:
    """One incident's work in its VPC. `stack`: whose tags the things bear that are made."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    ec2: EC2Client
    stack: str
    clock: Clock

    @property
    def network(self) -> Network:
        """The changes of the VPC for this incident."""
        owner = Ownership(self.stack, self.incident.id, self.incident.cluster)
        return Network(self.incident, self.incidents, self.log, Ec2Changes(self.ec2, owner), SubnetTags(self.ec2))

    @property
    def leaked(self) -> LeakedInterfaces:
        """The deletion of the leaked ENIs that the plan names."""
        nodes = snapshot_of(self.incidents, self.incident.id).nodes
        instances = {node.instance_id for node in nodes if node.instance_id}
        enis = LeakedEnis(self.ec2, self.incident.cluster, instances, self.clock)
        return LeakedInterfaces(self.incident, self.incidents, self.log, enis)


class LeaksDeleted(Result):
    """`left`: how many are left alone; the record says which, and why."""

    deleted: int
    left: int


class CidrAdded(Result):
    """`block`: None where the plan needs none. `association`: None where the VPC has the range already."""

    block: str | None = None
    association: str | None = None


class SubnetMade(Result):
    """The subnet of a zone, found or created."""

    zone: str
    subnet: str
    cidr: str


class DiscoveryStopped(Result):
    """`stopped`: in how many subnets."""

    stopped: int


class VpcUndone(Result):
    """`removed`: the number of changes that were undone."""

    removed: int


PROVISIONING_NETWORK: ActionTable[NetworkWork] = ActionTable()


@PROVISIONING_NETWORK.action(OfIncident, LeaksDeleted, Effect.WRITES)
def delete_leaked_enis(work: NetworkWork, asked: OfIncident) -> LeaksDeleted:  # noqa: ARG001 - every action's signature
    """Deletes the plan's leaked ENIs; one that is in use again is left alone."""
    done = work.leaked.delete()
    return LeaksDeleted(deleted=done["deleted"], left=len(done["left"]))


@PROVISIONING_NETWORK.action(OfIncident, CidrAdded, Effect.WRITES)
def associate_cidr(work: NetworkWork, asked: OfIncident) -> CidrAdded:  # noqa: ARG001
    """Adds the block to the VPC and waits until EC2 says that it is associated."""
    return CidrAdded(**work.network.associate_cidr())


@PROVISIONING_NETWORK.action(InZone, SubnetMade, Effect.WRITES)
def create_subnet(work: NetworkWork, asked: InZone) -> SubnetMade:
    """Makes the zone's subnet, with the route table and network ACL of the nodes' one."""
    return SubnetMade(**work.network.create_subnet(asked.zone))


@PROVISIONING_NETWORK.action(OfIncident, DiscoveryStopped, Effect.WRITES)
def stop_discovery(work: NetworkWork, asked: OfIncident) -> DiscoveryStopped:  # noqa: ARG001
    """Takes the tag off that makes the CNI use the subnets."""
    return DiscoveryStopped(stopped=len(work.network.stop_discovery()["stopped"]))


@PROVISIONING_NETWORK.action(OfIncident, VpcUndone, Effect.WRITES)
def undo(work: NetworkWork, asked: OfIncident) -> VpcUndone:  # noqa: ARG001
    """Deletes the subnets and the CIDR that the incident made, and gives the block back."""
    return VpcUndone(removed=len(work.network.undo()["removed"]))
