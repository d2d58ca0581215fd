"""The resources that an EC2 call acts on, and the condition keys of each.

AWS checks every required resource of a call, each with its own condition keys: aws:RequestTag belongs to what the call
creates, aws:ResourceTag to what is there. So a subnet needs a permission for the VPC and one for the subnet, and a
condition on aws:RequestTag denies the VPC. Source: "Actions, resources, and condition keys for Amazon EC2"
(list_amazonec2.html of the Service Authorization Reference).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ministack.core.responses import get_account_id, get_region
from moto.ec2.models import ec2_backends

from local.aws.partitions import partition_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local.aws.switches import Switches

TAG_SPECIFICATION = re.compile(r"TagSpecification\.(\d+)\.Tag\.(\d+)\.Key")
TAG = re.compile(r"Tag\.(\d+)\.Key")
TAGGING = frozenset({"CreateTags", "DeleteTags"})
# Pools of IPAM are of no region.
WITHOUT_REGION = frozenset({"ipam-pool"})
# Types of resources by the prefix of their ids.
PREFIXES = {
    "vpc": "vpc",
    "subnet": "subnet",
    "eni": "network-interface",
    "rtb": "route-table",
    "acl": "network-acl",
    "sg": "security-group",
    "i": "instance",
    "ipam-pool": "ipam-pool",
    "scr": "subnet-cidr-reservation",
    "pl": "prefix-list",
    "tgw-rtb": "transit-gateway-route-table",
}


@dataclass(frozen=True)
class Target:
    """A resource of a call: its type, its id ("*" for what the call creates)."""

    kind: str
    id: str = "*"

    @property
    def created(self) -> bool:
        """Whether the call creates the resource, so that it has no id yet."""
        return self.id == "*"

    def arn(self) -> str:
        """The ARN that a policy's `Resource` is compared with."""
        region = "" if self.kind in WITHOUT_REGION else get_region()
        return f"arn:{partition_of(get_region())}:ec2:{region}:{get_account_id()}:{self.kind}/{self.id}"


def first(params: Any, name: str) -> str:
    """The value of a parameter of a form; "" when it is not there."""
    value = params.get(name, "")
    return str((value[0] if value else "") if isinstance(value, list) else value)


def targets(params: Any) -> list[Target]:
    """The resources of a call, none for calls that know no resources ("*" in a policy)."""
    action = first(params, "Action")
    if action.startswith("Describe"):
        return []
    find = _BY_ACTION.get(action)
    return list(find(params)) if find else list(_named(params))


def context(target: Target, params: Any, switches: Switches) -> dict[str, Any]:
    """Condition keys of one resource of a call."""
    keys = {} if target.created else _resource_tags(target, switches)
    if target.created or first(params, "Action") in TAGGING:
        keys.update(_request_tags(target, params))
    return keys


def creates_with_tags(params: Any) -> list[Target]:
    """What a creating call tags: it needs ec2:CreateTags for these as well."""
    kinds = {
        first(params, f"TagSpecification.{match[1]}.ResourceType")
        for name in params
        if (match := TAG_SPECIFICATION.fullmatch(name))
    }
    return [Target(kind) for kind in sorted(kinds)]


def _backend() -> Any:
    return ec2_backends[get_account_id()][get_region()]


def _resource_tags(target: Target, switches: Switches) -> dict[str, Any]:
    tags = _backend().tags_older_than(target.id, switches.ec2_policies_see_after_seconds)
    prefixes = ("aws:resourcetag", "ec2:resourcetag")
    return {f"{prefix}/{key.lower()}": value for key, value in tags.items() for prefix in prefixes}


def _request_tags(target: Target, params: Any) -> dict[str, Any]:
    condition_keys: dict[str, Any] = {}
    tag_keys = []
    for name in params:
        match = TAG_SPECIFICATION.fullmatch(name)
        if match and first(params, f"TagSpecification.{match[1]}.ResourceType") not in (target.kind, ""):
            continue
        if match or TAG.fullmatch(name):
            tag_keys.append(first(params, name))
            condition_keys[f"aws:requesttag/{tag_keys[-1].lower()}"] = first(params, f"{name.removesuffix('Key')}Value")
    if tag_keys:
        condition_keys["aws:TagKeys"] = tag_keys
    return condition_keys


