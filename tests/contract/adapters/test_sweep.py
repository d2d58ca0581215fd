"""Sweeps over real APIs: which clusters, what is kept of their subnets, a hundred at once of which one is broken."""

from __future__ import annotations

import json
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.adapters.ec2_facts import Ec2Facts
from ip_remediator.adapters.fleet import SWEEP_TAG, Fleet, to_be_swept
from ip_remediator.adapters.kube import KubeApi
from ip_remediator.adapters.kube_facts import KubeFacts
from ip_remediator.adapters.signal_queue import SignalQueue
from ip_remediator.adapters.subnet_history import Kept, SubnetHistories
from ip_remediator.domain.forecast import KEEP_HOURS, History, hour_of
from ip_remediator.domain.signals import Cause, Signal, Source, Strength, parse_eventbridge
from ip_remediator.domain.snapshot import Subnet
from ip_remediator.steps.sweeping import FIRST_LOOK_BACK, Sweeper
from tests.contract.adapters.clusters import READER, STRANGER, Kubernetes
from tests.contract.adapters.conftest import Clock, EksApi, unique
from tests.contract.adapters.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from local.aws.client import LocalAws

ROLE = "arn:aws:iam::000000000000:role/sweep"
NODES, PODS, EVENTS = "/api/v1/nodes", "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/events"
NO_ADDRESS = 'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'


@pytest.fixture
def onboarded(eks_api: EksApi) -> Iterator[Callable[..., str]]:
    """Makes clusters that have an access entry for the sweep; removes them, or they would be swept by other tests."""
    made = []

    def make(vpc: Vpc, *, entry: bool = True, tags: dict[str, str] | None = None, **options: Any) -> str:
        name = unique("swept")
        network = {"subnetIds": list(vpc.subnets.values())}
        eks_api.client.create_cluster(
            name=name,
            roleArn=eks_api.role,
            resourcesVpcConfig=network,
            version="1.33",
            accessConfig={"authenticationMode": "API"},
            tags=tags or {},
            **options,
        )
        made.append(name)
        if entry:
            eks_api.client.create_access_entry(clusterName=name, principalArn=ROLE, kubernetesGroups=["readers"])
        return name

    yield make
    for name in made:
        eks_api.client.delete_cluster(name=name)


@pytest.fixture
def vpc(ec2: Any) -> Vpc:
    return Vpc.create(ec2, zones="a", prefix=27)


