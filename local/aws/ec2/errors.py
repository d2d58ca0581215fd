"""EC2 client errors that moto does not raise itself.

Codes: "Error codes for the Amazon EC2 API" (errors-overview.html); texts as EC2 words them, where they are public.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.ec2.exceptions import EC2ClientError

if TYPE_CHECKING:
    from ipaddress import IPv4Network

ClientError = EC2ClientError


def vpc_range(cidr: object, why: str = "is invalid.") -> Any:
    """InvalidVpc.Range: the CIDR cannot be added to the VPC."""
    return EC2ClientError("InvalidVpc.Range", f"The CIDR '{cidr}' {why}")


def restricted_range(cidr: object) -> Any:
    """InvalidVpc.Range in the words of the association restrictions."""
    return vpc_range(
        cidr,
        "is restricted. Use a CIDR from the same private address range as the current VPC CIDR, or use a "
        "publicly-routable CIDR. For additional restrictions, see "
        "https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html",
    )


def requested_peering(vpc_id: str, peering_id: str) -> Any:
    """No CIDR can be added while the VPC's own peering request is pending (AWS does not document the code)."""
    return EC2ClientError(
        "OperationNotPermitted",
        f"The vpc '{vpc_id}' is the requester of the pending VPC peering connection '{peering_id}'.",
    )


def cidr_in_use(vpc_id: str, cidr: IPv4Network) -> Any:
    """InvalidCidrBlock.InUse: a subnet lies in the CIDR to be disassociated."""
    return EC2ClientError("InvalidCidrBlock.InUse", f"The vpc {vpc_id} currently has a subnet within CIDR block {cidr}")


def invalid_cidr(value: object) -> Any:
    """InvalidParameterValue: the value is not a CIDR."""
    return EC2ClientError(
        "InvalidParameterValue",
        f"Value ({value}) for parameter cidrBlock is invalid. This is not a valid CIDR block.",
    )


def subnet_range(cidr: object) -> Any:
    """InvalidSubnet.Range: not a /16 to /28, or outside the VPC's associated CIDRs."""
    return EC2ClientError("InvalidSubnet.Range", f"The CIDR '{cidr}' is invalid.")


def dependency(subnet_id: str) -> Any:
    """DependencyViolation of DeleteSubnet."""
    return EC2ClientError("DependencyViolation", f"The subnet '{subnet_id}' has dependencies and cannot be deleted.")


def subnet_full() -> Any:
    """InsufficientFreeAddressesInSubnet."""
    return EC2ClientError(
        "InsufficientFreeAddressesInSubnet",
        "The specified subnet does not have enough free addresses to satisfy the request.",
    )


def no_free_prefix() -> Any:
    """InsufficientCidrBlocks: no /28 of the subnet is wholly free."""
    return EC2ClientError(
        "InsufficientCidrBlocks",
        "The specified subnet does not have enough free cidr blocks to satisfy the request.",
    )


def address_in_use(address: object) -> Any:
    """InvalidIPAddress.InUse: the requested address is taken."""
    return EC2ClientError("InvalidIPAddress.InUse", f"Address {address} is in use.")


def address_outside(address: object) -> Any:
    """InvalidParameterValue: the requested address is outside the subnet or reserved by AWS."""
    return EC2ClientError("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")


def interface_in_use(eni_id: str) -> Any:
    """DeleteNetworkInterface of an attached interface; EC2 uses this code beside InvalidNetworkInterface.InUse."""
    return EC2ClientError("InvalidParameterValue", f"Network interface '{eni_id}' is currently in use.")


def interface_attached(eni_id: str) -> Any:
    """AttachNetworkInterface of an attached interface."""
    return EC2ClientError("InvalidNetworkInterface.InUse", f"Interface: [{eni_id}] in use.")


def instance_ended(instance_id: str) -> Any:
    """AttachNetworkInterface takes running and stopped instances ("Network interface attachments" of the EC2 User
    Guide); the words are those of Eucalyptus, which imitates EC2."""
    return EC2ClientError("IncorrectState", f"Instance '{instance_id}' is not 'running' or 'stopped'")


def other_zone() -> Any:
    """AttachNetworkInterface across availability zones."""
    return EC2ClientError(
        "InvalidParameterCombination",
        "You may not attach a network interface to an instance if they are not in the same availability zone",
    )


def device_index_taken(instance_id: str, index: int) -> Any:
    """AttachNetworkInterface at an index that has an interface."""
    return EC2ClientError(
        "InvalidParameterValue",
        f"Instance '{instance_id}' already has an interface attached at device index '{index}'.",
    )


def too_many_interfaces(count: int, instance_type: str) -> Any:
    """AttachmentLimitExceeded: the instance type has no further ENI slot."""
    return EC2ClientError("AttachmentLimitExceeded", f"Interface count {count} exceeds the limit for {instance_type}")


def too_many_addresses(eni_id: str) -> Any:
    """PrivateIpAddressLimitExceeded: addresses and prefixes of one ENI beyond the instance type's limit."""
    return EC2ClientError("PrivateIpAddressLimitExceeded", f"{eni_id}: Number of private addresses will exceed limit.")


def address_units(vpc_id: str) -> Any:
    """NetworkAddressUsageLimitExceeded: the VPC would exceed its quota of network address units."""
    return EC2ClientError(
        "NetworkAddressUsageLimitExceeded", f"The VPC '{vpc_id}' has reached its limit of network address usage."
    )


def peered_address_units(vpc_id: str) -> Any:
    """NetworkAddressUsagePeeredLimitExceeded: the VPC and its peers together would exceed their quota."""
    return EC2ClientError(
        "NetworkAddressUsagePeeredLimitExceeded",
        f"The VPC '{vpc_id}' and its peered VPCs have reached their limit of network address usage.",
    )


def no_route_table(table_id: object) -> Any:
    """InvalidRouteTableID.NotFound, of a VPC's or a transit gateway's table."""
    return EC2ClientError("InvalidRouteTableID.NotFound", f"The routeTable ID '{table_id}' does not exist")


def no_prefix_list(list_id: object) -> Any:
    """InvalidPrefixListID.NotFound."""
    return EC2ClientError("InvalidPrefixListID.NotFound", f"The prefix list ID '{list_id}' does not exist")


def too_many_filter_values(most: int) -> Any:
    """FilterLimitExceeded, of a Describe call."""
    return EC2ClientError(
        "FilterLimitExceeded", f"The maximum number of filter values specified on a single call is {most}"
    )


def too_long_filter_value(most: int) -> Any:
    """FilterLimitExceeded, of a Describe call."""
    return EC2ClientError("FilterLimitExceeded", f"The maximum length for a filter value is {most} characters")
