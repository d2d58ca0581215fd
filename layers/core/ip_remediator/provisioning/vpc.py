"""The VPC's part of a plan, and its undo."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ip_remediator.common.errors import NotFound, RequestRefused
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan, PlannedSubnet
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.ec2 import Ec2Changes
from ip_remediator.provisioning.subnet_tags import SubnetTags

_NEW_CIDR = ("new-cidr", "ipam-pool")


@dataclass(frozen=True)
class Network:
    """The VPC writes of one incident."""

    incident: Incident
    incidents: Incidents
    log: ChangeLog
    ec2: Ec2Changes
    tags: SubnetTags

    def associate_cidr(self) -> dict[str, Any]:
        """Adds the plan's block to the VPC, unless it lies in a CIDR that the VPC has, or there is none."""
        plan = self.incident.require_plan()
        if plan.block is None or plan.source not in _NEW_CIDR:
            self.incidents.skip(self.incident.id, Step.ASSOCIATE_CIDR, "the VPC has the range already")
            return {"block": plan.block}
        present = self.ec2.cidr(plan.vpc_id, plan.block)
        before = {"association": present.association_id} if present else None
        self.log.intend(ChangeMade(kind=ChangeKind.VPC_CIDR, target=plan.block, before=before))
        association = self.ec2.associate_cidr(plan.vpc_id, plan.block, plan.ipam_pool, absent=present is None)
        pool = f" out of {plan.ipam_pool}" if plan.ipam_pool else ""
        note = f"{plan.block}{pool} is associated ({association})"
        self.incidents.complete(self.incident.id, Step.ASSOCIATE_CIDR, note)
        return {"block": plan.block, "association": association}

    def create_subnet(self, zone: str) -> dict[str, Any]:
        """The zone's subnet: one that is there already, or a new one with the route table and network ACL of the
        nodes' subnet there."""
        plan = self.incident.require_plan()
        planned = next((subnet for subnet in plan.subnets if subnet.zone == zone), None)
        if planned is None:
            raise RequestRefused(f"the plan of incident {self.incident.id} has no subnet in zone {zone!r}")
        id_ = self._use(planned) if planned.id else self._create(plan, planned)
        subnets = self.incidents.record_subnet(self.incident.id, zone, id_)
        if set(subnets) >= {subnet.zone for subnet in plan.subnets}:
            note = ", ".join(f"{subnet} in {place}" for place, subnet in sorted(subnets.items()))
            self.incidents.complete(self.incident.id, Step.CREATE_SUBNETS, note)
        return {"zone": zone, "subnet": id_, "cidr": planned.cidr}

    def _create(self, plan: Plan, planned: PlannedSubnet) -> str:
        self.log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=planned.zone, after={"cidr": planned.cidr}))
        made = self.ec2.create_subnet(plan.vpc_id, planned.zone, planned.cidr, planned.tags)
        if planned.route_table:
            self.ec2.use_route_table(made.id, planned.route_table, new=made.new)
        if planned.network_acl:
            self.ec2.use_network_acl(made.id, planned.network_acl)
        if planned.reserve_prefixes:
            self.ec2.reserve_prefixes(made.id, planned.cidr)
        return made.id

    def _use(self, planned: PlannedSubnet) -> str:
        """A subnet that is not ours: nothing but the plan's tags is changed on it."""
        id_ = planned.id or ""
        present = self.tags.of(id_)
        if planned.tags:
            before = {key: present.get(key) for key in planned.tags}
            self.log.intend(ChangeMade(kind=ChangeKind.SUBNET_TAGS, target=id_, before=before, after=planned.tags))
            self.tags.put(id_, planned.tags)
        return id_

    def stop_discovery(self) -> dict[str, Any]:
        """ipamd puts no further ENI into the plan's subnets: the tags of those that were there become as before, ours
        lose the plan's.

        The tag is taken off and not set to 0: at its next start ipamd would count the ENIs there as excluded, and one
        that is excluded holds no spare addresses by which it is recognised as superfluous.
        """
        tagged = {
            subnet.zone: subnet.tags for subnet in self.incident.require_plan().subnets if subnet.tags and not subnet.id
        }
        mine = [subnet for subnet in self.ec2.subnets() if subnet.zone in tagged] if tagged else []
        for made in mine:
            self.tags.put(made.id, dict.fromkeys(tagged[made.zone]))
        return {"stopped": [made.id for made in mine] + self._restore_tags()}

    def _restore_tags(self) -> list[str]:
        changed = self.log.made(ChangeKind.SUBNET_TAGS)
        for change in changed:
            with suppress(NotFound):  # its owner deleted the subnet since
                self.tags.put(change.target, change.before or {})
            self.log.undone(change)
        return [change.target for change in changed]

    def undo(self) -> dict[str, Any]:
        """Restores the tags of subnets that were there, and removes the subnets and the CIDR that this incident made:
        what both the tags and the change log say. ipamd may have found a tagged one already, so tags go first.

        Raises:
            NotYet: an ENI is still in a subnet; call again.
            RequestRefused: tags and change log do not agree on a subnet.
        """
        plan = self.incident.require_plan()
        self.stop_discovery()
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