def _listed(params: Any, name: str) -> list[str]:
    """Values of ``name``.1, ``name``.2 and so on."""
    numbered = (key for key in params if re.fullmatch(rf"{name}\.\d+", key))
    return [first(params, key) for key in sorted(numbered, key=lambda key: int(key.rpartition(".")[2]))]


def _by_id(resource_id: str) -> Target:
    return Target(PREFIXES.get(resource_id.rpartition("-")[0], "*"), resource_id)


def _named(params: Any) -> Iterator[Target]:
    """The most specific resource that a call of an action outside the table names."""
    fields = ("SubnetId", "NetworkInterfaceId", "NetworkAclId", "RouteTableId", "GroupId", "InstanceId", "VpcId")
    for field in (*fields, "IpamPoolId"):
        if first(params, field):
            yield _by_id(first(params, field))
            return


def _fields(*names: str) -> Callable[[Any], Iterator[Target]]:
    """The resources named by parameters; those that are left out do not count."""

    def find(params: Any) -> Iterator[Target]:
        for name in names:
            if first(params, name):
                yield _by_id(first(params, name))

    return find


def _create_subnet(params: Any) -> Iterator[Target]:
    yield Target("subnet")
    yield from _fields("VpcId", "Ipv4IpamPoolId")(params)


def _create_network_interface(params: Any) -> Iterator[Target]:
    yield Target("network-interface")
    yield from _fields("SubnetId")(params)
    yield from map(_by_id, _listed(params, "SecurityGroupId"))


def _tagged(params: Any) -> Iterator[Target]:
    yield from map(_by_id, _listed(params, "ResourceId"))


def _cidr_association(params: Any) -> Iterator[Target]:
    yield Target("vpc", _backend().vpc_of_association(first(params, "AssociationId")))


def _acl_association(params: Any) -> Iterator[Target]:
    """The new network ACL and the subnet whose association it is."""
    yield from _fields("NetworkAclId")(params)
    association = first(params, "AssociationId")
    yield Target("subnet", _backend().subnet_of_acl_association(association))


def _table_association(params: Any) -> Iterator[Target]:
    table, subnet = _backend().route_table_association(first(params, "AssociationId"))
    yield Target("route-table", first(params, "RouteTableId") or table)
    yield Target("subnet", subnet)


def _detachment(params: Any) -> Iterator[Target]:
    instance, interface = _backend().attachment(first(params, "AttachmentId"))
    yield Target("instance", instance)
    yield Target("network-interface", interface)


_BY_ACTION: dict[str, Callable[[Any], Iterator[Target]]] = {
    "AllocateIpamPoolCidr": _fields("IpamPoolId"),
    "AssignPrivateIpAddresses": _fields("NetworkInterfaceId"),
    "AssociateRouteTable": _fields("RouteTableId", "SubnetId"),
    "AssociateVpcCidrBlock": _fields("VpcId", "Ipv4IpamPoolId"),
    "AttachNetworkInterface": _fields("InstanceId", "NetworkInterfaceId"),
    "CreateNetworkInterface": _create_network_interface,
    "CreateSubnet": _create_subnet,
    "CreateSubnetCidrReservation": _fields("SubnetId"),
    "CreateTags": _tagged,
    "DeleteNetworkInterface": _fields("NetworkInterfaceId"),
    "DeleteSubnet": _fields("SubnetId"),
    "DeleteTags": _tagged,
    "DetachNetworkInterface": _detachment,
    "DisassociateRouteTable": _table_association,
    "DisassociateVpcCidrBlock": _cidr_association,
    # Of no resource type in the reference.
    "DeleteSubnetCidrReservation": _fields(),
    "GetSubnetCidrReservations": _fields(),
    "GetManagedPrefixListEntries": _fields("PrefixListId"),
    "ReplaceNetworkAclAssociation": _acl_association,
    "ReplaceRouteTableAssociation": _table_association,
    "SearchTransitGatewayRoutes": _fields("TransitGatewayRouteTableId"),
    "UnassignPrivateIpAddresses": _fields("NetworkInterfaceId"),
}
