"""moto's EC2 backend with AWS's rules for VPCs and network interfaces added."""

# ruff: noqa: SLF001 - a layer over moto works on its models, whose state is private

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from moto.core import responses
from moto.core.responses import ActionResult, EmptyResult
from moto.ec2 import models
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.instances import Instance
from moto.ec2.models.subnets import Subnet
from moto.ec2.models.vpc_peering_connections import VPCPeeringConnection
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces
from moto.ec2.responses.vpc_peering_connections import VPCPeeringConnections
from moto.ec2.utils import generic_filter

from local.aws.corrections.guard import original, replace
from local.aws.ec2 import ipam
from local.aws.ec2.address_units import AddressUnits
from local.aws.ec2.consistency import Consistency
from local.aws.ec2.interface_rules import InterfaceRules
from local.aws.ec2.reach_rules import ReachRules
from local.aws.ec2.vpc_rules import VpcRules, cidr_block_set

if TYPE_CHECKING:
    from collections.abc import Callable


class RuledBackend(Consistency, VpcRules, AddressUnits, InterfaceRules, ReachRules, models.EC2Backend):
    """EC2 of one region of one account."""

    # moto's metaclass takes the name of the service from the module's path.
    __module__ = "moto.ec2.models"


def install(associating_seconds: float) -> None:
    """Make moto use the rules. MissingPartError when moto lacks a part that they need."""
    VpcRules.transition_seconds = associating_seconds
    replace(original(models, "ec2_backends"), "backend", RuledBackend)
    _lookups()
    _subnets()
    _interfaces()
    _instances()
    _interface_requests()
    _peerings()
    ipam.install()


def _lookups() -> None:
    """The same answers for less work: a tenth of the server's time went into these two."""

    def tags_of(resource: Any) -> list[dict[str, str]]:
        # moto compares every tag of the Region with a pattern made of the resource's id.
        tags = resource.ec2_backend.tags.get(resource.id, {})
        return [{"resource_id": resource.id, "key": key, "value": value} for key, value in tags.items()]

    # moto lists the class's methods anew for every request.
    replace(responses, "method_names_from_class", cache(original(responses, "method_names_from_class")))
    replace(TaggedEC2Resource, "get_tags", tags_of)


def _subnets() -> None:
    def available(subnet: Any) -> int:
        count: int = subnet.ec2_backend.available(subnet)
        return count

    def next_address(subnet: Any, instance: Any) -> str:  # noqa: ARG001
        (address,) = subnet.ec2_backend.pick_addresses(subnet, 1)
        return str(address)

    def named_address(subnet: Any, ip: str, instance: Any) -> None:  # noqa: ARG001
        subnet.ec2_backend.check_addresses(subnet, [ip])

    replace(Subnet, "available_ip_address_count", property(available))
    replace(Subnet, "get_available_subnet_ip", next_address)
    replace(Subnet, "request_ip", named_address)


def _interfaces() -> None:
    of_moto = original(NetworkInterface, "get_filter_value")
    further: dict[str, Callable[[Any], Any]] = {
        "status": lambda eni: eni.status,
        "interface-type": lambda eni: eni.interface_type,
        "mac-address": lambda eni: eni.mac_address,
        "owner-id": lambda eni: eni.owner_id,
        "requester-managed": lambda eni: eni.requester_managed,
        "attachment.status": lambda eni: "attached" if eni.attachment_id else "detached",
        "attachment.device-index": lambda eni: eni.device_index,
        "addresses.private-ip-address": lambda eni: [one["PrivateIpAddress"] for one in eni.private_ip_addresses],
        "ipv4-prefix.ipv4-prefix": lambda eni: [one["Ipv4Prefix"] for one in eni.ipv4_prefixes],
    }

    def filter_value(eni: Any, filter_name: str, method_name: str | None = None) -> Any:
        if filter_name in further:
            return further[filter_name](eni)
        return of_moto(eni, filter_name, method_name)

    def delete(eni: Any) -> None:
        eni.ec2_backend.forget(eni.id)

    replace(NetworkInterface, "get_filter_value", filter_value)
    replace(NetworkInterface, "delete", delete)


