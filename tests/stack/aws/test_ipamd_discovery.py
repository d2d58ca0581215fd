"""Subnet discovery of the simulated ipamd against EC2: which subnet a new ENI goes to.

Rules: amazon-vpc-cni-k8s v1.23.1, isSubnetValidForENICreation; README, "ENABLE_SUBNET_DISCOVERY".
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from local.cluster.ipamd.ec2 import EniRequest, NodeEc2, NoValidSubnet, describe_instance

if TYPE_CHECKING:
    from tests.stack.aws.conftest import Network

ROLE, SCOPE = "kubernetes.io/role/cni", "cni.networking.k8s.aws/cluster/"


@dataclass
class NodeInZone:
    """A node in a /28 of zone a, with 10 addresses left."""

    network: Network
    own: str
    ec2: NodeEc2

    def subnet(self, cidr: str, zone: str = "a", **tags: str) -> str:
        made = self.network.subnet(cidr, zone)
        if tags:
            self.tag(made, **tags)
        return made

    def tag(self, subnet: str, **tags: str) -> None:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.network.ec2.create_tags(Resources=[subnet], Tags=listed)

    def places_an_eni_in(self, *, discovery: bool = True) -> str:
        request = EniRequest(
            count=1, prefixes=False, subnet_id="", security_groups=(), discovery=discovery, cluster_tag="prod"
        )
        return self.ec2.create_and_attach(request).subnet_id


@pytest.fixture
def node(network: Network) -> NodeInZone:
    own = network.subnet("10.0.0.0/28")
    instance = describe_instance(network.ec2, network.instance(own))
    return NodeInZone(network, own, NodeEc2(network.ec2, instance, "prod", logging.getLogger("ipamd")))


def test_given_no_tag_then_enis_go_to_the_nodes_own_subnet(node: NodeInZone) -> None:
    node.subnet("10.0.1.0/24")
    assert node.places_an_eni_in() == node.own


def test_given_tagged_subnets_then_the_one_with_most_free_addresses_is_taken(node: NodeInZone) -> None:
    node.subnet("10.0.1.0/26", **{ROLE: "1"})
    larger = node.subnet("10.0.2.0/24", **{ROLE: "1"})
    assert node.places_an_eni_in() == larger


@pytest.mark.parametrize(
    ("tags", "used"),
    [
        ({ROLE: "1"}, True),
        ({ROLE: "0"}, False),
        ({ROLE: "1", SCOPE + "prod": "shared"}, True),
        ({ROLE: "1", SCOPE + "other": "shared"}, False),
        ({ROLE: "1", SCOPE + "other": "shared", SCOPE + "prod": "shared"}, True),
        ({SCOPE + "prod": "shared"}, False),
    ],
)
def test_given_the_tags_of_a_roomy_subnet_then_they_decide_whether_it_is_found(
    node: NodeInZone, tags: dict[str, Any], used: bool
) -> None:
    roomy = node.subnet("10.0.1.0/24", **tags)
    assert node.places_an_eni_in() == (roomy if used else node.own)


def test_given_a_tagged_subnet_of_another_zone_or_discovery_off_then_the_own_one_is_taken(node: NodeInZone) -> None:
    node.subnet("10.0.1.0/24", "c", **{ROLE: "1"})
    assert node.places_an_eni_in() == node.own
    node.subnet("10.0.2.0/24", "a", **{ROLE: "1"})
    assert node.places_an_eni_in(discovery=False) == node.own


def test_given_the_own_subnet_excluded_and_no_other_then_there_is_none(node: NodeInZone) -> None:
    node.tag(node.own, **{ROLE: "0"})
    with pytest.raises(NoValidSubnet):
        node.places_an_eni_in()


def test_given_a_full_subnet_first_in_line_then_the_next_is_tried(node: NodeInZone) -> None:
    roomy = node.subnet("10.0.1.0/28", **{ROLE: "1"})
    assert node.network.free(roomy) > node.network.free(node.own)
    node.network.interface(roomy, SecondaryPrivateIpAddressCount=node.network.free(roomy) - 1)
    assert node.places_an_eni_in() == node.own
