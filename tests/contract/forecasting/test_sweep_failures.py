"""A hundred clusters at once, of which some fail: the others are swept, in time."""

from __future__ import annotations

import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.clients.kubernetes.api import KubeApi, KubernetesUnreachable
from tests.contract.forecasting.conftest import Site, blobs
from tests.contract.support.clusters import READER, STRANGER, Kubernetes
from tests.contract.support.vpcs import Vpc
from tests.support.patience import within

if TYPE_CHECKING:
    from local.aws.client import LocalAws


@pytest.fixture
def silent() -> Iterator[str]:
    """An endpoint that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.slow
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
    assert seconds < within(60)
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


def test_given_a_cluster_that_has_used_up_its_time_when_asked_again_then_no_request_is_sent(
    kubernetes: Kubernetes,
) -> None:
    api = KubeApi(kubernetes.url, kubernetes.ca_data, READER, seconds=0)
    with pytest.raises(KubernetesUnreachable, match="took too long"):
        api.get("/api/v1/nodes")
