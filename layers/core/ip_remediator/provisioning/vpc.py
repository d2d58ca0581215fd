"""The VPC's part of a plan, and its undo."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ip_remediator.clients.aws.attempts import surely_refused
from ip_remediator.common.errors import NotFound, NotYet, PermissionDenied, RequestRefused, Transient
from ip_remediator.common.text import some_of
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident, RecordedChange, Step
from ip_remediator.incidents.repository import Incidents
from ip_remediator.planning.model import Plan, PlannedSubnet
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.provisioning.ec2 import Ec2Changes, MadeSubnet
from ip_remediator.provisioning.made_subnets import is_young
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
        association = self._associate(plan, plan.block)
        pool = f" out of {plan.ipam_pool}" if plan.ipam_pool else ""
        note = f"{plan.block}{pool} is associated ({association})"
        self.incidents.complete(self.incident.id, Step.ASSOCIATE_CIDR, note)
        return {"block": plan.block, "association": association}

    def _associate(self, plan: Plan, block: str) -> str:
        present = self.ec2.cidr(plan.vpc_id, block)
        before = {"association": present.association_id} if present else None
        intended = ChangeMade(kind=ChangeKind.VPC_CIDR, target=block, before=before, after=self._now())
        with self._attempt("AssociateVpcCidrBlock", self.log.intend(intended)):
            return self.ec2.associate_cidr(plan.vpc_id, block, plan.ipam_pool, absent=present is None)

    @contextmanager
    def _attempt(self, action: str, recorded: RecordedChange) -> Iterator[None]:
        """One attempt to create what is recorded. The record's `at` is the start of the latest attempt that may have
        succeeded; it is empty if AWS refused all of them."""
        doubted = recorded.repeated and "at" in (recorded.after or {})
        if recorded.repeated:
            self._amend(recorded, **self._now())
        try:
            yield
        except Exception as error:
            if surely_refused(error, action):
                self._note_refusal(recorded, error, doubted=doubted)
            raise

    def _note_refusal(self, recorded: RecordedChange, error: Exception, *, doubted: bool) -> None:
        if doubted:
            self.log.amend(recorded)
        elif isinstance(error, Transient):  # the state machine tries again
            self._amend(recorded, at=None)
        else:
            self.log.undone(recorded)

    def _amend(self, change: RecordedChange, **after: str | None) -> RecordedChange:
        """None takes a value off."""
        merged = {name: value for name, value in {**(change.after or {}), **after}.items() if value is not None}
        amended = change.model_copy(update={"after": merged})
        self.log.amend(amended)
        return amended

    def _now(self) -> dict[str, str]:
        return {"at": self.log.clock().isoformat()}

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
        after = {"cidr": planned.cidr, **self._now()}
        change = self.log.intend(ChangeMade(kind=ChangeKind.SUBNET, target=planned.zone, after=after))
        if id_ := _id_of(change):
            made = MadeSubnet(id_, planned.zone, planned.cidr)  # DescribeSubnets may not list it yet
        else:
            with self._attempt("CreateSubnet", change):
                made = self.ec2.create_subnet(plan.vpc_id, planned.zone, planned.cidr, planned.tags)
            # At once: nothing else is sure to find it in the first minute.
            change = self._amend(change, **self._now(), id=made.id)
        with self._settling(change, NotFound, PermissionDenied):
            if planned.route_table:
                self.ec2.use_route_table(made.id, planned.route_table, new=made.new)
            if planned.network_acl:
                self.ec2.use_network_acl(made.id, planned.network_acl)
            if planned.public_addresses:
                self.ec2.give_public_addresses(made.id)
            if planned.reserve_prefixes:
                self.ec2.reserve_prefixes(made.id, planned.cidr)
        return made.id

    @contextmanager
    def _settling(self, change: ChangeMade, *errors: type[Exception]) -> Iterator[None]:
        """What EC2 or IAM does not know of a new subnet they may know soon: EC2 is eventually consistent.

        Raises:
            NotYet: instead of `errors` about the subnet, in its first minute.
        """
        try:
            yield
        except errors as error:
            about_it = not isinstance(error, NotFound) or "InvalidSubnetID" in str(error)
            if about_it and self._is_young(change):
                raise NotYet(f"the subnet of {change.target} is only just made: {error}") from error
            raise

    def _is_young(self, change: ChangeMade) -> bool:
        return is_young(change, self.log.clock())

    def _use(self, planned: PlannedSubnet) -> str:
        """Uses a subnet that is not ours: only the plan's tags are changed on it."""
        id_ = planned.id or ""
        present = self.tags.of(id_)
        if planned.tags:
            before = {key: present.get(key) for key in planned.tags}
            self.log.intend(ChangeMade(kind=ChangeKind.SUBNET_TAGS, target=id_, before=before, after=planned.tags))
            self.tags.put(id_, planned.tags)
        return id_

    def stop_discovery(self) -> dict[str, Any]:
        """Keeps ipamd from creating further ENIs in the plan's subnets: existing subnets get their former tags back,
        ours lose the plan's tags.

        The tag is removed and not set to 0. With 0 ipamd would count the ENIs there as excluded at its next start,
        and an excluded ENI has no spare addresses, by which ipamd recognises that it can remove it.
        """
        tagged = {
            subnet.zone: subnet.tags for subnet in self.incident.require_plan().subnets if subnet.tags and not subnet.id
        }
        mine = [subnet for subnet in self.ec2.subnets() if subnet.zone in tagged] if tagged else []
        for made in mine:
            self.tags.put_back(made.id, dict.fromkeys(tagged[made.zone]))
        return {"stopped": [made.id for made in mine] + self._restore_tags()}

    def _restore_tags(self) -> list[str]:
        changed = self.log.made(ChangeKind.SUBNET_TAGS)
        for change in changed:
            self.log.require_lock()
            is_there = self.tags.put_back(change.target, change.before or {})
            self.log.undone(change, "" if is_there else "the subnet is gone")
        return [change.target for change in changed]

    def undo(self) -> dict[str, Any]:
        """Restores the tags of subnets that were there, and removes the subnets and the CIDR that this incident made:
        what both the tags and the change log say. ipamd may have found a tagged one already, so tags go first.

        Raises:
            NotYet: an ENI is still in a subnet, or a subnet may still appear; call again.
            RequestRefused: the cluster's part is not undone yet, or tags and change log do not agree on a subnet.
        """
        plan = self.incident.require_plan()
        self._require_cluster_undone()
        self.stop_discovery()
        made = {subnet.zone: subnet for subnet in self.ec2.subnets()}
        logged = self.log.made(ChangeKind.SUBNET)
        unknown = made.keys() - {change.target for change in logged}
        if unknown:
            ids = ", ".join(sorted(made[zone].id for zone in unknown))
            raise RequestRefused(
                f"{ids} bear this incident's tags, but its record does not know them: look who made them"
            )
        removed = [self._remove(change, made.get(change.target)) for change in logged]
        for change in self.log.made(ChangeKind.VPC_CIDR):
            if change.before is None:
                if self._is_young(change) and self.ec2.cidr(plan.vpc_id, change.target) is None:
                    raise NotYet(f"{change.target} may still appear in {plan.vpc_id}")
                self._require_ours_alone(plan.vpc_id, change.target)
                self.log.require_lock()
                self.ec2.disassociate_cidr(plan.vpc_id, change.target)
            self.log.undone(change)
        return {"removed": sorted(subnet for subnet in removed if subnet)}

    def _require_ours_alone(self, vpc_id: str, block: str) -> None:
        """EC2 would only say that the CIDR is in use. Ours may still be listed although they are deleted."""
        ours = {subnet.id for subnet in self.ec2.subnets()}
        others = [f"{id_} ({cidr})" for id_, cidr in self.ec2.subnets_in(vpc_id, block).items() if id_ not in ours]
        if others:
            raise RequestRefused(
                f"{block} stays: {some_of(sorted(others))}, which this incident did not make, uses it. Delete it, then "
                "roll back"
            )

    def _require_cluster_undone(self) -> None:
        """Nothing is deleted that is still in use: by ENIConfigs with a CNI that is switched to them, by Auto Scaling
        groups, or by the cluster."""
        standing = [change for change in self.log.made() if change.kind.names_subnets]
        if standing:
            names = some_of([str(change) for change in standing])
            raise RequestRefused(f"the subnets stay, because the cluster still stands on them: {names}")

    def _remove(self, change: RecordedChange, listed: MadeSubnet | None) -> str | None:
        """Deletes the subnet of a recorded change; returns its id, or None if it was never created. The change is
        struck out only if the subnet is certainly gone: one whose CreateSubnet got no answer may still appear."""
        subnet = listed.id if listed else _id_of(change) or self.incident.subnets.get(change.target)
        if subnet:
            if listed is None and self.ec2.is_gone(subnet) and self._is_young(change):
                raise NotYet(f"EC2 does not list {subnet} of {change.target} yet")
            self.log.require_lock()
            with self._settling(change, RequestRefused, PermissionDenied):
                self.ec2.delete_subnet(subnet)
        elif self._is_young(change):
            raise NotYet(f"the subnet of {change.target} may still appear: CreateSubnet got no answer")
        self.log.undone(change)
        return subnet


def _id_of(change: ChangeMade) -> str | None:
    return (change.after or {}).get("id")
