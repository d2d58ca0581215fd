"""The AWS half of a scenario: VPC, subnets, instances, the EKS cluster, and the ENIs that fill the subnets."""

from __future__ import annotations

import contextlib
import json
import secrets
from typing import TYPE_CHECKING, Any

from local.cluster.scenario_spec import NodeSpec, Scenario, SeededNetwork, SeededNode, Zone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_eks import EKSClient

ADDON_VERSION = "v1.23.1-eksbuild.1"
_ADDRESSES_PER_FILLER = 50
_SINGLE_FILLERS = 16


def seed_network(ec2: EC2Client, scenario: Scenario) -> SeededNetwork:
    """VPC with an internet gateway; per zone a subnet with a route table and a network ACL of its own."""
    vpc_id = scenario.vpc_id or _vpc(ec2, scenario)
    gateway = _gateway_of(ec2, vpc_id)
    for cidr in scenario.extra_cidrs:
        ec2.associate_vpc_cidr_block(VpcId=vpc_id, CidrBlock=cidr)
    group = ec2.create_security_group(
        GroupName=f"eks-cluster-sg-{scenario.cluster}",
        Description="EKS created security group applied to ENI that is attached to EKS Control Plane master nodes",
        VpcId=vpc_id,
        TagSpecifications=[
            _tags("security-group", f"eks-cluster-sg-{scenario.cluster}", {"aws:eks:cluster-name": scenario.cluster})
        ],
    )["GroupId"]
    rule: Any = {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": group}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    subnets = {zone.name: _subnet(ec2, scenario, vpc_id, zone) for zone in scenario.zones}
    return SeededNetwork(
        vpc_id=vpc_id,
        subnets=subnets,
        route_tables={z.name: _route_table(ec2, vpc_id, gateway, z, subnets[z.name]) for z in scenario.zones},
        network_acls={z.name: _network_acl(ec2, vpc_id, z, subnets[z.name]) for z in scenario.zones},
        security_group=group,
    )


def _vpc(ec2: EC2Client, scenario: Scenario) -> str:
    tags = _tags("vpc", scenario.cluster)
    vpc_id = str(ec2.create_vpc(CidrBlock=scenario.vpc_cidr, TagSpecifications=[tags])["Vpc"]["VpcId"])
    ec2.get_waiter("vpc_available").wait(VpcIds=[vpc_id])
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    return vpc_id


def _gateway_of(ec2: EC2Client, vpc_id: str) -> str:
    filters: Any = [{"Name": "attachment.vpc-id", "Values": [vpc_id]}]
    [gateway] = ec2.describe_internet_gateways(Filters=filters)["InternetGateways"]
    return str(gateway["InternetGatewayId"])


def seed_cluster(eks: EKSClient, scenario: Scenario, network: SeededNetwork, role_arn: str) -> None:
    """The EKS cluster, and the managed add-on if the scenario wants it. Returns when the cluster is active."""
    eks.create_cluster(
        name=scenario.cluster,
        version=scenario.kubernetes_version,
        roleArn=role_arn,
        resourcesVpcConfig={
            "subnetIds": list(network.subnets.values()),
            "securityGroupIds": [network.security_group],
        },
        accessConfig={"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
        tags=dict(scenario.endpoint_tags),
    )
    eks.get_waiter("cluster_active").wait(name=scenario.cluster, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    if scenario.managed_addon:
        configuration = {"env": dict(scenario.cni_environment)} if scenario.cni_environment else {}
        eks.create_addon(
            clusterName=scenario.cluster,
            addonName="vpc-cni",
            addonVersion=ADDON_VERSION,
            configurationValues=json.dumps(configuration),
        )


def ensure_cluster_role(iam: Any, cluster: str) -> str:
    """ARN of the role that the control plane assumes; `iam` is boto3's client."""
    return _ensure_role(iam, f"{cluster}-cluster", "eks.amazonaws.com")


def ensure_node_role(iam: Any, cluster: str) -> str:
    """ARN of the role that the nodes' instances assume; `iam` is boto3's client."""
    return _ensure_role(iam, f"{cluster}-node", "ec2.amazonaws.com")


def _ensure_role(iam: Any, name: str, service: str) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}],
    }
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(iam.get_role(RoleName=name)["Role"]["Arn"])


def node_image(ec2: EC2Client, scenario: Scenario) -> str:
    """Registers an image as the nodes' AMI; returns its id."""
    name = f"amazon-eks-node-{scenario.kubernetes_version}"
    return str(ec2.register_image(Name=name, Architecture="x86_64")["ImageId"])


def launch_node(ec2: EC2Client, scenario: Scenario, network: SeededNetwork, spec: NodeSpec) -> SeededNode:
    """An EC2 instance as a managed node group would launch it, with its pod addresses on the primary ENI."""
    owned = {f"kubernetes.io/cluster/{scenario.cluster}": "owned", "eks:cluster-name": scenario.cluster}
    launched = ec2.run_instances(
        ImageId=node_image(ec2, scenario),
        InstanceType=spec.instance_type,  # type: ignore[arg-type]
        MinCount=1,
        MaxCount=1,
        SubnetId=network.subnets[spec.zone],
        SecurityGroupIds=[network.security_group],
        TagSpecifications=[_tags("instance", f"{scenario.cluster}-node", owned)],
    )["Instances"][0]
    return launched_node(ec2, spec, launched["InstanceId"])


