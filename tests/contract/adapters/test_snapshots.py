"""A snapshot captured from AWS and Kubernetes APIs, and what is decided from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.adapters.eks import Eks
from ip_remediator.adapters.errors import RequestRefused, Throttled
from ip_remediator.adapters.preflight_facts import Sources
from ip_remediator.adapters.snapshots import capture
from ip_remediator.domain.diagnosis import Verdict, diagnose
from ip_remediator.domain.snapshot import Snapshot
from local.cluster.manifests import aws_node
from tests.contract.adapters.clusters import AWS_NODE, READER, Kubernetes
from tests.contract.adapters.conftest import Clock, EksApi, unique
from tests.contract.adapters.vpcs import REGION, Vpc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.aws.client import LocalAws

ACCOUNT = "000000000000"
NO_ADDRESS = "add cmd: failed to assign an IP address to container"


class Site:
    """A cluster of one node in one zone, whose subnet is a /28 unless said otherwise."""

    def __init__(
        self, aws: LocalAws, eks_api: EksApi, ec2: Any, kubernetes: Kubernetes, clock: Clock, prefix: int = 28
    ) -> None:
        self.vpc = Vpc.create(ec2, zones="a", prefix=prefix)
        self.instance = self.vpc.instance("a")
        self.kubernetes, self.clock = kubernetes, clock
        self.name, self.node = unique("prod"), unique("ip")
        self.eks = eks_api.client
        self.sources = Sources(self.eks, ec2, aws.client("service-quotas"), kubernetes.api(READER))
        eks_api.create_cluster(self.name, self.vpc)
        labels = {
            "topology.kubernetes.io/zone": f"{REGION}a",
            "node.kubernetes.io/instance-type": "t3.medium",
        }
        node = {
            "metadata": {"name": self.node, "labels": labels},
            "spec": {"providerID": f"aws:///{REGION}a/{self.instance}"},
        }
        kubernetes.admin.create("/api/v1/nodes", node)

    def install_cni(self, **env: str) -> None:
        self.kubernetes.admin.delete(AWS_NODE)
        self.kubernetes.admin.create(AWS_NODE.rpartition("/")[0], aws_node(env))

    def fill(self, *, leave: int = 0) -> None:
        """Takes the subnet's addresses, but for `leave`."""
        subnet = self.vpc.subnets["a"]
        free = self.vpc.described(subnet)["AvailableIpAddressCount"]
        if free > leave:
            self.vpc.interface(subnet, SecondaryPrivateIpAddressCount=free - leave - 1)

    def stick(self) -> None:
        """A pod that waits on the node for an address."""
        api, name = self.kubernetes.admin, unique("nginx")
        spec = {"containers": [{"name": "c", "image": "nginx"}], "nodeName": self.node}
        made = api.create("/api/v1/namespaces/default/pods", {"metadata": {"name": name}, "spec": spec})
        event = {
            "metadata": {"name": unique("event")},
            "involvedObject": {"kind": "Pod", "namespace": "default", "name": name, "uid": made["metadata"]["uid"]},
            "reason": "FailedCreatePodSandBox",
            "type": "Warning",
            "message": NO_ADDRESS,
        }
        api.create("/api/v1/namespaces/default/events", event)

    def capture(self) -> Snapshot:
        return capture(Eks(self.eks, self.name).describe(), self.sources, self.clock, ACCOUNT)

    def remove(self) -> None:
        api = self.kubernetes.admin
        for pod in list(api.items("/api/v1/namespaces/default/pods")):
            api.delete(f"/api/v1/namespaces/default/pods/{pod['metadata']['name']}?gracePeriodSeconds=0")
        api.delete(f"/api/v1/nodes/{self.node}")


@pytest.fixture
def site(faults: LocalAws, eks_api: EksApi, ec2: Any, kubernetes: Kubernetes, clock: Clock) -> Iterator[Site]:
    made = Site(faults, eks_api, ec2, kubernetes, clock)
    made.install_cni()
    yield made
    made.remove()


@pytest.fixture
def roomy(faults: LocalAws, eks_api: EksApi, ec2: Any, kubernetes: Kubernetes, clock: Clock) -> Iterator[Site]:
    made = Site(faults, eks_api, ec2, kubernetes, clock, prefix=26)
    yield made
    made.remove()


def test_given_a_full_subnet_and_a_stuck_pod_then_the_snapshot_proves_it(site: Site) -> None:
    site.fill()
    site.stick()
    found = site.capture()
    assert found.taken_at == site.clock.now
    assert found.account_id == ACCOUNT
    [node] = found.nodes
    assert (node.instance_id, node.max_enis, node.addresses_per_eni) == (site.instance, 3, 6)
    assert (node.primary_subnet, node.free_eni_slots) == (site.vpc.subnets["a"], 2)
    assert [subnet.free for subnet in found.subnets] == [0]
    assert diagnose(found).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_a_snapshot_then_it_is_a_plain_document(site: Site) -> None:
    found = site.capture()
    assert Snapshot.model_validate(json.loads(found.model_dump_json())) == found


def test_given_free_addresses_in_pieces_then_the_snapshot_proves_fragmentation_without_any_signal(roomy: Site) -> None:
    roomy.install_cni(ENABLE_PREFIX_DELEGATION="true")
    subnet = roomy.vpc.subnets["a"]
    for address in ("10.0.0.20", "10.0.0.40"):
        roomy.vpc.interface(subnet, PrivateIpAddress=address)
    roomy.stick()
    found = roomy.capture()
    assert [(subnet.free_prefixes, (subnet.free or 0) > 16) for subnet in found.subnets] == [(0, True)]
    assert diagnose(found).verdict is Verdict.PREFIX_FRAGMENTED


def test_given_a_limit_of_enis_that_the_cni_was_told_then_it_bounds_the_node(site: Site) -> None:
    site.install_cni(MAX_ENI="1")
    assert site.capture().nodes[0].free_eni_slots == 0


def test_given_an_eni_that_the_cni_left_behind_then_it_is_in_the_snapshot(site: Site) -> None:
    eni = site.vpc.interface(site.vpc.subnets["a"], Description="aws-K8S-i-0gone")
    assert [leaked.id for leaked in site.capture().leaked_interfaces] == [eni]


def test_given_a_capture_then_enis_are_read_in_one_listing(site: Site, faults: LocalAws) -> None:
    faults.control("DELETE", "/_local/calls")
    site.capture()
    assert len(faults.calls(service="ec2", action="DescribeNetworkInterfaces")) == 1


def test_given_one_of_the_calls_fails_then_the_capture_fails_with_its_error(site: Site, faults: LocalAws) -> None:
    faults.inject("ec2", "DescribeNetworkInterfaces", error="RequestLimitExceeded")
    with pytest.raises(Throttled):
        site.capture()


def test_given_a_cluster_without_vpc_then_it_is_refused(site: Site) -> None:
    with pytest.raises(RequestRefused, match="has no VPC of its own"):
        capture({"name": "edge"}, site.sources, site.clock, ACCOUNT)