def _instances() -> None:
    terminate = original(Instance, "terminate")

    def terminate_with_interfaces(instance: Any) -> Any:
        """Delete the primary ENI with its instance; other ENIs stay unless DeleteOnTermination is set."""
        interfaces = list(instance.nics.values())
        previous = terminate(instance)
        for eni in interfaces:
            if eni.id not in instance.ec2_backend.enis:
                continue
            primary = eni.device_index == 0
            instance.detach_eni(eni)
            if primary:
                instance.ec2_backend.forget(eni.id)
        # A terminated instance is still described, and moto reads its primary interface for that.
        instance.nics = dict(enumerate(interfaces[:1]))
        return previous

    replace(Instance, "terminate", terminate_with_interfaces)


def _interface_requests() -> None:
    create = original(ElasticNetworkInterfaces, "create_network_interface")
    modify = original(ElasticNetworkInterfaces, "modify_network_interface_attribute")

    def create_network_interface(request: Any) -> Any:
        named_prefixes = [one["Ipv4Prefix"] for one in request._get_param("Ipv4Prefixes", [])]
        count = request._get_int_param("Ipv4PrefixCount", 0)
        kind = request._get_param("InterfaceType") or "interface"
        with request.ec2_backend.further_prefixes(named_prefixes, count), request.ec2_backend.interface_type(kind):
            return create(request)

    def assign_private_ip_addresses(request: Any) -> Any:
        eni, new, new_prefixes = request.ec2_backend.assign(
            request._get_param("NetworkInterfaceId"),
            request._get_param("PrivateIpAddresses", []),
            request._get_int_param("SecondaryPrivateIpAddressCount", 0),
            request._get_param("Ipv4Prefixes", []),
            request._get_int_param("Ipv4PrefixCount", 0),
        )
        answer = {
            "NetworkInterfaceId": eni.id,
            "AssignedPrivateIpAddresses": [{"PrivateIpAddress": one} for one in new],
            "AssignedIpv4Prefixes": new_prefixes,
        }
        return ActionResult(answer)

    def unassign_private_ip_addresses(request: Any) -> Any:
        request.ec2_backend.unassign(
            request._get_param("NetworkInterfaceId"),
            request._get_param("PrivateIpAddresses", []),
            request._get_param("Ipv4Prefixes", []),
        )
        return EmptyResult()

    def modify_network_interface_attribute(request: Any) -> Any:
        answer = modify(request)
        delete = request._get_param("Attachment.DeleteOnTermination")
        if delete is not None:
            eni = request.ec2_backend.get_network_interface(request._get_param("NetworkInterfaceId"))
            eni.delete_on_termination = str(delete).lower() == "true"
        return answer

    for handler in (
        create_network_interface,
        assign_private_ip_addresses,
        unassign_private_ip_addresses,
        modify_network_interface_attribute,
    ):
        replace(ElasticNetworkInterfaces, handler.__name__, handler)


def _peerings() -> None:
    for name, side in (("requester_vpc_info", "vpc"), ("accepter_vpc_info", "peer_vpc")):
        of_moto = original(VPCPeeringConnection, name).fget

        def info(peering: Any, of_moto: Any = of_moto, side: str = side) -> dict[str, Any]:
            return {**of_moto(peering), "CidrBlockSet": cidr_block_set(getattr(peering, side))}

        replace(VPCPeeringConnection, name, property(info))

    def describe_vpc_peering_connections(request: Any) -> Any:
        """Apply the filters; moto returns every connection."""
        connections = request.ec2_backend.describe_vpc_peering_connections(
            request._get_param("VpcPeeringConnectionIds", [])
        )
        return ActionResult({"VpcPeeringConnections": generic_filter(request._filters_from_querystring(), connections)})

    def filter_value(peering: Any, filter_name: str, method_name: str | None = None) -> Any:
        side, _, name = filter_name.partition("-vpc-info.")
        if name:
            vpc = peering.vpc if side == "requester" else peering.peer_vpc
            return {"vpc-id": vpc.id, "cidr-block": vpc.cidr_block, "owner-id": vpc.owner_id}[name]
        if filter_name == "status-code":
            return peering.status["Code"]
        return TaggedEC2Resource.get_filter_value(peering, filter_name, method_name)

    replace(VPCPeeringConnection, "get_filter_value", filter_value)
    replace(VPCPeeringConnections, "describe_vpc_peering_connections", describe_vpc_peering_connections)
