"""What the descriptions, types and tags of ENIs tell: whom security groups protect, units, clusters."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ip_remediator.snapshot.enis import InterfaceFacts
from tests.unit.support.moving import user

LAMBDA = "AWS Lambda VPC ENI-orders-1b2c3d4e-1234-5678-9abc-1b2c3d4e5f60"


def eni(number: int = 1, description: str = "", **fields: Any) -> dict[str, Any]:
    """An item of DescribeNetworkInterfaces with one address, in group sg-1."""
    return {
        "NetworkInterfaceId": f"eni-{number}",
        "SubnetId": "subnet-1",
        "Status": "in-use",
        "Description": description,
        "InterfaceType": "interface",
        "Groups": [{"GroupId": "sg-1"}],
        "PrivateIpAddresses": [{"PrivateIpAddress": f"10.0.0.{number}"}],
        **fields,
    }


def of_instance(number: int, device: int = 0, **fields: Any) -> dict[str, Any]:
    return eni(number, Attachment={"InstanceId": f"i-{number}", "DeviceIndex": device}, **fields)


def facts(*enis: dict[str, Any]) -> InterfaceFacts:
    result = InterfaceFacts()
    for one in enis:
        result.add(one)
    return result


@pytest.mark.parametrize(
    ("description", "kind", "name"),
    [
        ("RDSNetworkInterface", "RDS", "eni-1"),
        ("ELB app/shop/50dc6c495c0c9188", "load balancer", "app/shop/50dc6c495c0c9188"),
        ("ELB net/k8s-ingress/50dc6c495c0c9188", "load balancer", "net/k8s-ingress/50dc6c495c0c9188"),
        ("ELB classic", "load balancer", "classic"),
        ("VPC Endpoint Interface vpce-0a1b2c3d", "endpoint", "vpce-0a1b2c3d"),
        ("VPC Endpoint Interface: vpce-0a1b2c3d", "endpoint", "vpce-0a1b2c3d"),
        ("ElastiCache sessions-001", "ElastiCache", "sessions-001"),
        ("ElastiCache+sessions-001", "ElastiCache", "sessions-001"),
        ("EFS mount target for fs-0a1b (fsmt-0c2d)", "EFS", "fs-0a1b"),
        (LAMBDA, "Lambda", "orders"),
        ("RedshiftNetworkInterface", "Redshift", "eni-1"),
        ("ES domain-search", "OpenSearch", "domain-search"),
        ("arn:aws:ecs:eu-west-1:000000000000:attachment/1b2c", "ECS task", "eni-1"),
        ("Amazon EKS shop", "EKS control plane", "shop"),
        ("made by hand", "ENI", "eni-1"),
    ],
)
def test_given_the_eni_of_a_service_then_its_security_group_protects_that_service(
    description: str, kind: str, name: str
) -> None:
    assert facts(eni(description=description)).users("sg-1") == (user(kind, name),)


def test_given_enis_of_instances_then_their_group_protects_each_instance_once() -> None:
    one, again = of_instance(1), {**of_instance(1, 1), "NetworkInterfaceId": "eni-9"}
    assert facts(one, again, of_instance(2)).users("sg-1") == (user("instance", "i-1"), user("instance", "i-2"))
    assert facts(one).users("sg-2") == ()


def test_given_thousands_of_instances_then_a_few_are_named_and_no_other_kind_is_lost() -> None:
    of_many = facts(*(of_instance(number) for number in range(1, 31)), eni(99, "RDSNetworkInterface"))
    named = of_many.users("sg-1")
    assert len(named) == 6
    assert named[0] == user("RDS", "eni-99")
    assert of_many.further_users("sg-1") == {"instance": 25}


def test_given_enis_then_units_are_counted_as_the_vpc_user_guide_counts_them() -> None:
    # Two of an instance: five addresses, one prefix, one for the further ENI.
    addresses = [{"PrivateIpAddress": f"10.0.0.{last}"} for last in (20, 21, 22, 23)]
    further = {**of_instance(2, 1), "Ipv4Prefixes": [{"Ipv4Prefix": "10.0.0.32/28"}]}
    assert facts({**of_instance(1), "PrivateIpAddresses": addresses}, further).network_address_units == 7
    # Both families count.
    assert facts({**of_instance(1), "Ipv6Addresses": [{"Ipv6Address": "fd00::1"}]}).network_address_units == 2
    # Six for what AWS runs, whatever its addresses; once for an attachment with an ENI in each of two zones.
    managed = ("network_load_balancer", "vpc_endpoint", "lambda", "nat_gateway", "efs")
    assert facts(*(eni(1, InterfaceType=kind) for kind in managed)).network_address_units == 30
    attachment = {"InterfaceType": "transit_gateway", "Description": "Network Interface for Attachment tgw-attach-1"}
    assert facts(eni(1, **attachment), eni(2, **attachment)).network_address_units == 6


def test_given_enis_of_control_planes_nodes_and_pods_then_their_clusters_are_known() -> None:
    def tagged(number: int, key: str, value: str) -> dict[str, Any]:
        return eni(number, TagSet=[{"Key": key, "Value": value}])

    result = facts(
        eni(1, "Amazon EKS shop"),
        eni(2, "Amazon EKS control plane of something"),  # nobody's name has spaces
        tagged(3, "kubernetes.io/cluster/batch", "owned"),
        tagged(4, "cluster.k8s.amazonaws.com/name", "shop"),
        tagged(5, "Name", "web"),
    )
    assert result.clusters == {"shop", "batch"}


@pytest.mark.parametrize(
    ("created", "counted"),
    [("2026-03-04T05:05:00Z", False), ("2026-03-04T05:00:59Z", True), ("", True), ("yesterday", True)],
)
def test_given_an_available_eni_of_the_cni_then_it_is_leaked_unless_it_was_only_just_made(
    created: str, counted: bool
) -> None:
    result = InterfaceFacts(now=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    tags = [{"Key": "node.k8s.amazonaws.com/createdAt", "Value": created}] if created else []
    result.add(eni(1, "aws-K8S-i-1", Status="available", TagSet=tags))
    assert [leaked.id for leaked in result.leaked] == (["eni-1"] if counted else [])
    assert result.blocks  # its address is taken either way
