"""Managed node groups and Fargate profiles as EKS tells them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common.errors import NotFound
from ip_remediator.snapshot.model_cluster import FargateProfile
from ip_remediator.snapshot.preflight.eks_compute import EksCompute
from ip_remediator.snapshot.read_failures import ReadFailures
from tests.contract.conftest import EksApi
from tests.contract.support.vpcs import Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def pool() -> Iterator[Executor]:
    with ThreadPoolExecutor(4) as made:
        yield made


@pytest.fixture
def eks(faults: LocalAws, eks_api: EksApi, ec2: Any, cluster: str) -> Any:
    """EKS, where `cluster` is."""
    eks_api.create_cluster(cluster, Vpc.create(ec2, zones="a"))
    return eks_api.client


def make_groups(eks: Any, cluster: str, *names: str) -> None:
    for name in names:
        eks.create_nodegroup(
            clusterName=cluster,
            nodegroupName=name,
            subnets=["subnet-1", "subnet-2"],
            instanceTypes=["m5.large", "m5a.large"],
            scalingConfig={"minSize": 1, "maxSize": 9, "desiredSize": 4},
            nodeRole="arn:aws:iam::000000000000:role/node",
        )


def test_given_node_groups_then_subnets_types_and_size_are_told_in_the_order_of_names(
    eks: Any, cluster: str, pool: Executor
) -> None:
    make_groups(eks, cluster, "spot", "general")
    unread = ReadFailures()
    general, spot = EksCompute(eks, cluster, unread).node_groups(pool)
    assert (general.name, spot.name) == ("general", "spot")
    assert (general.subnets, general.instance_types) == (("subnet-1", "subnet-2"), ("m5.large", "m5a.large"))
    assert general.desired == 4
    assert (general.auto_scaling_group or "").startswith("eks-general-")
    assert unread.lines == ()


def test_given_fargate_profiles_then_their_subnets_are_told(eks: Any, cluster: str, pool: Executor) -> None:
    eks.create_fargate_profile(
        clusterName=cluster,
        fargateProfileName="batch",
        podExecutionRoleArn="arn:aws:iam::000000000000:role/pod",
        subnets=["subnet-1"],
    )
    assert EksCompute(eks, cluster, ReadFailures()).fargate_profiles(pool) == (
        FargateProfile(name="batch", subnets=("subnet-1",)),
    )


def test_given_nothing_of_both_then_one_call_for_each_tells_so(
    eks: Any, cluster: str, pool: Executor, faults: LocalAws
) -> None:
    faults.control("DELETE", "/_local/calls")
    compute = EksCompute(eks, cluster, ReadFailures())
    assert (compute.node_groups(pool), compute.fargate_profiles(pool)) == ((), ())
    assert [call["action"] for call in faults.calls(service="eks")] == ["ListNodegroups", "ListFargateProfiles"]


def test_given_more_groups_than_a_cluster_usually_has_then_some_are_described_and_the_rest_is_told(
    eks: Any, cluster: str, pool: Executor, faults: LocalAws
) -> None:
    make_groups(eks, cluster, *(f"group-{number:02}" for number in range(33)))
    unread = ReadFailures()
    assert len(EksCompute(eks, cluster, unread).node_groups(pool)) == 30
    assert unread.lines == (f"node groups of {cluster}: 3 more than the 30 described",)


def test_given_that_one_cannot_be_described_then_it_is_told_and_the_others_are_there(
    eks: Any, cluster: str, pool: Executor, faults: LocalAws
) -> None:
    make_groups(eks, cluster, "a", "b")
    faults.inject("eks", "DescribeNodegroup", error="AccessDeniedException")
    unread = ReadFailures()
    assert len(EksCompute(eks, cluster, unread).node_groups(pool)) == 1
    [line] = unread.lines
    assert line.startswith("node group ")


def test_given_no_such_cluster_then_the_list_is_not_found(eks: Any, pool: Executor) -> None:
    with pytest.raises(NotFound, match="ListNodegroups"):
        EksCompute(eks, "nobodys", ReadFailures()).node_groups(pool)
