"""IAM and EC2: every required resource of a call is checked, each with its own condition keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import MANAGED_TAG, Network, allow, code_of, tagged

if TYPE_CHECKING:
    from collections.abc import Callable

    from local.aws.client import LocalAws

DENIED = "UnauthorizedOperation"
WITH_TAG = {"StringEquals": {f"aws:RequestTag/{MANAGED_TAG}": "true"}}
OURS = {"StringEquals": {f"aws:ResourceTag/{MANAGED_TAG}": "true"}}


def on(action: str, *kinds: str, **condition: Any) -> dict[str, Any]:
    """A statement that allows an action of EC2 on some types of resources."""
    arns = [f"arn:aws:ec2:*:*:{kind}/*" for kind in kinds]
    return {**allow(f"ec2:{action}", **condition), "Resource": arns}


class Scene:
    """A VPC with what the calls need."""

    def __init__(self, network: Network) -> None:
        ec2 = self.ec2 = network.ec2
        self.vpc = network.vpc
        self.subnet = network.subnet("10.0.0.0/24")
        self.table = ec2.create_route_table(VpcId=network.vpc)["RouteTable"]["RouteTableId"]
        self.acl = ec2.create_network_acl(VpcId=network.vpc)["NetworkAcl"]["NetworkAclId"]
        self.group = ec2.create_security_group(GroupName="pods", Description="d", VpcId=network.vpc)["GroupId"]
        self.instance = network.instance(self.subnet)
        self.eni = network.interface(self.subnet)["NetworkInterfaceId"]
        prefixes = {"PrefixListName": "offices", "AddressFamily": "IPv4", "MaxEntries": 1}
        self.prefixes = ec2.create_managed_prefix_list(**prefixes)["PrefixList"]["PrefixListId"]

    def acl_association(self) -> str:
        filters = [{"Name": "association.subnet-id", "Values": [self.subnet]}]
        (acl,) = self.ec2.describe_network_acls(Filters=filters)["NetworkAcls"]
        return next(one["NetworkAclAssociationId"] for one in acl["Associations"] if one["SubnetId"] == self.subnet)

    def attachment(self) -> str:
        wanted = {"NetworkInterfaceId": self.eni, "InstanceId": self.instance, "DeviceIndex": 1}
        return str(self.ec2.attach_network_interface(**wanted)["AttachmentId"])


CALLS: dict[str, tuple[tuple[str, ...], Callable[[Any, Scene], Any]]] = {
    "CreateSubnet": (
        ("vpc", "subnet"),
        lambda ec2, scene: ec2.create_subnet(VpcId=scene.vpc, CidrBlock="10.0.1.0/24"),
    ),
    "AssociateRouteTable": (
        ("route-table", "subnet"),
        lambda ec2, scene: ec2.associate_route_table(RouteTableId=scene.table, SubnetId=scene.subnet),
    ),
    "ReplaceNetworkAclAssociation": (
        ("network-acl", "subnet"),
        lambda ec2, scene: ec2.replace_network_acl_association(
            AssociationId=scene.acl_association(), NetworkAclId=scene.acl
        ),
    ),
    "CreateNetworkInterface": (
        ("network-interface", "subnet", "security-group"),
        lambda ec2, scene: ec2.create_network_interface(SubnetId=scene.subnet, Groups=[scene.group]),
    ),
    "AttachNetworkInterface": (
        ("instance", "network-interface"),
        lambda ec2, scene: ec2.attach_network_interface(
            NetworkInterfaceId=scene.eni, InstanceId=scene.instance, DeviceIndex=1
        ),
    ),
    "DetachNetworkInterface": (
        ("instance", "network-interface"),
        lambda ec2, scene: ec2.detach_network_interface(AttachmentId=scene.attachment()),
    ),
    "CreateTags": (
        ("subnet", "network-interface"),
        lambda ec2, scene: ec2.create_tags(Resources=[scene.subnet, scene.eni], Tags=[{"Key": "a", "Value": "b"}]),
    ),
    "GetManagedPrefixListEntries": (
        ("prefix-list",),
        lambda ec2, scene: ec2.get_managed_prefix_list_entries(PrefixListId=scene.prefixes),
    ),
}


@pytest.mark.parametrize("action", CALLS)
def test_given_a_policy_without_one_of_the_resource_types_when_called_then_denied(
    network: Network, caller: Any, action: str
):
    kinds, call = CALLS[action]
    scene = Scene(network)
    for missing in kinds:
        partial = caller(on(action, "volume", *(kind for kind in kinds if kind != missing)))
        assert code_of(call, partial, scene) == DENIED, f"allowed without {missing}"
        if action == "DetachNetworkInterface":
            scene = Scene(Network(network.ec2, network.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]))
    assert code_of(call, caller(on(action, *kinds)), scene) == ""


def test_given_a_request_tag_condition_when_a_subnet_is_created_then_it_belongs_to_the_subnet_alone(
    network: Network, caller: Any
):
    asked = {"VpcId": network.vpc, "CidrBlock": "10.0.0.0/24"}
    tags = {"TagSpecifications": tagged("subnet", "true")}
    everything = caller(allow("ec2:CreateSubnet", **WITH_TAG), allow("ec2:CreateTags"))
    apart = caller(on("CreateSubnet", "vpc"), on("CreateSubnet", "subnet", **WITH_TAG), allow("ec2:CreateTags"))

    assert code_of(everything.create_subnet, **asked, **tags) == DENIED
    assert code_of(apart.create_subnet, **asked) == DENIED
    assert code_of(apart.create_subnet, **asked, TagSpecifications=tagged("subnet", "no")) == DENIED
    assert code_of(apart.create_subnet, **asked, **tags) == ""


def test_given_a_resource_tag_condition_when_an_acl_is_replaced_then_the_subnets_tag_counts(
    network: Network, caller: Any
):
    scene = Scene(network)
    ec2 = caller(
        on("ReplaceNetworkAclAssociation", "network-acl"), on("ReplaceNetworkAclAssociation", "subnet", **OURS)
    )
    wanted = {"AssociationId": scene.acl_association(), "NetworkAclId": scene.acl}

    assert code_of(ec2.replace_network_acl_association, **wanted) == DENIED
    scene.ec2.create_tags(Resources=[scene.subnet], Tags=[{"Key": MANAGED_TAG, "Value": "true"}])
    assert code_of(ec2.replace_network_acl_association, **wanted) == ""


def test_given_tags_on_creation_when_the_type_may_not_be_tagged_then_denied(network: Network, caller: Any):
    subnet = network.subnet("10.0.0.0/24")
    wanted = {"SubnetId": subnet, "Cidr": "10.0.0.0/28", "ReservationType": "prefix"}
    tags = {"TagSpecifications": tagged("subnet-cidr-reservation", "true")}
    creating = {"StringEquals": {"ec2:CreateAction": "CreateSubnetCidrReservation"}}
    may = on("CreateSubnetCidrReservation", "subnet")
    wrong = caller(may, on("CreateTags", "subnet", **creating))
    right = caller(may, on("CreateTags", "subnet-cidr-reservation", **creating))

    assert code_of(wrong.create_subnet_cidr_reservation, **wanted, **tags) == DENIED
    assert code_of(right.create_subnet_cidr_reservation, **wanted, **tags) == ""


@pytest.mark.parametrize(
    ("condition", "with_tag", "without"),
    [
        ({"Null": {f"aws:RequestTag/{MANAGED_TAG}": "false"}}, "", DENIED),
        ({"StringEqualsIfExists": {f"aws:RequestTag/{MANAGED_TAG}": "true"}}, "", ""),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": [MANAGED_TAG]}}, "", ""),
        (
            {"ForAllValues:StringEquals": {"aws:TagKeys": [MANAGED_TAG]}, "Null": {"aws:TagKeys": "false"}},
            "",
            DENIED,
        ),
        ({"ForAllValues:StringEquals": {"aws:TagKeys": ["Name"]}}, DENIED, ""),
        ({"StringNotEquals": {f"aws:RequestTag/{MANAGED_TAG}": "true"}}, DENIED, ""),
    ],
)
def test_given_an_operator_when_a_key_is_there_or_not_then_it_decides_as_documented(
    network: Network, caller: Any, condition: dict[str, Any], with_tag: str, without: str
):
    ec2 = caller(on("CreateSubnet", "vpc"), on("CreateSubnet", "subnet", **condition), allow("ec2:CreateTags"))
    tags = {"TagSpecifications": tagged("subnet", "true")}
    asked = {"VpcId": network.vpc}
    assert code_of(ec2.create_subnet, CidrBlock="10.0.0.0/24", **asked, **tags) == with_tag
    assert code_of(ec2.create_subnet, CidrBlock="10.0.1.0/24", **asked) == without


def test_given_late_policies_when_a_subnet_is_new_then_its_tags_do_not_count_yet(
    aws: LocalAws, network: Network, caller: Any
):
    ec2 = caller(on("DeleteSubnet", "subnet", **OURS))
    with aws.settings(ec2_policies_see_after_seconds=3600):
        subnet = network.subnet("10.0.0.0/24", TagSpecifications=tagged("subnet", "true"))
        assert network.free(subnet) == 251, "reads are not late"
        assert code_of(ec2.delete_subnet, SubnetId=subnet) == DENIED
    assert code_of(ec2.delete_subnet, SubnetId=subnet) == ""
