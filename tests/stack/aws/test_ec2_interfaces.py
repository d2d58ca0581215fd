"""Network interfaces, their addresses and prefixes, and the limits of instance types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.stack.aws.conftest import Network, code_of

if TYPE_CHECKING:
    from local.aws.client import LocalAws


def addresses(interface: dict[str, Any]) -> list[str]:
    return [one["PrivateIpAddress"] for one in interface["PrivateIpAddresses"]]


def test_given_a_slash_28_when_filled_then_eleven_addresses_fit_and_the_twelfth_is_refused(network: Network):
    subnet = network.subnet("10.0.0.0/28")
    assert network.free(subnet) == 11
    assigned = addresses(network.interface(subnet, SecondaryPrivateIpAddressCount=10))
    assert assigned == [f"10.0.0.{last}" for last in range(4, 15)]
    assert network.free(subnet) == 0
    refused = code_of(network.ec2.create_network_interface, SubnetId=subnet)
    assert refused == "InsufficientFreeAddressesInSubnet"
    assert (
        code_of(
            network.ec2.run_instances,
            ImageId="ami-12345678",
            InstanceType="t3.medium",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnet,
        )
        == "InsufficientFreeAddressesInSubnet"
    )


def test_given_a_freed_address_when_an_interface_is_made_then_it_gets_that_address(network: Network):
    subnet = network.subnet("10.0.0.0/28")
    first = network.interface(subnet)
    network.interface(subnet)
    network.ec2.delete_network_interface(NetworkInterfaceId=first["NetworkInterfaceId"])
    assert network.interface(subnet)["PrivateIpAddress"] == first["PrivateIpAddress"]


def test_given_an_address_by_name_when_held_or_outside_then_refused(network: Network):
    subnet = network.subnet("10.0.0.0/28")
    create = network.ec2.create_network_interface
    assert code_of(create, SubnetId=subnet, PrivateIpAddress="10.0.0.9") == ""
    assert code_of(create, SubnetId=subnet, PrivateIpAddress="10.0.0.9") == "InvalidIPAddress.InUse"
    assert code_of(create, SubnetId=subnet, PrivateIpAddress="10.0.0.1") == "InvalidParameterValue"
    assert code_of(create, SubnetId=subnet, PrivateIpAddress="10.0.1.9") == "InvalidParameterValue"


def test_given_prefixes_when_assigned_then_each_takes_sixteen_addresses_and_goes_back(network: Network):
    subnet = network.subnet("10.0.0.0/26")
    interface = network.interface(subnet, Ipv4PrefixCount=1)
    assert interface["Ipv4Prefixes"] == [{"Ipv4Prefix": "10.0.0.16/28"}]
    assert network.free(subnet) == 59 - 1 - 16
    eni = interface["NetworkInterfaceId"]
    more = network.ec2.assign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4PrefixCount=1)
    assert more["AssignedIpv4Prefixes"] == [{"Ipv4Prefix": "10.0.0.32/28"}]
    refused = code_of(network.ec2.assign_private_ip_addresses, NetworkInterfaceId=eni, Ipv4PrefixCount=1)
    assert refused == "InsufficientCidrBlocks"
    assert network.free(subnet) == 59 - 1 - 32
    network.ec2.unassign_private_ip_addresses(NetworkInterfaceId=eni, Ipv4Prefixes=["10.0.0.16/28"])
    assert network.free(subnet) == 59 - 1 - 16


def test_given_a_fragmented_subnet_when_a_prefix_is_asked_then_free_addresses_do_not_help(network: Network):
    subnet = network.subnet("10.0.0.0/26")
    for block in (16, 32):
        network.interface(subnet, PrivateIpAddress=f"10.0.0.{block + 3}")
    assert network.free(subnet) == 57
    assert code_of(network.ec2.create_network_interface, SubnetId=subnet, Ipv4PrefixCount=1) == "InsufficientCidrBlocks"
    assert network.free(subnet) == 57


def test_given_a_prefix_reservation_when_addresses_are_assigned_then_it_stays_for_prefixes(network: Network):
    subnet = network.subnet("10.0.0.0/27")
    network.ec2.create_subnet_cidr_reservation(SubnetId=subnet, ReservationType="prefix", Cidr="10.0.0.0/28")
    assert network.interface(subnet)["PrivateIpAddress"] == "10.0.0.16"
    result = network.ec2.get_subnet_cidr_reservations(SubnetId=subnet)["SubnetIpv4CidrReservations"]
    assert [one["Cidr"] for one in result] == ["10.0.0.0/28"]


def test_given_a_t3_medium_when_interfaces_are_attached_then_its_limits_hold(network: Network):
    subnet = network.subnet("10.0.0.0/24")
    instance, ec2 = network.instance(subnet), network.ec2
    enis = [network.interface(subnet)["NetworkInterfaceId"] for _ in range(3)]
    attach = ec2.attach_network_interface
    attach(NetworkInterfaceId=enis[0], InstanceId=instance, DeviceIndex=1)
    assert (
        code_of(attach, NetworkInterfaceId=enis[0], InstanceId=instance, DeviceIndex=2)
        == "InvalidNetworkInterface.InUse"
    )
    assert code_of(attach, NetworkInterfaceId=enis[1], InstanceId=instance, DeviceIndex=1) == "InvalidParameterValue"
    attach(NetworkInterfaceId=enis[1], InstanceId=instance, DeviceIndex=2)
    assert code_of(attach, NetworkInterfaceId=enis[2], InstanceId=instance, DeviceIndex=3) == "AttachmentLimitExceeded"
    assign = ec2.assign_private_ip_addresses
    answer = assign(NetworkInterfaceId=enis[0], SecondaryPrivateIpAddressCount=5)
    assert len(answer["AssignedPrivateIpAddresses"]) == 5
    over = code_of(assign, NetworkInterfaceId=enis[0], SecondaryPrivateIpAddressCount=1)
    assert over == "PrivateIpAddressLimitExceeded"


def test_given_another_zone_when_attached_then_refused(network: Network):
    instance = network.instance(network.subnet("10.0.0.0/24", "a"))
    eni = network.interface(network.subnet("10.0.1.0/24", "b"))["NetworkInterfaceId"]
    refused = code_of(network.ec2.attach_network_interface, NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    assert refused == "InvalidParameterCombination"


def test_given_an_attached_interface_when_deleted_then_refused_until_detached(network: Network):
    subnet, ec2 = network.subnet("10.0.0.0/24"), network.ec2
    instance, eni = network.instance(subnet), network.interface(subnet)["NetworkInterfaceId"]
    attachment = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    assert code_of(ec2.delete_network_interface, NetworkInterfaceId=eni) == "InvalidParameterValue"
    assert code_of(ec2.delete_subnet, SubnetId=subnet) == "DependencyViolation"
    ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"])
    assert code_of(ec2.delete_network_interface, NetworkInterfaceId=eni) == ""


def test_given_a_terminated_instance_then_its_primary_interface_goes_and_a_further_one_stays(
    network: Network,
):
    subnet, ec2 = network.subnet("10.0.0.0/24"), network.ec2
    instance, eni = network.instance(subnet), network.interface(subnet)["NetworkInterfaceId"]
    deleted = network.interface(subnet)["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
    second = ec2.attach_network_interface(NetworkInterfaceId=deleted, InstanceId=instance, DeviceIndex=2)
    ec2.modify_network_interface_attribute(
        NetworkInterfaceId=deleted,
        Attachment={"AttachmentId": second["AttachmentId"], "DeleteOnTermination": True},
    )
    ec2.terminate_instances(InstanceIds=[instance])
    remaining = ec2.describe_network_interfaces(Filters=[{"Name": "subnet-id", "Values": [subnet]}])[
        "NetworkInterfaces"
    ]
    assert [(one["NetworkInterfaceId"], one["Status"]) for one in remaining] == [(eni, "available")]
    (reservation,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    assert reservation["Instances"][0]["State"]["Name"] == "terminated"


def test_given_a_terminated_instance_when_an_interface_is_attached_then_refused(network: Network):
    subnet = network.subnet("10.0.0.0/28")
    instance, eni = network.instance(subnet), network.interface(subnet)["NetworkInterfaceId"]
    network.ec2.terminate_instances(InstanceIds=[instance])
    attach = {"NetworkInterfaceId": eni, "InstanceId": instance, "DeviceIndex": 1}
    assert code_of(network.ec2.attach_network_interface, **attach) == "IncorrectState"


def test_given_filters_when_interfaces_are_searched_then_each_finds_its_own(network: Network):
    subnet = network.subnet("10.0.0.0/24")
    instance = network.instance(subnet)
    tags = [{"ResourceType": "network-interface", "Tags": [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "demo"}]}]
    leaked = network.interface(
        subnet, Description="aws-K8S-i-0", SecondaryPrivateIpAddressCount=1, TagSpecifications=tags
    )
    eni = leaked["NetworkInterfaceId"]

    def filtered(**filters: str) -> list[str]:
        wanted = [{"Name": name, "Values": [value]} for name, value in filters.items()]
        wanted.append({"Name": "vpc-id", "Values": [network.vpc]})
        answer = network.ec2.describe_network_interfaces(Filters=wanted)
        return [one["NetworkInterfaceId"] for one in answer["NetworkInterfaces"]]

    assert filtered(status="available") == [eni]
    assert filtered(description="aws-K8S-*") == [eni]
    assert filtered(**{"tag:cluster.k8s.amazonaws.com/name": "demo"}) == [eni]
    assert filtered(**{"addresses.private-ip-address": addresses(leaked)[1]}) == [eni]
    assert eni not in filtered(**{"attachment.instance-id": instance})
    assert len(filtered(**{"attachment.instance-id": instance})) == 1


def test_given_a_nat_gateway_then_it_holds_an_address_of_its_subnet_until_deleted(network: Network):
    subnet, ec2 = network.subnet("10.0.0.0/28"), network.ec2
    allocation = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=allocation)["NatGateway"]
    assert gateway["NatGatewayAddresses"][0]["PrivateIp"] == "10.0.0.4"
    assert network.free(subnet) == 10
    ec2.delete_nat_gateway(NatGatewayId=gateway["NatGatewayId"])
    assert network.free(subnet) == 11


def test_given_what_a_snapshot_reads_when_described_then_every_answer_has_its_list(aws: LocalAws):
    ec2 = aws.client("ec2")
    for operation, member in {
        "describe_transit_gateway_vpc_attachments": "TransitGatewayVpcAttachments",
        "describe_route_tables": "RouteTables",
        "describe_nat_gateways": "NatGateways",
        "describe_security_groups": "SecurityGroups",
        "describe_network_acls": "NetworkAcls",
        "describe_instances": "Reservations",
    }.items():
        assert isinstance(getattr(ec2, operation)()[member], list)
    (kind,) = ec2.describe_instance_types(InstanceTypes=["t3.medium"])["InstanceTypes"]
    network = kind["NetworkInfo"]
    assert (network["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"]) == (3, 6)
