"""EC2 is eventually consistent: reads, and calls that name a new resource, see it late if the settings say so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.stack.aws.conftest import Network, code_of, eventually, tagged

if TYPE_CHECKING:
    from local.aws.client import LocalAws

HOUR = 3600


def subnets(network: Network) -> list[str]:
    result = network.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [network.vpc]}])
    return [one["SubnetId"] for one in result["Subnets"]]


def test_given_late_reads_when_a_subnet_is_new_then_reads_miss_it_and_calls_on_it_work(aws: LocalAws, network: Network):
    old = network.subnet("10.0.0.0/24")
    with aws.settings(ec2_reads_after_seconds=HOUR):
        new = network.subnet("10.0.1.0/24")
        assert subnets(network) == [old]
        assert code_of(network.ec2.describe_subnets, SubnetIds=[new]) == "InvalidSubnetID.NotFound"
        filters = [{"Name": "association.subnet-id", "Values": [new]}]
        assert network.ec2.describe_network_acls(Filters=filters)["NetworkAcls"] == []
        assert code_of(network.subnet, "10.0.1.0/25") == "InvalidSubnet.Conflict", "its CIDR is taken all the same"
        network.ec2.create_tags(Resources=[new], Tags=[{"Key": "a", "Value": "b"}])
    assert set(subnets(network)) == {old, new}


def test_given_late_writes_when_a_subnet_is_new_then_calls_that_name_it_do_not_find_it(aws: LocalAws, network: Network):
    table = network.ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
    with aws.settings(ec2_writes_after_seconds=HOUR):
        new = network.subnet("10.0.0.0/24")
        associate = {"RouteTableId": table, "SubnetId": new}
        assert code_of(network.ec2.associate_route_table, **associate) == "InvalidSubnetID.NotFound"
        assert code_of(network.ec2.delete_subnet, SubnetId=new) == "InvalidSubnetID.NotFound"
        assert subnets(network) == [new]
    network.ec2.associate_route_table(**associate)


def test_given_delays_of_a_moment_when_it_has_passed_then_everything_is_seen(aws: LocalAws, network: Network):
    with aws.settings(ec2_reads_after_seconds=0.3, ec2_writes_after_seconds=0.3):
        new = network.subnet("10.0.0.0/24", TagSpecifications=tagged("subnet", "true"))
        eventually(lambda: subnets(network) == [new])
        eventually(lambda: code_of(network.ec2.delete_subnet, SubnetId=new) == "")


def test_given_late_reads_when_a_tag_is_new_then_the_resource_is_shown_without_it(aws: LocalAws, network: Network):
    subnet = network.subnet("10.0.0.0/24", TagSpecifications=tagged("subnet", "true"))

    def tags() -> list[str]:
        (result,) = network.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        return [one["Value"] for one in result.get("Tags", [])]

    with aws.settings(ec2_reads_after_seconds=HOUR):
        network.ec2.create_tags(Resources=[subnet], Tags=[{"Key": "late", "Value": "late"}])
        assert tags() == ["true"]
    assert tags() == ["true", "late"]


def test_given_late_reads_when_an_interface_or_a_cidr_is_new_then_reads_miss_them(aws: LocalAws, network: Network):
    subnet = network.subnet("10.0.0.0/24")
    with aws.settings(ec2_reads_after_seconds=HOUR):
        eni = network.interface(subnet)["NetworkInterfaceId"]
        network.ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="100.64.0.0/16")
        read = network.ec2.describe_network_interfaces
        assert code_of(read, NetworkInterfaceIds=[eni]) == "InvalidNetworkInterfaceID.NotFound"
        assert list(network.states()) == ["10.0.0.0/16"]
    assert set(network.states()) == {"10.0.0.0/16", "100.64.0.0/16"}


def test_given_late_writes_when_a_cidr_is_new_then_it_has_no_room_for_subnets_yet(aws: LocalAws, network: Network):
    with aws.settings(ec2_writes_after_seconds=HOUR):
        network.add("100.64.0.0/16")
        assert code_of(network.subnet, "100.64.0.0/24") == "InvalidSubnet.Range"
    network.subnet("100.64.0.0/24")


def test_given_late_reads_and_writes_when_the_cni_makes_an_interface_then_it_attaches_it_at_once(
    aws: LocalAws, network: Network
):
    subnet = network.subnet("10.0.0.0/24")
    instance = network.instance(subnet)
    with aws.settings(ec2_reads_after_seconds=HOUR, ec2_writes_after_seconds=HOUR):
        eni = network.interface(subnet)["NetworkInterfaceId"]
        attached = network.ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=instance, DeviceIndex=1)
        network.ec2.modify_network_interface_attribute(
            NetworkInterfaceId=eni, Attachment={"AttachmentId": attached["AttachmentId"], "DeleteOnTermination": True}
        )
        # what stands for the instance's metadata, and what asks EC2
        of_instance = {"Name": "attachment.instance-id", "Values": [instance]}
        of_subnet = {"Name": "subnet-id", "Values": [subnet]}
        described = network.ec2.describe_network_interfaces
        assert eni in str(described(Filters=[of_instance]))
        assert eni not in str(described(Filters=[of_instance, of_subnet]))
        assert (
            code_of(network.ec2.delete_network_interface, NetworkInterfaceId=eni)
            == "InvalidNetworkInterfaceID.NotFound"
        )
