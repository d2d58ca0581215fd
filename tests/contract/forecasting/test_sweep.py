"""Sweeps over real APIs: metrics, events of pods that wait, and subnets that will be full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ip_remediator.forecasting.forecast import History, hour_of
from ip_remediator.forecasting.subnet_history import Kept
from ip_remediator.forecasting.sweep import FIRST_LOOK_BACK
from ip_remediator.signals.error_catalogue import Cause, Strength
from ip_remediator.signals.events import Source
from ip_remediator.snapshot.kubernetes import KubernetesReader
from ip_remediator.snapshot.model_vpc import Subnet
from tests.contract.conftest import Clock, unique
from tests.contract.forecasting.conftest import EVENTS, NO_ADDRESS, PODS, Site, blobs
from tests.contract.support.clusters import READER, Kubernetes
from tests.contract.support.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from local.aws.client import LocalAws


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
    [result] = blobs(capsys.readouterr().out, "LeakedAddressShare")
    assert (result["ClusterName"], result["SubnetId"]) == (name, vpc.subnets["a"])
    assert result["LeakedAddressShare"] == [33.3]
    assert result["FreeAddresses"] == [vpc.described(vpc.subnets["a"])["AvailableIpAddressCount"]]


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
            seen_at = (site.sweeper.clock() - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")
            kubernetes.admin.create(
                EVENTS,
                {
                    "metadata": {"name": unique(name), "namespace": "default"},
                    "reason": "FailedCreatePodSandBox",
                    "message": message,
                    "type": "Warning",
                    "firstTimestamp": seen_at,
                    "lastTimestamp": seen_at,
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
        result = {signal.pod: signal for signal in site.signals()}
        assert pods <= set(result)
        assert not {running, old} & set(result)
        for pod in pods:
            assert (result[pod].source, result[pod].cluster) == (Source.SWEEP, name)
            assert (result[pod].cause, result[pod].strength) == (Cause.NO_ADDRESS, Strength.WEAK)

    def test_given_more_pods_than_are_told_then_as_many_are_read_as_asked_for(
        self, site: Site, stuck: Callable[..., str], kubernetes: Kubernetes
    ) -> None:
        pods = {stuck() for _ in range(3)}
        since = site.sweeper.clock() - FIRST_LOOK_BACK
        facts = KubernetesReader(kubernetes.api(READER))
        assert len(facts.sandbox_failures(since, 2)) == 2
        result = {f"default/{event['involvedObject']['name']}" for event in facts.sandbox_failures(since, 100)}
        assert pods <= result

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
        pods = {signal.pod for signal in site.signals()}
        assert second in pods
        assert first not in pods

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
        assert kept.announced_at is not None
        assert kept.announced_full_at is not None
        site.sweeper.histories.write(subnet, replace(kept, announced_at=kept.announced_at - timedelta(hours=60)))
        assert site.sweep()["signals"] == 1

    def test_given_a_queue_that_refuses_a_forecast_when_swept_again_then_it_is_told(
        self,
        site: Site,
        clock: Clock,
        node: Callable[..., str],
        onboarded: Callable[..., str],
        vpc: Vpc,
        faults: LocalAws,
    ) -> None:
        name, id_ = onboarded(vpc), vpc.subnets["a"]
        node(vpc.instance())
        subnet = Subnet(id=id_, zone=f"{REGION}a", cidr="10.0.0.0/27")
        free = vpc.described(id_)["AvailableIpAddressCount"]
        site.sweeper.histories.write(subnet, Kept(losing(clock, free, 2)))
        faults.inject("sqs", "SendMessageBatch", error="AccessDenied")
        assert site.sweep() == {"swept": 0, "failed": [name], "signals": 0}
        clock.advance(minutes=5)
        assert site.sweep() == {"swept": 1, "failed": [], "signals": 1}

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
