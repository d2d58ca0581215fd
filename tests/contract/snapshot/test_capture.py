"""A snapshot captured from AWS and Kubernetes APIs, and what is decided from it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from ip_remediator.clients.aws.eks import Eks
from ip_remediator.common.enums import Verdict
from ip_remediator.common.errors import PermissionDenied, RequestRefused, Throttled
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.snapshot.capture import capture
from ip_remediator.snapshot.core_reads import Sources
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.node_room.limits import free_slots
from local.cluster.manifests import aws_node
from tests.contract.conftest import Clock, EksApi, unique
from tests.contract.support.clusters import AWS_NODE, READER, Kubernetes
from tests.contract.support.vpcs import REGION, Vpc

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
        self.sources = Sources(
            self.eks, ec2, aws.client("service-quotas"), aws.client("autoscaling"), kubernetes.api(READER)
        )
        eks_api.create_cluster(self.name, self.vpc)
        labels = {
            "topology.kubernetes.io/zone": f"{REGION}a",
            "node.kubernetes.io/instance-type": "t3.medium",
        }
        node = {
            "metadata": {"name": self.node, "labels": labels},
            "spec": {"providerID": f"aws:///{REGION}a/{self.instance}"},
        }
        kubernetes.delete_nodes()
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
    result = site.capture()
    assert result.taken_at == site.clock.now
    assert result.account_id == ACCOUNT
    [node] = result.nodes
    assert (node.instance_id, node.default_card_enis, node.addresses_per_eni) == (site.instance, 3, 6)
    assert (node.primary_subnet, free_slots(result.cni, node)) == (site.vpc.subnets["a"], 2)
    assert [subnet.free for subnet in result.subnets] == [0]
    assert diagnose(result).verdict is Verdict.SUBNET_EXHAUSTED


def test_given_a_snapshot_then_it_is_a_plain_document(site: Site) -> None:
    result = site.capture()
    assert Snapshot.model_validate(json.loads(result.model_dump_json())) == result


def test_given_free_addresses_in_pieces_then_the_snapshot_proves_fragmentation_without_any_signal(roomy: Site) -> None:
    roomy.install_cni(ENABLE_PREFIX_DELEGATION="true")
    subnet = roomy.vpc.subnets["a"]
    for address in ("10.0.0.20", "10.0.0.40"):
        roomy.vpc.interface(subnet, PrivateIpAddress=address)
    roomy.stick()
    result = roomy.capture()
    assert [(subnet.free_prefixes, (subnet.free or 0) > 16) for subnet in result.subnets] == [(0, True)]
    assert diagnose(result).verdict is Verdict.PREFIX_FRAGMENTED


def test_given_a_limit_of_enis_that_the_cni_was_told_then_it_bounds_the_node(site: Site) -> None:
    site.install_cni(MAX_ENI="1")
    result = site.capture()
    assert free_slots(result.cni, result.nodes[0]) == 0


def test_given_an_eni_that_the_cni_left_behind_then_it_is_in_the_snapshot(site: Site) -> None:
    eni = site.vpc.interface(site.vpc.subnets["a"], Description="aws-K8S-i-0gone")
    assert [leaked.id for leaked in site.capture().leaked_interfaces] == [eni]


def test_given_a_capture_then_enis_are_read_in_one_listing(site: Site, faults: LocalAws) -> None:
    faults.control("DELETE", "/_local/calls")
    site.capture()
    assert len(faults.calls(service="ec2", action="DescribeNetworkInterfaces")) == 1


def test_given_a_capture_then_each_of_its_calls_is_made_once(site: Site, faults: LocalAws) -> None:
    """A VPC without transit gateway, prefix list or rule that names its ranges: nothing is asked twice."""
    faults.control("DELETE", "/_local/calls")
    site.capture()
    made = Counter(f"{call['service']}:{call['action']}" for call in faults.calls())
    assert made == dict.fromkeys(
        (
            "eks:DescribeCluster",
            "eks:DescribeAddon",
            "eks:ListNodegroups",
            "eks:ListFargateProfiles",
            "ec2:DescribeVpcs",
            "ec2:DescribeSubnets",
            "ec2:DescribeRouteTables",
            "ec2:DescribeNetworkAcls",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeInstanceTypes",
            "ec2:GetSubnetCidrReservations",  # for each subnet of the nodes that has free addresses: one here
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeTransitGatewayAttachments",
            "ec2:DescribeNatGateways",
            "ec2:DescribeVpcEndpoints",
            "servicequotas:ListServiceQuotas",
            "autoscaling:DescribeAutoScalingGroups",
        ),
        1,
    ) | {"ec2:DescribeVpcPeeringConnections": 2}  # as requester and as accepter


def test_given_prefix_delegation_then_the_reservations_of_the_nodes_subnets_are_read(
    roomy: Site, faults: LocalAws
) -> None:
    roomy.install_cni(ENABLE_PREFIX_DELEGATION="true")
    subnet, other = roomy.vpc.subnets["a"], roomy.vpc.subnet("10.0.9.0/24")
    for id_, cidr in ((subnet, "10.0.0.32/28"), (other, "10.0.9.32/28")):
        roomy.vpc.ec2.create_subnet_cidr_reservation(SubnetId=id_, Cidr=cidr, ReservationType="prefix")
    faults.control("DELETE", "/_local/calls")
    result = {one.id: [(kept.cidr, kept.kind) for kept in one.reservations] for one in roomy.capture().subnets}
    assert result == {subnet: [("10.0.0.32/28", "prefix")], other: []}
    assert len(faults.calls(service="ec2", action="GetSubnetCidrReservations")) == 1


def test_given_a_vpc_with_everything_then_the_snapshot_tells_it(site: Site) -> None:
    """Each fact is looked at closely elsewhere; here, that it arrives."""
    ec2, subnet = site.vpc.ec2, site.vpc.subnets["a"]
    role = {"nodeRole": "arn:aws:iam::000000000000:role/node"}
    site.eks.create_nodegroup(clusterName=site.name, nodegroupName="ng", subnets=[subnet], **role)
    site.eks.create_fargate_profile(
        clusterName=site.name, fargateProfileName="fp", podExecutionRoleArn=role["nodeRole"], subnets=[subnet]
    )
    site.vpc.interface(subnet, Description="Amazon EKS neighbour")
    gateway = ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]["NatGatewayId"]
    group = ec2.create_security_group(GroupName="db", Description="-", VpcId=site.vpc.id)["GroupId"]
    range_ = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[range_])
    result = site.capture()
    assert [(one.name, one.subnets, bool(one.auto_scaling_group)) for one in result.cluster.node_groups] == [
        ("ng", (subnet,), True)
    ]
    assert [(one.name, one.subnets) for one in result.cluster.fargate_profiles] == [("fp", (subnet,))]
    assert result.cluster.karpenter is False
    assert result.vpc
    assert result.vpc.clusters == tuple(sorted((site.name, "neighbour")))
    assert [one.id for one in result.vpc.nat_gateways] == [gateway]
    assert [one.id for one in result.vpc.security_groups or () if one.rules] == [group]
    assert result.vpc.network_address_units == 1 + 1 + 6  # the node, the control plane's ENI, the NAT gateway
    assert {acl.id for acl in result.vpc.network_acls} >= {one.network_acl for one in result.subnets}
    assert result.vpc.subnet_count == 1
    assert {one.owner_id for one in result.subnets} == {ACCOUNT}
    assert result.quotas.applied
    assert [eni.security_groups != () for node in result.nodes for eni in node.interfaces] == [True]
    assert result.unread == ()


def test_given_the_managed_addon_then_its_state_and_what_it_lets_be_configured_are_told(
    site: Site, faults: LocalAws
) -> None:
    site.eks.create_addon(
        clusterName=site.name, addonName="vpc-cni", configurationValues="env:\n  WARM_ENI_TARGET: '2'"
    )
    with faults.settings(addon_status="DEGRADED"):
        addon = site.capture().cni.addon
    assert addon is not None
    assert (addon.status, addon.lacks, addon.unreadable) == ("DEGRADED", (), None)
    assert addon.issues != ()


def test_given_a_node_of_karpenter_then_it_is_there_whatever_its_api_says(site: Site) -> None:
    labels = {"metadata": {"labels": {"karpenter.sh/nodepool": "default"}}}
    site.kubernetes.admin.patch(f"/api/v1/nodes/{site.node}", labels)
    assert site.capture().cluster.karpenter is True


OPTIONAL = {
    "ec2:DescribeSecurityGroups": "security groups",
    "ec2:DescribeTransitGatewayAttachments": "transit gateways",
    "ec2:DescribeNatGateways": "NAT gateways",
    "ec2:DescribeVpcEndpoints": "VPC endpoints",
    "eks:DescribeAddon": "whether the managed add-on vpc-cni owns aws-node",
    "eks:ListNodegroups": "node groups",
    "eks:ListFargateProfiles": "Fargate profiles",
    "servicequotas:ListServiceQuotas": "quotas, so AWS's defaults are assumed",
}


def test_given_that_whatever_can_be_done_without_is_refused_then_it_is_told_and_the_verdict_stands(
    site: Site, faults: LocalAws
) -> None:
    site.fill()
    site.stick()
    for call in OPTIONAL:
        service, action = call.split(":")
        code = "UnauthorizedOperation" if service == "ec2" else "AccessDeniedException"
        faults.inject(service, action, error=code, message="not allowed. Encoded authorization failure message: x")
    result = site.capture()
    assert diagnose(result).verdict is Verdict.SUBNET_EXHAUSTED
    assert [line.partition(": ")[0] for line in result.unread] == sorted(OPTIONAL.values())
    assert all(line.endswith("not allowed.") for line in result.unread)
    assert result.vpc
    assert result.vpc.security_groups is None
    assert not result.quotas.applied


@pytest.mark.parametrize("code", ["RequestLimitExceeded", "InternalError", "InvalidAction"])
def test_given_that_something_to_do_without_is_not_answered_then_it_is_told(
    site: Site, faults: LocalAws, code: str
) -> None:
    faults.inject("ec2", "DescribeNatGateways", error=code)
    [line] = site.capture().unread
    assert line.startswith("NAT gateways: ")
    assert code in line


REQUIRED = (
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeRouteTables",
    "ec2:DescribeNetworkAcls",
    "ec2:DescribeVpcPeeringConnections",
    "ec2:DescribeInstanceTypes",
)


@pytest.mark.parametrize("call", REQUIRED)
def test_given_that_something_a_plan_rests_on_is_refused_then_the_capture_fails(
    site: Site, faults: LocalAws, call: str
) -> None:
    service, action = call.split(":")
    faults.inject(service, action, error="AccessDeniedException")
    with pytest.raises(PermissionDenied, match="AccessDeniedException"):
        site.capture()


def test_given_one_of_the_calls_fails_then_the_capture_fails_with_its_error(site: Site, faults: LocalAws) -> None:
    faults.inject("ec2", "DescribeNetworkInterfaces", error="RequestLimitExceeded")
    with pytest.raises(Throttled):
        site.capture()


def test_given_a_cluster_without_vpc_then_it_is_refused(site: Site) -> None:
    with pytest.raises(RequestRefused, match="has no VPC of its own"):
        capture({"name": "edge"}, site.sources, site.clock, ACCOUNT)
