"""The simulated ipamd against EC2: what it does with a node's ENIs, round by round (amazon-vpc-cni-k8s v1.23.1)."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from local.cluster.ipamd.agent import InitError, Ipamd
from local.cluster.ipamd.ec2 import NodeEc2, describe_instance
from local.cluster.ipamd.growth import EniConfigMissing
from local.cluster.ipamd.settings import CniSettings, NodeLimits, cni_settings

if TYPE_CHECKING:
    from local.aws.client import LocalAws
    from tests.stack.aws.conftest import Network

LOG = logging.getLogger("ipamd-test")


@dataclass
class NodeUnderTest:
    """An instance in a subnet of its own, and its ipamd, whose clock the test moves."""

    network: Network
    aws: LocalAws
    subnet: str
    kind: str = "t3.medium"
    cordoned: bool = False
    now: float = 1000.0
    denied: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.id = self.network.instance(self.subnet, self.kind)

    def start(self, **environment: str) -> Ipamd:
        instance = describe_instance(self.network.ec2, self.id)
        limits = NodeLimits(
            instance.max_enis,
            instance.addresses_per_eni - 1,
            110,
            trunking_compatible=instance.trunking_compatible,
            prefixes_supported=instance.prefixes_supported,
        )
        ipamd = Ipamd(
            NodeEc2(self.network.ec2, instance, "prod", LOG),
            cni_settings(environment),
            limits,
            clock=lambda: self.now,
            read_eni_config=self._no_eni_config,
            denied=self.denied.append,
            log=LOG,
            is_cordoned=lambda: self.cordoned,
        )
        ipamd.start({})
        return ipamd

    def rounds(self, ipamd: Ipamd, count: int, seconds: float = 5.0) -> None:
        for _ in range(count):
            self.now += seconds
            ipamd.monitor()

    def enis(self) -> list[dict[str, Any]]:
        filters = [{"Name": "attachment.instance-id", "Values": [self.id]}]
        return list(self.network.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])

    def attach(self, device: int, **options: Any) -> str:
        """An ENI that somebody else made."""
        eni = str(self.network.interface(self.subnet, **options)["NetworkInterfaceId"])
        self.network.ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=self.id, DeviceIndex=device)
        return eni

    def calls(self, action: str) -> int:
        return len(self.aws.calls(service="ec2", action=action))

    @staticmethod
    def _no_eni_config(_: CniSettings) -> tuple[str, tuple[str, ...]]:
        raise EniConfigMissing("default")


@pytest.fixture
def node(network: Network, aws: LocalAws, no_faults: None) -> NodeUnderTest:
    return NodeUnderTest(network, aws, network.subnet("10.0.0.0/24"))


def test_given_a_cordoned_node_when_its_enis_are_empty_then_they_stay_until_it_is_uncordoned(node: NodeUnderTest):
    ipamd = node.start(WARM_ENI_TARGET="0")
    for number in range(6):
        ipamd.assign(f"pod-{number}")
        node.rounds(ipamd, 1)
    assert len(node.enis()) == 2

    node.cordoned = True
    for number in range(6):
        ipamd.release(f"pod-{number}")
    node.rounds(ipamd, 10, seconds=60)
    assert len(node.enis()) == 2, "ipamd frees nothing on a cordoned node"

    node.cordoned = False
    node.rounds(ipamd, 2)
    assert len(node.enis()) == 1


def test_given_a_cordoned_node_when_pods_need_addresses_then_no_eni_is_attached(node: NodeUnderTest):
    ipamd = node.start(WARM_ENI_TARGET="0")
    before = len(node.enis())
    node.cordoned = True
    for number in range(6):
        ipamd.assign(f"pod-{number}")
    node.rounds(ipamd, 5)
    assert len(node.enis()) == before


def test_given_the_setting_when_a_node_is_cordoned_then_its_enis_are_managed_all_the_same(node: NodeUnderTest):
    ipamd = node.start(WARM_ENI_TARGET="0", AWS_MANAGE_ENIS_NON_SCHEDULABLE="1")
    node.cordoned = True
    for number in range(6):
        ipamd.assign(f"pod-{number}")
        node.rounds(ipamd, 1)
    assert len(node.enis()) == 2


def test_given_security_groups_for_pods_then_the_trunks_slot_stays_free_until_the_trunk_is_there(
    node: NodeUnderTest, network: Network
):
    large = NodeUnderTest(network, node.aws, node.subnet, kind="m5.large")
    ipamd = large.start(ENABLE_POD_ENI="true", WARM_ENI_TARGET="5")
    large.rounds(ipamd, 5)
    assert len(large.enis()) == 2, "one of three slots is the trunk's"

    trunk = large.attach(5, InterfaceType="trunk")
    large.rounds(ipamd, 5)
    assert len(large.enis()) == 3
    assert ipamd.pool.enis[trunk].cidrs == []


def test_given_enis_of_others_then_they_are_left_alone_and_take_their_slots(node: NodeUnderTest):
    tags = [{"Key": "node.k8s.amazonaws.com/no_manage", "Value": "true"}]
    theirs = node.attach(1, TagSpecifications=[{"ResourceType": "network-interface", "Tags": tags}])
    efa = node.attach(2, InterfaceType="efa-only")

    ipamd = node.start()
    ipamd.assign("pod")
    node.rounds(ipamd, 3)

    assert {theirs, efa}.isdisjoint(ipamd.pool.enis)
    assert len(node.enis()) == 3, "no slot is left"


def test_given_max_eni_then_no_more_are_attached(node: NodeUnderTest):
    ipamd = node.start(MAX_ENI="2", WARM_ENI_TARGET="5")
    node.rounds(ipamd, 5)
    assert len(node.enis()) == 2


@pytest.mark.parametrize(("kind", "prefixes"), [("t2.medium", False), ("t3.medium", True)], ids=["xen", "nitro"])
def test_given_prefix_delegation_then_only_nitro_instances_use_it(
    network: Network, node: NodeUnderTest, kind: str, prefixes: bool
):
    other = NodeUnderTest(network, node.aws, node.subnet, kind=kind)
    ipamd = other.start(ENABLE_PREFIX_DELEGATION="true", WARM_PREFIX_TARGET="1")
    assert ipamd.pool.prefixes is prefixes
    assert any(eni.get("Ipv4Prefixes") for eni in other.enis()) is prefixes


@pytest.mark.parametrize("variable", ["DISABLE_NETWORK_RESOURCE_PROVISIONING", "ENABLE_IMDS_ONLY_MODE"])
def test_given_provisioning_is_off_then_ipamd_asks_ec2_for_nothing(node: NodeUnderTest, variable: str):
    ipamd = node.start(**{variable: "true"})
    node.rounds(ipamd, 5, seconds=61)
    changes = ("CreateTags", "AssignPrivateIpAddresses", "CreateNetworkInterface")
    assert [node.calls(action) for action in changes] == [0, 0, 0]
    assert ipamd.assign("pod") is None

    node.attach(1, SecondaryPrivateIpAddressCount=2)
    node.rounds(ipamd, 1, seconds=61)
    assert ipamd.assign("pod") is not None, "what somebody else attaches is used"


def test_given_a_subnet_without_the_whole_chunk_then_a_new_eni_is_refused_and_ipamd_waits_two_minutes(
    network: Network, aws: LocalAws, no_faults: None
):
    narrow = network.subnet("10.0.1.0/28")
    node = NodeUnderTest(network, aws, narrow)
    ipamd = node.start(WARM_ENI_TARGET="0")
    node.rounds(ipamd, 1)
    network.interface(narrow, SecondaryPrivateIpAddressCount=network.free(narrow) - 4)
    assert network.free(narrow) == 3, "a new ENI needs six"
    for number in range(5):
        ipamd.assign(f"pod-{number}")

    node.rounds(ipamd, 3)
    assert node.calls("CreateNetworkInterface") == 2, "one of the test, one refused, then none for two minutes"
    node.rounds(ipamd, 1, seconds=121)
    assert node.calls("CreateNetworkInterface") == 3
    assert network.free(narrow) == 3


def test_given_custom_networking_without_an_eniconfig_then_the_pool_is_that_of_the_primary_eni(node: NodeUnderTest):
    with pytest.raises(InitError, match="Failed to attach any ENIs for custom networking"):
        node.start(AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG="true")


def test_given_a_refusal_other_than_a_full_subnet_when_starting_then_ipamd_gives_up(node: NodeUnderTest, aws: LocalAws):
    aws.inject("ec2", "AssignPrivateIpAddresses", error="UnauthorizedOperation", times=9)
    with pytest.raises(InitError, match="error while trying to increase datastore pool"):
        node.start()
    assert node.denied == ["ec2:AssignPrivateIpAddresses"]


def test_given_a_subnet_that_is_tagged_as_excluded_then_its_new_eni_gives_no_addresses(node: NodeUnderTest):
    ipamd = node.start(CLUSTER_NAME="prod")
    tags = [{"Key": "kubernetes.io/role/cni", "Value": "0"}]
    node.network.ec2.create_tags(Resources=[node.subnet], Tags=tags)
    again = node.start(CLUSTER_NAME="prod")
    assert ipamd.assign("pod") is not None
    assert again.assign("pod") is None
    assert all(eni.excluded for eni in again.pool.enis.values())


def test_given_addresses_that_were_given_back_when_ec2_still_shows_them_then_they_are_not_taken_for_new(
    node: NodeUnderTest,
):
    ipamd = node.start(WARM_IP_TARGET="3")
    (eni,) = ipamd.pool.enis.values()
    kept = list(eni.cidrs)
    ipamd._reconciler.note_freed(kept)
    ipamd.pool.remove_cidrs(eni.id, kept)
    ipamd._reconcile()
    assert eni.cidrs == []
    node.now += 61
    ipamd._reconcile()
    assert eni.cidrs == kept