def launched_node(ec2: EC2Client, spec: NodeSpec, instance_id: str) -> SeededNode:
    """The node of an instance that was launched, with its pod addresses on the primary ENI."""
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id])
    instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    primary = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    if spec.pod_addresses:
        ec2.assign_private_ip_addresses(NetworkInterfaceId=primary, SecondaryPrivateIpAddressCount=spec.pod_addresses)
    address = instance["PrivateIpAddress"]
    region = spec.zone[:-1]
    name = f"ip-{address.replace('.', '-')}.{region}.compute.internal"
    return SeededNode(name, instance_id, spec.zone, address, spec.instance_type)


def pod_limit(ec2: EC2Client, instance_type: str) -> int:
    """The kubelet's max-pods of an EKS node: ENIs x (addresses - 1) + 2, as in eni-max-pods.txt."""
    kind: Any = instance_type
    limits = ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"][0]["NetworkInfo"]
    return limits["MaximumNetworkInterfaces"] * (limits["Ipv4AddressesPerInterface"] - 1) + 2


def occupy_eni_slots(ec2: EC2Client, scenario: Scenario, network: SeededNetwork, node: SeededNode) -> None:
    """Attach further ENIs, with nothing but their primary address, until the instance can take no more."""
    kind: Any = node.instance_type
    limit = ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"][0]["NetworkInfo"]
    for device in range(1, limit["MaximumNetworkInterfaces"]):
        eni = ec2.create_network_interface(
            SubnetId=network.subnets[node.zone],
            Groups=[network.security_group],
            Description=f"aws-K8S-{node.instance_id}",
            TagSpecifications=[_tags("network-interface", "", {"cluster.k8s.amazonaws.com/name": scenario.cluster})],
        )["NetworkInterface"]["NetworkInterfaceId"]
        attached = ec2.attach_network_interface(NetworkInterfaceId=eni, InstanceId=node.instance_id, DeviceIndex=device)
        # As ipamd has it: they end with their instance.
        ending: Any = {"AttachmentId": attached["AttachmentId"], "DeleteOnTermination": True}
        ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Attachment=ending)


def fill_subnets(ec2: EC2Client, network: SeededNetwork, cluster: str, free: int) -> None:
    """Take addresses with ENIs of the control plane, NAT and load balancers until `free` are left in each subnet."""
    for subnet_id in network.subnets.values():
        described = ec2.describe_subnets(SubnetIds=[subnet_id])["Subnets"][0]
        surplus = described["AvailableIpAddressCount"] - free
        sizes = [1] * min(surplus, _SINGLE_FILLERS)
        while (rest := surplus - sum(sizes)) > 0:
            sizes.append(min(rest, _ADDRESSES_PER_FILLER))
        for index, size in enumerate(sizes):
            secondary: Any = {"SecondaryPrivateIpAddressCount": size - 1} if size > 1 else {}
            description = _holder(cluster, index)
            ec2.create_network_interface(
                SubnetId=subnet_id, Groups=[network.security_group], Description=description, **secondary
            )


def _holder(cluster: str, index: int) -> str:
    descriptions = (
        f"Amazon EKS {cluster}",
        f"Interface for NAT Gateway nat-{secrets.token_hex(8)}0",
        f"ELB net/ingress-{index}/{secrets.token_hex(8)}",
    )
    return descriptions[index % len(descriptions)]


def _subnet(ec2: EC2Client, scenario: Scenario, vpc_id: str, zone: Zone) -> str:
    shared = {f"kubernetes.io/cluster/{scenario.cluster}": "shared", "kubernetes.io/role/internal-elb": "1"}
    tags = _tags("subnet", f"{scenario.cluster}-nodes-{zone.name}", shared)
    subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock=zone.cidr, AvailabilityZone=zone.name, TagSpecifications=[tags])
    return str(subnet["Subnet"]["SubnetId"])


def _route_table(ec2: EC2Client, vpc_id: str, gateway: str, zone: Zone, subnet_id: str) -> str:
    tags = _tags("route-table", f"nodes-{zone.name}")
    table = ec2.create_route_table(VpcId=vpc_id, TagSpecifications=[tags])["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet_id)
    return table


def _network_acl(ec2: EC2Client, vpc_id: str, zone: Zone, subnet_id: str) -> str:
    tags = _tags("network-acl", f"nodes-{zone.name}")
    acl = ec2.create_network_acl(VpcId=vpc_id, TagSpecifications=[tags])["NetworkAcl"]["NetworkAclId"]
    for egress in (False, True):
        ec2.create_network_acl_entry(
            NetworkAclId=acl, RuleNumber=100, Protocol="-1", RuleAction="allow", Egress=egress, CidrBlock="0.0.0.0/0"
        )
    filters: Any = [{"Name": "association.subnet-id", "Values": [subnet_id]}]
    associations = ec2.describe_network_acls(Filters=filters)["NetworkAcls"][0]["Associations"]
    current = next(item["NetworkAclAssociationId"] for item in associations if item["SubnetId"] == subnet_id)
    ec2.replace_network_acl_association(AssociationId=current, NetworkAclId=acl)
    return acl


def _tags(resource: str, name: str, more: Mapping[str, str] | None = None) -> Any:
    tags = ({"Name": name} if name else {}) | dict(more or {})
    return {"ResourceType": resource, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
