"""The quotas of network address units: which calls fail at them, and with which codes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.stack.aws.conftest import Network, code_of

if TYPE_CHECKING:
    from local.aws.client import LocalAws

OWN, PEERED = "NetworkAddressUsageLimitExceeded", "NetworkAddressUsagePeeredLimitExceeded"


@pytest.fixture
def quotas(aws: LocalAws) -> Iterator[LocalAws]:
    yield aws
    aws.control("DELETE", "/_local/settings")


def limit(aws: LocalAws, **units: int) -> None:
    aws.control("PUT", "/_local/settings", {f"ec2_{name}_address_units": number for name, number in units.items()})


def launch(network: Network, subnet: str) -> str:
    run = network.ec2.run_instances
    return code_of(run, ImageId="ami-12345678", InstanceType="t3.medium", MinCount=1, MaxCount=1, SubnetId=subnet)


def test_given_a_vpc_at_its_quota_then_what_takes_a_unit_is_refused_and_a_lone_interface_is_not(
    network: Network, quotas: LocalAws
):
    subnet = network.subnet("10.0.0.0/24")
    instance = network.instance(subnet)
    eni = network.interface(subnet, SecondaryPrivateIpAddressCount=2)["NetworkInterfaceId"]
    attach = {"NetworkInterfaceId": eni, "InstanceId": instance, "DeviceIndex": 1}
    limit(quotas, network=4)  # an address of the instance, three of the ENI; none for the second ENI of an instance
    assert code_of(network.ec2.attach_network_interface, **attach) == OWN
    assert launch(network, subnet) == OWN
    limit(quotas, network=5)
    network.ec2.attach_network_interface(**attach)
    assign = network.ec2.assign_private_ip_addresses
    assert code_of(assign, NetworkInterfaceId=eni, SecondaryPrivateIpAddressCount=1) == OWN
    assert code_of(assign, NetworkInterfaceId=eni, Ipv4PrefixCount=1) == OWN
    assert network.interface(subnet)


def test_given_peers_at_their_quota_together_then_each_of_them_is_refused(network: Network, quotas: LocalAws):
    peer = Network(network.ec2, network.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])
    subnet, beyond = network.subnet("10.0.0.0/24"), peer.subnet("10.9.0.0/24")
    peer.interface(beyond, SecondaryPrivateIpAddressCount=4)
    limit(quotas, peered_network=5)
    assert launch(network, subnet) == ""
    asked = network.ec2.create_vpc_peering_connection(VpcId=network.vpc, PeerVpcId=peer.vpc)["VpcPeeringConnection"]
    accept = {"VpcPeeringConnectionId": asked["VpcPeeringConnectionId"]}
    assert code_of(network.ec2.accept_vpc_peering_connection, **accept) == PEERED
    limit(quotas, peered_network=6)
    network.ec2.accept_vpc_peering_connection(**accept)
    assert launch(network, subnet) == PEERED
    assert launch(peer, beyond) == PEERED
