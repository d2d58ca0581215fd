"""Worlds in which a plan other than a new CIDR with custom networking is the right one."""

from __future__ import annotations

from local.cluster.scenario_spec import Scenario, Zone
from tests.integration.support.patient import ZONES, Patient

DISCOVERY = "kubernetes.io/role/cni"
POD_SUBNET = "eks-ip-remediator:pod-subnet"
# Room for the ENIs that the CNI left behind: a new ENI of a t3.medium takes six addresses at once.
ROOMY = Scenario(zones=(Zone(ZONES[0], "10.0.0.0/27"), Zone(ZONES[1], "10.0.1.0/27")))
LEAKED = 8


def tags_of(cluster: Patient, subnet: str) -> dict[str, str]:
    tags: dict[str, str] = cluster.subnets()[subnet]["tags"]
    return tags


def theirs(cluster: Patient, **tags: str) -> dict[str, str]:
    """A roomy subnet in each zone, made by the operator; id by zone."""
    ec2 = cluster.lab.aws("ec2")
    made = {}
    for number, zone in enumerate(ZONES):
        listed = [{"Key": key, "Value": value} for key, value in {"Name": f"spare-{zone}", **tags}.items()]
        made[zone] = ec2.create_subnet(
            VpcId=cluster.vpc_id,
            CidrBlock=f"10.0.{16 + number}.0/24",
            AvailabilityZone=zone,
            TagSpecifications=[{"ResourceType": "subnet", "Tags": listed}],
        )["Subnet"]["SubnetId"]
    return made


def leak(cluster: Patient, subnet: str, count: int) -> list[str]:
    """ENIs that others hold become such that the CNI left behind; nothing else gets their addresses meanwhile."""
    ec2 = cluster.lab.aws("ec2")
    fillers = [
        eni["NetworkInterfaceId"]
        for eni in cluster.interfaces_in(subnet)
        if eni["Status"] == "available" and len(eni["PrivateIpAddresses"]) == 1
    ][:count]
    for eni in fillers:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Description={"Value": "aws-K8S-i-0123456789"})
    ec2.create_tags(Resources=fillers, Tags=[{"Key": "cluster.k8s.amazonaws.com/name", "Value": cluster.name}])
    return fillers
