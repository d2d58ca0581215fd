"""AWS's rules for VPCs, CIDRs and subnets that moto lacks, as a layer over its backend."""

# ruff: noqa: SLF001 - a layer over moto works on its models, whose state is private

from __future__ import annotations

import time
from ipaddress import IPv4Network
from typing import Any

from moto.ec2.exceptions import EC2ClientError

from local.aws.ec2 import cidr_rules, errors

# States of a CIDR in which it belongs to the VPC; only "associated" can hold new subnets.
HELD = frozenset({"associating", "associated"})
_LAST_ACL_RULE = 32767


def network(text: str) -> IPv4Network:
    """``text`` in its canonical form, as EC2 stores it (100.68.0.18/18 becomes 100.68.0.0/18)."""
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        raise errors.invalid_cidr(text) from None


class VpcRules:
    """Layer over moto's EC2Backend; ``Any`` stands for moto's models, which are not typed for subclassing."""

    # How long a CIDR stays "associating" and "disassociating"; set once by ``backend.install``.
    transition_seconds = 0.0

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        # Association id -> (when the transition ends, the state it ends in; None means forgotten).
        self.transitions: dict[str, tuple[float, str | None]] = {}
        super().__init__(*arguments, **keywords)

    # --- CIDRs of a VPC

    def settle(self) -> None:
        """End the transitions whose time has come. Called before every request."""
        now = time.monotonic()
        for association_id in [one for one, (end, _) in self.transitions.items() if end <= now]:
            _, state = self.transitions.pop(association_id)
            for vpc in self.vpcs.values():  # type: ignore[attr-defined]
                association = vpc._cidr_block_association_set.get(association_id)
                if association and state:
                    association["cidr_block_state"]["state"] = state
                elif association:
                    del vpc._cidr_block_association_set[association_id]

    def associate_vpc_cidr_block(self, vpc_id: str, cidr_block: str, amazon_provided_ipv6_cidr_block: bool) -> Any:
        """Add a CIDR. InvalidVpc.Range, CidrLimitExceeded, OperationNotPermitted or InvalidParameterValue."""
        if not amazon_provided_ipv6_cidr_block:
            new = network(cidr_block)
            self._check_new_cidr(self.get_vpc(vpc_id), new)  # type: ignore[attr-defined]
            cidr_block = str(new)
        association: dict[str, Any] = super().associate_vpc_cidr_block(  # type: ignore[misc]
            vpc_id, cidr_block, amazon_provided_ipv6_cidr_block
        )
        association["cidr_block_state"]["state"] = "associating"
        self._in_transition(association["association_id"], "associated")
        return association

    def disassociate_vpc_cidr_block(self, association_id: str) -> Any:
        """Remove a CIDR. InvalidCidrBlock.InUse while a subnet lies in it."""
        for vpc in self.vpcs.values():  # type: ignore[attr-defined]
            association = vpc._cidr_block_association_set.get(association_id)
            if association and ":" not in association["cidr_block"]:
                block = IPv4Network(association["cidr_block"])
                if block != IPv4Network(vpc.cidr_block) and self._subnets_within(vpc.id, block):
                    raise errors.cidr_in_use(vpc.id, block)
        removed = super().disassociate_vpc_cidr_block(association_id)  # type: ignore[misc]
        for vpc in self.vpcs.values():  # type: ignore[attr-defined]
            if association_id in vpc._cidr_block_association_set:
                vpc._cidr_block_association_set[association_id]["cidr_block_state"]["state"] = "disassociating"
        self._in_transition(association_id, None)
        return removed

    def vpc_of_association(self, association_id: str) -> str:
        """Id of the VPC that has the CIDR association, "*" when none has."""
        vpcs = self.vpcs.values()  # type: ignore[attr-defined]
        return next((vpc.id for vpc in vpcs if association_id in vpc._cidr_block_association_set), "*")

    def subnet_of_acl_association(self, association_id: str) -> str:
        """Id of the subnet that has the network ACL association, "*" when none has."""
        acls = self.network_acls.values()  # type: ignore[attr-defined]
        associations = (acl._associations[association_id] for acl in acls if association_id in acl._associations)
        return next((str(one.subnet_id) for one in associations), "*")

    def route_table_association(self, association_id: str) -> tuple[str, str]:
        """(table, subnet) of an association, "*" when there is none."""
        for table in self.route_tables.values():  # type: ignore[attr-defined]
            if association_id in table._associations:
                return table.id, table._associations[association_id]
        return "*", "*"

    def _in_transition(self, association_id: str, final: str | None) -> None:
        self.transitions[association_id] = (time.monotonic() + self.transition_seconds, final)
        if not self.transition_seconds:
            self.settle()

    def _check_new_cidr(self, vpc: Any, new: IPv4Network) -> None:
        present = held_networks(vpc)
        if not cidr_rules.well_sized(new):
            raise errors.vpc_range(new)
        if cidr_rules.overlapping(present, new):
            raise errors.vpc_range(new, "conflicts with another CIDR block of the VPC.")
        if cidr_rules.restricted(present, new):
            raise errors.restricted_range(new)
        destination = cidr_rules.contained_destination(self._destinations(vpc.id), new)
        if destination:
            raise errors.vpc_range(new, f"is the same as or larger than the destination {destination} of a route.")
        self._check_peerings(vpc, new)

    def _check_peerings(self, vpc: Any, new: IPv4Network) -> None:
        for peering in self.vpc_pcxs.values():  # type: ignore[attr-defined]
            code = peering.status["Code"]
            if code == "pending-acceptance" and peering.vpc.id == vpc.id:
                raise errors.requested_peering(vpc.id, peering.id)
            if code == "active" and vpc.id in (peering.vpc.id, peering.peer_vpc.id):
                peer = peering.peer_vpc if peering.vpc.id == vpc.id else peering.vpc
                if cidr_rules.overlapping(held_networks(peer), new):
                    raise errors.vpc_range(new, f"conflicts with a CIDR block of the peered VPC {peer.id}.")

    def _destinations(self, vpc_id: str) -> list[str]:
        return [
            route.destination_cidr_block
            for table in self.route_tables.values()  # type: ignore[attr-defined]
            if table.vpc_id == vpc_id
            for route in table.routes
            if route.destination_cidr_block and not route.local
        ]

    def create_vpc_peering_connection(self, vpc: Any, peer_vpc: Any, tags: Any = None) -> Any:
        """A request between VPCs with overlapping CIDRs fails at once (API_CreateVpcPeeringConnection.html)."""
        peering = super().create_vpc_peering_connection(vpc, peer_vpc, tags)  # type: ignore[misc]
        if any(cidr_rules.overlapping(held_networks(peer_vpc), one) for one in held_networks(vpc)):
            peering._status.code = "failed"
            peering._status.message = "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range"
        return peering

    # --- Subnets

    def create_subnet(self, vpc_id: str, cidr_block: str, *arguments: Any, **keywords: Any) -> Any:
        """Create a subnet. InvalidSubnet.Range outside the VPC's CIDRs, InvalidSubnet.Conflict when it overlaps."""
        if cidr_block:
            block = network(cidr_block)
            associated = networks_in(self.get_vpc(vpc_id), {"associated"})  # type: ignore[attr-defined]
            if not cidr_rules.well_sized(block) or not any(block.subnet_of(one) for one in associated):
                raise errors.subnet_range(cidr_block)
            cidr_block = str(block)
        return super().create_subnet(vpc_id, cidr_block, *arguments, **keywords)  # type: ignore[misc]

    def delete_subnet(self, subnet_id: str) -> Any:
        """Delete a subnet with its associations and tags. DependencyViolation while an ENI is in it."""
        if any(eni.subnet.id == subnet_id for eni in self.enis.values()):  # type: ignore[attr-defined]
            raise errors.dependency(subnet_id)
        deleted = super().delete_subnet(subnet_id)  # type: ignore[misc]
        for table in self.route_tables.values():  # type: ignore[attr-defined]
            table._associations = {key: one for key, one in table._associations.items() if one != subnet_id}
        for acl in self.network_acls.values():  # type: ignore[attr-defined]
            acl._associations = {key: one for key, one in acl._associations.items() if one.subnet_id != subnet_id}
        self.tags.pop(subnet_id, None)  # type: ignore[attr-defined]
        return deleted

    def _subnets_within(self, vpc_id: str, block: IPv4Network) -> bool:
        return any(
            subnet.vpc_id == vpc_id and subnet.cidr.subnet_of(block)
            for subnet in self.describe_subnets()  # type: ignore[attr-defined]
        )

    # --- Associations of subnets

    def associate_route_table(
        self, route_table_id: str, gateway_id: str | None = None, subnet_id: str | None = None
    ) -> Any:
        """Associate a table. Resource.AlreadyAssociated when the subnet has another one already."""
        for table in self.route_tables.values():  # type: ignore[attr-defined]
            if subnet_id and subnet_id in table._associations.values() and table.id != route_table_id:
                raise EC2ClientError(
                    "Resource.AlreadyAssociated",
                    f"the specified association for route table {route_table_id} conflicts with an existing "
                    "association",
                )
        return super().associate_route_table(route_table_id, gateway_id, subnet_id)  # type: ignore[misc]

    def create_network_acl(self, vpc_id: str, *arguments: Any, **keywords: Any) -> Any:
        """Create an ACL with the final deny rules; moto adds them to a VPC's default ACL only."""
        made = super().create_network_acl(vpc_id, *arguments, **keywords)  # type: ignore[misc]
        if not made.default:
            for egress in (False, True):
                deny = {"rule_number": _LAST_ACL_RULE, "rule_action": "deny", "egress": egress}
                nothing = dict.fromkeys(("icmp_code", "icmp_type", "port_range_from", "port_range_to"))
                made.ec2_backend.create_network_acl_entry(
                    made.id, **deny, protocol="-1", cidr_block="0.0.0.0/0", ipv6_cidr_block=None, **nothing
                )
        return made

    def replace_network_acl_association(self, association_id: str, network_acl_id: str) -> Any:
        """Give a subnet another network ACL. InvalidAssociationID.NotFound for an unknown association."""
        acls = self.network_acls.values()  # type: ignore[attr-defined]
        if not any(association_id in acl._associations for acl in acls):
            raise EC2ClientError(
                "InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist"
            )
        self.get_network_acl(network_acl_id)  # type: ignore[attr-defined]
        return super().replace_network_acl_association(association_id, network_acl_id)  # type: ignore[misc]


def networks_in(vpc: Any, states: set[str] | frozenset[str]) -> list[IPv4Network]:
    """IPv4 CIDRs of ``vpc`` in one of ``states``, the primary one first."""
    return [
        IPv4Network(association["cidr_block"], strict=False)
        for association in vpc.get_cidr_block_association_set()
        if association["cidr_block_state"]["state"] in states
    ]


def held_networks(vpc: Any) -> list[IPv4Network]:
    """IPv4 CIDRs that belong to ``vpc``, the primary one first."""
    return networks_in(vpc, HELD)


def cidr_block_set(vpc: Any) -> list[dict[str, str]]:
    """CidrBlockSet of a VPC in DescribeVpcPeeringConnections."""
    return [{"CidrBlock": str(one)} for one in held_networks(vpc)]
