"""The VPC's part of a plan, and its undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ip_remediator.adapters.change_log import ChangeLog
from ip_remediator.adapters.ec2_block import Ec2Block
from ip_remediator.adapters.ec2_changes import Ec2Changes
from ip_remediator.adapters.errors import NotYet, RequestRefused
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.domain.incidents import ChangeKind, ChangeMade, Incident, Step
from ip_remediator.domain.rollback import interfaces_remain
from ip_remediator.steps.planned import plan_of


@dataclass(frozen=True)
class Network:
    """The VPC writes of one incident."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    ec2: Ec2Changes

    def associate_cidr(self) -> dict[str, Any]:
        """Adds the plan's block to the VPC, unless it lies in a CIDR that the VPC has."""
        plan = plan_of(self.incident)
        if plan.block is None or plan.source == "existing-cidr":
            self.incidents.skip(self.incident.id, Step.ASSOCIATE_CIDR, "the VPC has the range already")
            return {"block": plan.block}
        present = self.ec2.cidr(plan.vpc_id, plan.block)
        before = {"association": present.association_id} if present else None
        self.log.intend(ChangeMade(kind=ChangeKind.VPC_CIDR, target=plan.block, before=before))
        association = self.ec2.associate_cidr(plan.vpc_id, plan.block)
        self.incidents.complete(self.incident.id, Step.ASSOCIATE_CIDR, f"{plan.block} is associated ({association})")
        return {"block": plan.block, "association": association}

    def create_subnet(self, zone: str) -> dict[str, Any]:
        """The zone's subnet, with the route table and network ACL of the nodes' subnet there."""
        plan = plan_of(self.incident)
        planned = next((subnet for subnet in plan.subnets if subnet.zone == zone), None)
        if planned is None:
            raise RequestRefused(f"the plan of incident {self.incident.id} has no subnet in zone {zone!r}")
        self.log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=zone, after={"cidr": planned.cidr}))
        made = self.ec2.create_subnet(plan.vpc_id, zone, planned.cidr)
        if planned.route_table:
            self.ec2.use_route_table(made.id, planned.route_table)
        if planned.network_acl:
            self.ec2.use_network_acl(made.id, planned.network_acl)
        if planned.reserve_prefixes:
            self.ec2.reserve_prefixes(made.id, planned.cidr)
        subnets = self.incidents.record_subnet(self.incident.id, zone, made.id)
        if set(subnets) >= {subnet.zone for subnet in plan.subnets}:
            note = ", ".join(f"{id_} in {place}" for place, id_ in sorted(subnets.items()))
            self.incidents.complete(self.incident.id, Step.CREATE_SUBNETS, note)
        return {"zone": zone, "subnet": made.id, "cidr": made.cidr}

    def await_empty(self, block: Ec2Block, evict: bool) -> dict[str, Any]:
        """No ENI is left in the incident's subnets. `evict`: those that the CNI leaked there are deleted.

        Raises:
            NotYet: names the ENIs that are left; call again.
        """
        made = {subnet.id for subnet in self.ec2.subnets()}
        left = block.interfaces(made)
        if evict:
            for eni in left:
                if not eni.attached and eni.of_cni and eni.cluster == self.incident.cluster:
                    self.ec2.delete_interface(eni.id)
            left = block.interfaces(made)
        if left:
            raise NotYet(interfaces_remain(left))
        return {"interfaces": 0}

    def undo(self) -> dict[str, Any]:
        """Removes the subnets and the CIDR that this incident made: what both the tags and the change log say.

        Raises:
            NotYet: an ENI is still in a subnet; call again.
            RequestRefused: tags and change log do not agree on a subnet.
        """
        plan = plan_of(self.incident)
        made = {subnet.zone: subnet for subnet in self.ec2.subnets()}
        logged = self.log.made(ChangeKind.SUBNET)
        unknown = made.keys() - {change.target for change in logged}
        if unknown:
            ids = ", ".join(sorted(made[zone].id for zone in unknown))
            raise RequestRefused(
                f"{ids} bear this incident's tags, but its record does not know them: look who made them"
            )
        for change in logged:
            subnet = made[change.target].id if change.target in made else self.incident.subnets.get(change.target)
            if subnet:
                self.ec2.delete_subnet(subnet)
            self.log.undone(change)
        for change in self.log.made(ChangeKind.VPC_CIDR):
            if change.before is None:
                self.ec2.disassociate_cidr(plan.vpc_id, change.target)
            self.log.undone(change)
        return {"removed": sorted(subnet.id for subnet in made.values())}
