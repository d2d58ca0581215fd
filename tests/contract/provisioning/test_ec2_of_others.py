"""What the remediator changes of things that it did not make: leaked ENIs, and tags of subnets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import NotFound, PermissionDenied, ServiceUnavailable
from ip_remediator.provisioning.leaked_enis import LeakedEnis
from ip_remediator.provisioning.subnet_tags import SubnetTags
from ip_remediator.snapshot.cni_tags import YOUNG
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CLUSTER, INSTANCE = "cluster.k8s.amazonaws.com/name", "node.k8s.amazonaws.com/instance_id"
CREATED = "node.k8s.amazonaws.com/createdAt"
DISCOVERY = "kubernetes.io/role/cni"


@pytest.fixture
def vpc(faults: LocalAws, ec2: Any) -> Vpc:  # faults: none of another test's is left
    return Vpc.create(ec2)


@pytest.fixture
def enis(ec2: Any) -> LeakedEnis:
    return LeakedEnis(ec2, "prod", {"i-1"}, lambda: NOW)


def leaked(vpc: Vpc, description: str = "aws-K8S-i-1", **tags: str) -> str:
    listed = [{"Key": key, "Value": value} for key, value in (tags or {CLUSTER: "prod"}).items()]
    specification = [{"ResourceType": "network-interface", "Tags": listed}]
    return vpc.interface(vpc.subnets["a"], Description=description, TagSpecifications=specification)


def count(aws: LocalAws, action: str) -> int:
    return len(aws.calls(service="ec2", action=action))


# --- Leaked ENIs


@pytest.mark.parametrize(
    "tags",
    [
        {CLUSTER: "prod"},
        {INSTANCE: "i-1"},
        {CLUSTER: "prod", CREATED: (NOW - YOUNG).isoformat()},
        {CLUSTER: "prod", CREATED: "some time ago"},
    ],
)
def test_given_an_eni_that_the_cni_left_behind_then_it_is_ours_to_delete_once(
    vpc: Vpc, enis: LeakedEnis, faults: LocalAws, tags: dict[str, str]
) -> None:
    eni = leaked(vpc, **tags)
    [result] = enis.look([eni])
    assert (result.left_because, result.addresses, result.subnet_id) == (None, 1, vpc.subnets["a"])
    assert enis.delete(eni)
    assert enis.look([eni]) == []
    assert enis.delete(eni)


@pytest.mark.parametrize(
    ("description", "tags", "why"),
    [
        ("ELB net/x", {CLUSTER: "prod"}, "did not make it"),
        ("aws-K8S-i-1", {CLUSTER: "other", INSTANCE: "i-1"}, "of cluster other"),
        ("aws-K8S-i-9", {INSTANCE: "i-9"}, "no tag proves"),
        ("aws-K8S-i-1", {"Name": "x"}, "no tag proves"),
        ("aws-K8S-i-1", {CLUSTER: "prod", CREATED: (NOW - timedelta(minutes=1)).isoformat()}, "only just made"),
    ],
)
def test_given_an_eni_that_is_not_leaked_or_not_ours_then_it_is_left(
    vpc: Vpc, enis: LeakedEnis, description: str, tags: dict[str, str], why: str
) -> None:
    [result] = enis.look([leaked(vpc, description, **tags)])
    assert why in str(result.left_because)


def test_given_an_eni_that_was_attached_meanwhile_then_it_stays(vpc: Vpc, enis: LeakedEnis) -> None:
    eni = leaked(vpc)
    vpc.ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=vpc.instance(), DeviceIndex=1)
    assert not enis.delete(eni)
    [result] = enis.look([eni])
    assert "in-use" in str(result.left_because)


def test_given_a_denied_deletion_of_an_eni_that_is_there_then_it_is_an_error_and_of_one_that_is_gone_it_is_not(
    vpc: Vpc, enis: LeakedEnis, faults: LocalAws
) -> None:
    eni = leaked(vpc)
    faults.inject("ec2", "DeleteNetworkInterface", error="UnauthorizedOperation", message="no")
    with pytest.raises(PermissionDenied):
        enis.delete(eni)
    vpc.ec2.delete_network_interface(NetworkInterfaceId=eni)
    faults.inject("ec2", "DeleteNetworkInterface", error="UnauthorizedOperation", message="no")
    assert enis.delete(eni)


def test_given_a_lost_answer_then_the_next_try_finds_it_gone(vpc: Vpc, enis: LeakedEnis, faults: LocalAws) -> None:
    eni = leaked(vpc)
    faults.inject("ec2", "DeleteNetworkInterface", when="after")
    with pytest.raises(ServiceUnavailable):
        enis.delete(eni)
    assert enis.delete(eni)


def test_given_more_enis_than_a_filter_takes_then_all_are_looked_at(
    vpc: Vpc, enis: LeakedEnis, faults: LocalAws
) -> None:
    there = leaked(vpc)
    gone = [f"eni-{number:017x}" for number in range(450)]
    faults.control("DELETE", "/_local/calls")
    assert enis.look([]) == []
    assert [result.id for result in enis.look([*gone, there])] == [there]
    assert count(faults, "DescribeNetworkInterfaces") == 3


# --- Tags of subnets


def test_given_a_subnet_then_its_tags_are_set_once_and_others_are_left(vpc: Vpc, faults: LocalAws) -> None:
    subnet = vpc.subnet("10.0.9.0/24", "a", Name="theirs", **{DISCOVERY: "0"})
    faults.control("DELETE", "/_local/calls")
    tags = SubnetTags(vpc.ec2)
    for _ in range(2):
        tags.put(subnet, {DISCOVERY: "1"})
    assert tags.of(subnet) == {"Name": "theirs", DISCOVERY: "1"}
    assert count(faults, "CreateTags") == 1


def test_given_what_was_there_before_then_tags_come_back_and_go_again(vpc: Vpc, faults: LocalAws) -> None:
    subnet = vpc.subnet("10.0.9.0/24", "a", Name="theirs", **{DISCOVERY: "1", "new": "x"})
    faults.control("DELETE", "/_local/calls")
    tags = SubnetTags(vpc.ec2)
    for _ in range(2):
        tags.put(subnet, {DISCOVERY: "0", "new": None})
    assert tags.of(subnet) == {"Name": "theirs", DISCOVERY: "0"}
    assert (count(faults, "CreateTags"), count(faults, "DeleteTags")) == (1, 1)


def test_given_a_subnet_that_is_gone_then_the_error_names_it(ec2: Any) -> None:
    with pytest.raises(NotFound, match="subnet-0123456789abcdef0"):
        SubnetTags(ec2).put("subnet-0123456789abcdef0", {DISCOVERY: "1"})
