"""Signals that name no cluster find it by their subnet or ENI: on real DynamoDB and EC2 APIs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.intake.places import KEPT, ClusterFinder, SubnetClusters
from ip_remediator.signals.causes import Cause, Strength
from ip_remediator.signals.model import Affected, Dropped, DropReason, Place, Signal, Source, UnplacedSignal, build
from tests.contract.conftest import unique
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def subnets(table: Table) -> SubnetClusters:
    return SubnetClusters(table)


def unplaced(**place: Any) -> UnplacedSignal:
    signal = build(
        source=Source.AWS_EVENT,
        cluster=None,
        cause=Cause.SUBNET_FULL,
        strength=Strength.STRONG,
        affected=Affected.NODES,
        times=(NOW, NOW),
        received_at=NOW,
        identity="a1",
        excerpt="x",
        place=Place(**place),
    )
    assert isinstance(signal, UnplacedSignal)
    return signal


def placed(results: list[Signal | Dropped]) -> list[str]:
    return [one.cluster for one in results if isinstance(one, Signal)]


def test_given_clusters_noted_in_a_subnet_when_a_signal_names_it_then_each_of_them_gets_the_signal(
    subnets: SubnetClusters, ec2: Any
) -> None:
    # given
    subnet = unique("subnet")
    subnets.note("shop-prod", [subnet], NOW)
    subnets.note("shop-test", [subnet], NOW)
    # when
    result = ClusterFinder(subnets, lambda: ec2).place(unplaced(subnets=(subnet,)))
    # then
    assert placed(result) == ["shop-prod", "shop-test"]
    assert all(isinstance(one, Signal) and one.affected is Affected.NODES and one.id == "a1" for one in result)


def test_given_nobody_in_a_subnet_when_a_signal_names_it_then_it_is_dropped(subnets: SubnetClusters, ec2: Any) -> None:
    result = ClusterFinder(subnets, lambda: ec2).place(unplaced(certain=True, subnets=(unique("subnet"),)))
    assert result == [Dropped(reason=DropReason.NO_CLUSTER)]


def test_given_a_cluster_that_left_a_subnet_when_another_is_noted_then_it_is_forgotten(subnets: SubnetClusters) -> None:
    subnet = unique("subnet")
    subnets.note("old", [subnet], NOW)
    subnets.note("new", [subnet], NOW + KEPT + timedelta(hours=1))
    assert list(subnets.read(subnet)) == ["new"]


def test_given_an_eni_of_the_cni_when_a_signal_names_it_then_its_tag_names_the_cluster(
    subnets: SubnetClusters, ec2: Any
) -> None:
    # given
    subnet = next(iter(Vpc.create(ec2, zones="a", prefix=27).subnets.values()))
    tags = [{"Key": "cluster.k8s.amazonaws.com/name", "Value": "shop-prod"}]
    specification = [{"ResourceType": "network-interface", "Tags": tags}]
    eni = ec2.create_network_interface(SubnetId=subnet, TagSpecifications=specification)["NetworkInterface"]
    # when
    result = ClusterFinder(subnets, lambda: ec2).place(unplaced(interface=eni["NetworkInterfaceId"]))
    # then
    assert placed(result) == ["shop-prod"]


def test_given_an_eni_without_a_tag_when_a_signal_names_it_then_its_subnet_decides(
    subnets: SubnetClusters, ec2: Any
) -> None:
    # given
    subnet = next(iter(Vpc.create(ec2, zones="a", prefix=27).subnets.values()))
    eni = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]
    subnets.note("shop-prod", [subnet], NOW)
    # when
    result = ClusterFinder(subnets, lambda: ec2).place(unplaced(interface=eni["NetworkInterfaceId"]))
    # then
    assert placed(result) == ["shop-prod"]


@pytest.mark.parametrize("interface", ["eni-0123456789abcdef0", "no id"])
def test_given_an_eni_that_is_gone_when_a_signal_names_it_then_it_is_dropped(
    subnets: SubnetClusters, ec2: Any, interface: str
) -> None:
    result = ClusterFinder(subnets, lambda: ec2).place(unplaced(interface=interface))
    assert result == [Dropped(reason=DropReason.NO_CLUSTER)]