class TestFleet:
    @pytest.fixture
    def fleet(self, eks_api: EksApi, clock: Clock) -> Fleet:
        return Fleet(eks_api.client, ROLE, clock)

    def test_given_clusters_with_and_without_an_access_entry_then_those_with_one_are_swept(
        self, fleet: Fleet, onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        ours, theirs = onboarded(vpc), onboarded(vpc, entry=False)
        assert {ours, theirs} <= set(fleet.names())
        described = fleet.described(ours)
        assert described is not None
        assert described["name"] == ours
        assert fleet.described(theirs) is None

    def test_given_the_tag_off_then_the_cluster_is_not_swept(
        self, fleet: Fleet, onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        assert fleet.described(onboarded(vpc, tags={SWEEP_TAG: "off"})) is None
        assert fleet.described(onboarded(vpc, tags={SWEEP_TAG: "on"})) is not None

    @pytest.mark.parametrize(
        ("said", "expected"),
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
        self, said: dict[str, Any], expected: bool
    ) -> None:
        assert to_be_swept({"status": "ACTIVE", "endpoint": "https://x", **said}) is expected

    def test_given_a_cluster_that_is_gone_when_asked_for_then_it_is_not_swept(self, fleet: Fleet) -> None:
        assert fleet.described(unique("gone")) is None

    def test_given_a_cluster_onboarded_later_then_it_is_known_a_quarter_of_an_hour_later(
        self, fleet: Fleet, onboarded: Callable[..., str], vpc: Vpc, eks_api: EksApi, clock: Clock, faults: LocalAws
    ) -> None:
        name = onboarded(vpc, entry=False)
        assert fleet.described(name) is None
        eks_api.client.create_access_entry(clusterName=name, principalArn=ROLE, kubernetesGroups=["readers"])
        faults.control("DELETE", "/_local/calls")
        assert fleet.described(name) is None
        assert faults.control("GET", "/_local/calls")[1] == []
        clock.advance(minutes=16)
        assert fleet.described(name) is not None


class TestHistory:
    SUBNET = Subnet(id="subnet-0a", zone=f"{REGION}a", cidr="10.0.0.0/24")

    def test_given_a_history_when_written_and_read_then_it_is_the_same(self, table: Table, clock: Clock) -> None:
        histories, subnet = SubnetHistories(table), self.SUBNET.model_copy(update={"id": unique("subnet")})
        hour = hour_of(clock())
        minima = {hour - ago: (ago * 7919) % 65_532 for ago in range(KEEP_HOURS) if ago % 5}
        kept = Kept(History(minima), told_at=clock(), told_full_at=clock() + timedelta(hours=3))
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


@dataclass
class Site:
    """A sweep of clusters that all have the same Kubernetes API; `broken`: other endpoints, by cluster."""

    kubernetes: Kubernetes
    sweeper: Sweeper
    queue: str
    sqs: Any
    broken: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def open_api(self, described: dict[str, Any], seconds: float) -> KubeApi:
        name = described["name"]
        host, token = self.broken.get(name, self.kubernetes.url), self.tokens.get(name, READER)
        return KubeApi(host, self.kubernetes.ca_data, token, min(seconds, 3))

    def sweep(self, seconds: float = 60) -> dict[str, Any]:
        return self.sweeper.sweep(seconds)

    def signals(self) -> list[Signal]:
        """What has arrived in the queue, read as ingest reads it."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                signal = parse_eventbridge(json.loads(message["Body"]), received_at=self.sweeper.clock())
                assert isinstance(signal, Signal), signal
                found.append(signal)
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def site(aws: LocalAws, eks_api: EksApi, ec2: Any, kubernetes: Kubernetes, table: Table, clock: Clock) -> Site:
    kubernetes.install_aws_node()
    url = aws.client("sqs").create_queue(QueueName=unique("signals"))["QueueUrl"]
    sweeper = Sweeper(
        fleet=Fleet(eks_api.client, ROLE, clock),
        ec2=lambda: Ec2Facts(ec2),
        open_api=lambda described, seconds: made.open_api(described, seconds),  # noqa: PLW0108 - `made` comes later
        histories=SubnetHistories(table),
        queue=SignalQueue(aws.client("sqs"), url),
        clock=clock,
        within=timedelta(hours=24),
        subnet_metrics=True,
    )
    made = Site(kubernetes, sweeper, url, aws.client("sqs"))
    return made


@pytest.fixture
def node(kubernetes: Kubernetes) -> Iterator[Callable[..., str]]:
    made = []

    def make(instance: str, letter: str = "a") -> str:
        name = unique("ip")
        labels = {"topology.kubernetes.io/zone": f"{REGION}{letter}"}
        spec = {"providerID": f"aws:///{REGION}{letter}/{instance}"}
        kubernetes.admin.create(NODES, {"metadata": {"name": name, "labels": labels}, "spec": spec})
        made.append(name)
        return name

    yield make
    for name in made:
        kubernetes.admin.delete(f"{NODES}/{name}")


def blobs(printed: str, metric: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if "_aws" in line and metric in line]


def test_given_a_leaked_eni_when_swept_then_its_share_of_the_subnet_is_a_metric(
    site: Site,
    onboarded: Callable[..., str],
    vpc: Vpc,
    node: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given a /27 (27 usable addresses) with a node and an ENI of nine addresses that the CNI left behind
    name = onboarded(vpc)
    node(vpc.instance())
    vpc.interface(vpc.subnets["a"], Description="aws-K8S-i-0123", SecondaryPrivateIpAddressCount=8)

    # when the cluster is swept
    assert site.sweep() == {"swept": 1, "failed": [], "signals": 0}

    # then a third of the addresses is leaked
    [found] = blobs(capsys.readouterr().out, "LeakedAddressShare")
    assert (found["ClusterName"], found["SubnetId"]) == (name, vpc.subnets["a"])
    assert found["LeakedAddressShare"] == [33.3]
    assert found["FreeAddresses"] == [vpc.described(vpc.subnets["a"])["AvailableIpAddressCount"]]


def test_given_only_cluster_metrics_when_swept_then_each_cluster_has_one(
    site: Site,
    onboarded: Callable[..., str],
    vpc: Vpc,
    node: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    onboarded(vpc)
    node(vpc.instance())
    site.sweeper.subnet_metrics = False
    site.sweep()
    printed = capsys.readouterr().out
    assert blobs(printed, "FreeAddresses") == []
    assert len(blobs(printed, "LeastFreeAddresses")) == 1


class TestEvents:
    @pytest.fixture
    def stuck(
        self, kubernetes: Kubernetes, site: Site, node: Callable[..., str], vpc: Vpc
    ) -> Iterator[Callable[..., str]]:
        host, made = node(vpc.instance()), []

        def make(minutes_ago: float = 1, message: str = NO_ADDRESS, *, phase: str = "Pending") -> str:
            name = unique("web")
            made.append(name)
            spec = {"containers": [{"name": "web", "image": "nginx"}], "nodeName": host}
            pod = kubernetes.admin.create(PODS, {"metadata": {"name": name}, "spec": spec})
            if phase != "Pending":
                kubernetes.admin.patch(f"{PODS}/{name}/status", {"status": {"phase": phase, "podIP": "10.0.0.9"}})
            seen = (site.sweeper.clock() - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
            kubernetes.admin.create(
                EVENTS,
                {
                    "metadata": {"name": unique(name), "namespace": "default"},
                    "reason": "FailedCreatePodSandBox",
                    "message": message,
                    "type": "Warning",
                    "firstTimestamp": seen,
                    "lastTimestamp": seen,
                    "source": {"component": "kubelet", "host": host},
                    "involvedObject": {
                        "kind": "Pod",
                        "namespace": "default",
                        "name": name,
                        "uid": pod["metadata"]["uid"],
                    },
                },
            )
            return f"default/{name}"

        yield make
        for name in made:
            kubernetes.admin.delete(f"{PODS}/{name}")

    def test_given_pods_that_wait_when_swept_then_each_is_a_signal_of_the_sweep(
        self, site: Site, stuck: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        name, pods = onboarded(vpc), {stuck(), stuck()}
        running, old = stuck(phase="Running"), stuck(minutes_ago=FIRST_LOOK_BACK.total_seconds() / 60 + 5)
        site.sweep()
        found = {signal.pod: signal for signal in site.signals()}
        assert pods <= set(found)
        assert not {running, old} & set(found)
        for pod in pods:
            assert (found[pod].source, found[pod].cluster) == (Source.SWEEP, name)
            assert (found[pod].cause, found[pod].strength) == (Cause.NO_ADDRESS, Strength.WEAK)

    def test_given_more_pods_than_are_told_then_as_many_are_read_as_asked_for(
        self, site: Site, stuck: Callable[..., str], kubernetes: Kubernetes
    ) -> None:
        pods = {stuck() for _ in range(3)}
        since = site.sweeper.clock() - FIRST_LOOK_BACK
        facts = KubeFacts(kubernetes.api(READER))
        assert len(facts.sandbox_failures(since, 2)) == 2
        found = {f"default/{event['involvedObject']['name']}" for event in facts.sandbox_failures(since, 100)}
        assert pods <= found

    def test_given_events_that_were_seen_when_swept_again_then_only_newer_ones_are_told(
        self, site: Site, clock: Clock, stuck: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        onboarded(vpc)
        first = stuck()
        site.sweep()
        assert first in {signal.pod for signal in site.signals()}
        clock.advance(minutes=5)
        second = stuck()
        site.sweep()
        told = {signal.pod for signal in site.signals()}
        assert second in told
        assert first not in told

    def test_given_a_cluster_that_did_not_answer_when_it_does_then_nothing_in_between_is_lost(
        self, site: Site, clock: Clock, stuck: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        name = onboarded(vpc)
        site.sweep()
        site.signals()
        site.broken[name] = "https://127.0.0.1:9"
        clock.advance(minutes=5)
        missed = stuck()
        assert site.sweep()["failed"] == [name]
        del site.broken[name]
        clock.advance(minutes=5)
        site.sweep()
        assert missed in {signal.pod for signal in site.signals()}


def losing(clock: Clock, free: int, per_hour: int) -> History:
    hour = hour_of(clock())
    return History({hour - ago: free + per_hour * ago for ago in range(1, 5 * 24)})


class TestForecasts:
    def test_given_a_subnet_that_will_be_full_tonight_when_swept_then_it_is_told_once_until_half_the_time_is_gone(
        self, site: Site, clock: Clock, node: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        # given a subnet with 20 addresses or so that loses two in an hour
        name, id_ = onboarded(vpc), vpc.subnets["a"]
        node(vpc.instance())
        free = vpc.described(id_)["AvailableIpAddressCount"]
        subnet = Subnet(id=id_, zone=f"{REGION}a", cidr="10.0.0.0/27")
        site.sweeper.histories.write(subnet, Kept(losing(clock, free, 2)))

        # when it is swept twice
        assert site.sweep()["signals"] == 1
        clock.advance(minutes=5)
        assert site.sweep()["signals"] == 0

        # then one strong signal names subnet, hour and rate
        [signal] = site.signals()
        assert (signal.source, signal.cluster, signal.zone) == (Source.SWEEP, name, f"{REGION}a")
        assert (signal.cause, signal.strength) == (Cause.SUBNET_FULL, Strength.STRONG)
        assert signal.excerpt == (
            f"{id_} (10.0.0.0/27) will be full at "
            f"{clock() + timedelta(hours=(free + 1) // 2, minutes=-clock().minute):%Y-%m-%d %H:%M} UTC "
            f"({free} free, -2/h)"
        )

        # and when half of the time is gone, it is told again
        kept = site.sweeper.histories.read(subnet)
        assert kept.told_at is not None
        assert kept.told_full_at is not None
        site.sweeper.histories.write(subnet, replace(kept, told_at=kept.told_at - timedelta(hours=60)))
        assert site.sweep()["signals"] == 1

    def test_given_two_clusters_in_one_subnet_when_it_will_be_full_then_both_are_told(
        self, site: Site, clock: Clock, node: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        names = {onboarded(vpc), onboarded(vpc)}
        node(vpc.instance())
        free = vpc.described(vpc.subnets["a"])["AvailableIpAddressCount"]
        subnet = Subnet(id=vpc.subnets["a"], zone=f"{REGION}a", cidr="10.0.0.0/27")
        site.sweeper.histories.write(subnet, Kept(losing(clock, free, 2)))
        site.sweep()
        assert {signal.cluster for signal in site.signals()} == names

    def test_given_a_subnet_that_will_be_full_next_week_when_swept_then_nothing_is_told(
        self, site: Site, clock: Clock, node: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        onboarded(vpc)
        node(vpc.instance())
        site.sweeper.within = timedelta(hours=2)
        free = vpc.described(vpc.subnets["a"])["AvailableIpAddressCount"]
        subnet = Subnet(id=vpc.subnets["a"], zone=f"{REGION}a", cidr="10.0.0.0/27")
        site.sweeper.histories.write(subnet, Kept(losing(clock, free, 1)))
        assert site.sweep()["signals"] == 0

    def test_given_sweeps_over_days_then_the_history_holds_the_lowest_of_each_hour(
        self, site: Site, clock: Clock, node: Callable[..., str], onboarded: Callable[..., str], vpc: Vpc
    ) -> None:
        onboarded(vpc)
        node(vpc.instance())
        subnet = Subnet(id=vpc.subnets["a"], zone=f"{REGION}a", cidr="10.0.0.0/27")
        hours, expected = hour_of(clock()), {}
        for hour in range(3):
            vpc.interface(subnet.id)
            site.sweep()
            expected[hours + hour] = vpc.described(subnet.id)["AvailableIpAddressCount"]
            clock.advance(hours=1)
        assert site.sweeper.histories.read(subnet).history.minima == expected


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


def test_given_a_hundred_clusters_of_which_some_fail_when_swept_then_the_others_are_swept_in_time(
    site: Site,
    onboarded: Callable[..., str],
    ec2: Any,
    node: Callable[..., str],
    silent: str,
    faults: LocalAws,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # given ten VPCs with ten clusters each, one unreachable, one that never answers, one that does not know us
    vpcs = [Vpc.create(ec2, zones="a", prefix=24) for _ in range(10)]
    names = [onboarded(vpc) for vpc in vpcs for _ in range(10)]
    for vpc in vpcs:
        node(vpc.instance())
    failing = names[3], names[44], names[99]
    site.broken = {failing[0]: "https://127.0.0.1:9", failing[1]: silent}
    site.tokens = {failing[2]: STRANGER}
    faults.control("DELETE", "/_local/calls")

    # when they are swept
    tracemalloc.start()
    began = time.monotonic()
    try:
        report = site.sweep(120)
        seconds, (_, peak) = time.monotonic() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    # then all but those are, within a fraction of the function's four minutes and of its memory
    assert report == {"swept": 97, "failed": sorted(failing), "signals": 0}
    assert seconds < 60
    assert peak < 100 * 2**20
    printed = capsys.readouterr().out
    assert {blob["ClusterName"] for blob in blobs(printed, "SweepFailures")} == set(failing)
    assert len(blobs(printed, "LeastFreeAddresses")) == 97

    # and each VPC was read once
    actions = [call["action"] for call in faults.control("GET", "/_local/calls")[1]]
    assert actions.count("DescribeSubnets") == actions.count("DescribeNetworkInterfaces") == 10


def test_given_a_vpc_that_cannot_be_read_when_swept_then_only_its_own_clusters_fail(
    site: Site,
    onboarded: Callable[..., str],
    ec2: Any,
    node: Callable[..., str],
    faults: LocalAws,
) -> None:
    vpcs = [Vpc.create(ec2, zones="a") for _ in range(2)]
    names = [{onboarded(vpc), onboarded(vpc)} for vpc in vpcs]
    node(vpcs[0].instance())
    faults.inject("ec2", "DescribeNetworkInterfaces", error="UnauthorizedOperation")
    report = site.sweep()
    assert report["swept"] == 2
    assert set(report["failed"]) in names


def test_given_a_sweep_that_runs_out_of_time_then_what_was_seen_is_told_and_the_rest_counted(
    site: Site,
    onboarded: Callable[..., str],
    vpc: Vpc,
    node: Callable[..., str],
    silent: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    node(vpc.instance())
    quick, slow = onboarded(vpc), onboarded(vpc)
    site.broken = {slow: silent}
    report = site.sweep(1)
    assert (report["swept"], report["failed"]) == (1, [slow])
    printed = capsys.readouterr().out
    assert [blob["ClusterName"] for blob in blobs(printed, "LeastFreeAddresses")] == [quick]
    [logged] = [record for record in caplog.records if record.message == "cluster not swept"]
    assert vars(logged)["reason"] == "no answer within the sweep's 1 s"
