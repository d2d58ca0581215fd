"""Which clusters are swept, and what is kept of their subnets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.common import tag_names
from ip_remediator.forecasting.forecast import KEEP_HOURS, History, hour_of
from ip_remediator.forecasting.onboarded_clusters import OnboardedClusters, to_be_swept
from ip_remediator.forecasting.subnet_history import Kept, SubnetHistories
from ip_remediator.snapshot.model_vpc import Subnet
from tests.contract.conftest import Clock, EksApi, unique
from tests.contract.forecasting.conftest import ROLE
from tests.contract.support.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws


class TestFleet:
    @pytest.fixture
    def clusters(self, eks_api: EksApi, clock: Clock) -> OnboardedClusters:
        return OnboardedClusters(eks_api.client, ROLE, clock)

    def test_given_clusters_with_and_without_an_access_entry_then_those_with_one_are_swept(
        self, clusters: OnboardedClusters, onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        ours, theirs = onboarded(vpc), onboarded(vpc, entry=False)
        assert {ours, theirs} <= set(clusters.names())
        described = clusters.described(ours)
        assert described is not None
        assert described["name"] == ours
        assert clusters.described(theirs) is None

    def test_given_the_tag_off_then_the_cluster_is_not_swept(
        self, clusters: OnboardedClusters, onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        assert clusters.described(onboarded(vpc, tags={tag_names.SWEEP: "off"})) is None
        assert clusters.described(onboarded(vpc, tags={tag_names.SWEEP: "on"})) is not None

    @pytest.mark.parametrize(
        ("fields", "expected"),
        [
            ({}, True),
            ({"status": "UPDATING"}, True),
            ({"status": "CREATING"}, False),
            ({"status": "DELETING"}, False),
            ({"endpoint": None}, False),
            ({"kubernetesNetworkConfig": {"ipFamily": "ipv4"}}, True),
            ({"kubernetesNetworkConfig": {"ipFamily": "ipv6"}}, False),
        ],
    )
    def test_only_clusters_that_are_there_and_give_ipv4_addresses_are_swept(
        self, fields: dict[str, Any], expected: bool
    ) -> None:
        assert to_be_swept({"status": "ACTIVE", "endpoint": "https://x", **fields}) is expected

    def test_given_a_cluster_that_is_gone_when_asked_for_then_it_is_not_swept(
        self, clusters: OnboardedClusters
    ) -> None:
        assert clusters.described(unique("gone")) is None

    def test_given_a_cluster_onboarded_later_then_it_is_known_a_quarter_of_an_hour_later(
        self,
        clusters: OnboardedClusters,
        onboarded: Callable[..., str],
        vpc: Vpc,
        eks_api: EksApi,
        clock: Clock,
        faults: LocalAws,
    ) -> None:
        name = onboarded(vpc, entry=False)
        assert clusters.described(name) is None
        eks_api.client.create_access_entry(clusterName=name, principalArn=ROLE, kubernetesGroups=["readers"])
        faults.control("DELETE", "/_local/calls")
        assert clusters.described(name) is None
        assert faults.control("GET", "/_local/calls")[1] == []
        clock.advance(minutes=16)
        assert clusters.described(name) is not None


class TestHistory:
    SUBNET = Subnet(id="subnet-0a", zone=f"{REGION}a", cidr="10.0.0.0/24")

    def test_given_a_history_when_written_and_read_then_it_is_the_same(self, table: Table, clock: Clock) -> None:
        histories, subnet = SubnetHistories(table), self.SUBNET.model_copy(update={"id": unique("subnet")})
        hour = hour_of(clock())
        minima = {hour - ago: (ago * 7919) % 65_532 for ago in range(KEEP_HOURS) if ago % 5}
        kept = Kept(History(minima), announced_at=clock(), announced_full_at=clock() + timedelta(hours=3))
        histories.write(subnet, kept)
        assert histories.read(subnet) == kept

    def test_given_two_full_weeks_then_the_item_is_one_write_unit(self, table: Table, clock: Clock) -> None:
        histories, subnet = SubnetHistories(table), self.SUBNET.model_copy(update={"id": unique("subnet")})
        minima = {hour_of(clock()) - ago: 65_531 for ago in range(KEEP_HOURS)}
        histories.write(subnet, Kept(History(minima), clock(), clock()))
        item = table.get_item(Key={"pk": f"SUBNET#{subnet.id}", "sk": "HISTORY"})["Item"]
        size = sum(len(name) + len(bytes(value) if name == "minima" else str(value)) for name, value in item.items())
        assert size < 1000
        assert item["ttl"] == hour_of(clock()) * 3600 + KEEP_HOURS * 3600

    def test_given_another_subnet_of_the_same_id_then_its_history_begins_anew(self, table: Table, clock: Clock) -> None:
        histories, subnet = SubnetHistories(table), self.SUBNET.model_copy(update={"id": unique("subnet")})
        assert histories.read(subnet) == Kept()
        histories.write(subnet, Kept(History({hour_of(clock()): 9})))
        assert histories.read(subnet.model_copy(update={"cidr": "10.9.0.0/22"})) == Kept()
