"""Auto Scaling groups of the local AWS: they launch and end instances of the local EC2, and IAM sees the group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from local.aws.client import LocalAws
from tests.stack.aws.conftest import Maker, code_of, unique

TERMINATE = "autoscaling:TerminateInstanceInAutoScalingGroup"


@dataclass
class Group:
    """A group of one instance in a subnet of its own, tagged as EKS tags those of a managed node group."""

    aws: LocalAws
    name: str
    subnet: str

    @property
    def autoscaling(self) -> Any:
        return self.aws.client("autoscaling")

    def instances(self) -> list[str]:
        [group] = self.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"]
        return [instance["InstanceId"] for instance in group["Instances"]]

    def terminate(self, instance: str, client: Any = None, *, decrement: bool = False) -> str:
        """Code of the refusal; "" when it is done."""
        call = (client or self.autoscaling).terminate_instance_in_auto_scaling_group
        return code_of(call, InstanceId=instance, ShouldDecrementDesiredCapacity=decrement)

    def free(self) -> int:
        [subnet] = self.aws.client("ec2").describe_subnets(SubnetIds=[self.subnet])["Subnets"]
        return int(subnet["AvailableIpAddressCount"])


@pytest.fixture
def group(aws: LocalAws) -> Group:
    ec2, name = aws.client("ec2"), unique("eks-nodes")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28", AvailabilityZone=f"{aws.region}a")["Subnet"]
    image = ec2.register_image(Name="nodes", Architecture="x86_64")["ImageId"]
    template = {"ImageId": image, "InstanceType": "t3.medium"}
    ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=template)
    aws.client("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=0,
        MaxSize=2,
        DesiredCapacity=1,
        VPCZoneIdentifier=subnet["SubnetId"],
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        Tags=[{"Key": "eks:cluster-name", "Value": "shop", "PropagateAtLaunch": True}],
    )
    return Group(aws, name, subnet["SubnetId"])


def test_an_ended_instance_is_replaced_in_the_address_space_that_it_leaves(group: Group) -> None:
    # given a subnet without a free address
    [old] = group.instances()
    ec2 = group.aws.client("ec2")
    ec2.create_network_interface(SubnetId=group.subnet, SecondaryPrivateIpAddressCount=group.free() - 1)
    assert group.free() == 0

    # when the group's instance is ended
    assert group.terminate(old) == ""

    # then another one has its place, and it is described as terminated
    [new] = group.instances()
    assert new != old
    [ended] = ec2.describe_instances(InstanceIds=[old])["Reservations"][0]["Instances"]
    assert ended["State"]["Name"] == "terminated"
    assert group.autoscaling.describe_auto_scaling_instances(InstanceIds=[old])["AutoScalingInstances"] == []


def test_with_a_smaller_desired_capacity_none_takes_its_place(group: Group) -> None:
    [old] = group.instances()
    assert group.terminate(old, decrement=True) == ""
    assert group.instances() == []


def test_a_suspended_launch_comes_after_it_is_resumed(group: Group) -> None:
    [old] = group.instances()
    group.autoscaling.suspend_processes(AutoScalingGroupName=group.name, ScalingProcesses=["Launch"])
    assert group.terminate(old) == ""
    assert group.instances() == []
    group.autoscaling.resume_processes(AutoScalingGroupName=group.name, ScalingProcesses=["Launch"])
    assert len(group.instances()) == 1


def test_an_instance_of_no_group_is_refused(group: Group) -> None:
    assert group.terminate("i-0123456789abcdef0") == "ValidationError"


@pytest.mark.parametrize(("key", "allowed"), [("eks:cluster-name", True), ("eks-ip-remediator:cluster", False)])
def test_a_policy_sees_the_tags_of_the_instances_group(group: Group, make: Maker, key: str, allowed: bool) -> None:
    arn = f"arn:aws:autoscaling:{group.aws.region}:000000000000:autoScalingGroup:*"
    condition = {"StringLike": {f"aws:ResourceTag/{key}": "?*"}}
    statement = {"Effect": "Allow", "Action": TERMINATE, "Resource": arn, "Condition": condition}
    client = group.aws.client("autoscaling", **make.session(statement))
    [instance] = group.instances()
    assert group.terminate(instance, client) == ("" if allowed else "AccessDenied")


def further_subnet(group: Group, cidr: str = "10.0.1.0/28") -> str:
    ec2 = group.aws.client("ec2")
    [present] = ec2.describe_subnets(SubnetIds=[group.subnet])["Subnets"]
    made = ec2.create_subnet(VpcId=present["VpcId"], CidrBlock=cidr, AvailabilityZone=present["AvailabilityZone"])
    return str(made["Subnet"]["SubnetId"])


def fill(group: Group) -> None:
    group.aws.client("ec2").create_network_interface(
        SubnetId=group.subnet, SecondaryPrivateIpAddressCount=group.free() - 1
    )


def homes(group: Group) -> set[str]:
    ec2 = group.aws.client("ec2")
    reservations = ec2.describe_instances(InstanceIds=group.instances())["Reservations"]
    return {one["SubnetId"] for reservation in reservations for one in reservation["Instances"]}


def test_a_group_in_a_full_subnet_launches_once_it_is_given_a_further_one(group: Group) -> None:
    # given a size that the group's only subnet has no address for: the call succeeds all the same
    fill(group)
    group.autoscaling.set_desired_capacity(AutoScalingGroupName=group.name, DesiredCapacity=2)
    assert len(group.instances()) == 1

    # when the group gets another subnet, and nothing else of it is named
    further = further_subnet(group)
    both = f"{group.subnet},{further}"
    group.autoscaling.update_auto_scaling_group(AutoScalingGroupName=group.name, VPCZoneIdentifier=both)

    # then the instance that lacked is launched there, and the group is as it was but for its subnets
    assert len(group.instances()) == 2
    assert homes(group) == {group.subnet, further}
    [described] = group.autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[group.name])[
        "AutoScalingGroups"
    ]
    assert (described["VPCZoneIdentifier"], described["DesiredCapacity"], described["MaxSize"]) == (both, 2, 2)
    assert described["LaunchTemplate"]["LaunchTemplateName"] == group.name
    assert described["AvailabilityZones"] == [f"{group.aws.region}a"]


def test_subnets_of_two_vpcs_are_refused(group: Group) -> None:
    ec2 = group.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    zone = f"{group.aws.region}a"
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/28", AvailabilityZone=zone)["Subnet"]["SubnetId"]
    update = group.autoscaling.update_auto_scaling_group
    wanted = f"{group.subnet},{other}"
    assert code_of(update, AutoScalingGroupName=group.name, VPCZoneIdentifier=wanted) == "ValidationError"


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [({}, ""), ({"MinSize": 0}, "AccessDenied"), ({"MaxSize": 9}, "AccessDenied")],
    ids=["subnets alone", "the least size too", "the largest size too"],
)
def test_a_policy_sees_which_fields_an_update_sets(
    group: Group, make: Maker, fields: dict[str, Any], refusal: str
) -> None:
    arn = f"arn:aws:autoscaling:{group.aws.region}:000000000000:autoScalingGroup:*"
    others = {"autoscaling:MinSize": "true", "autoscaling:MaxSize": "true"}
    condition = {
        "StringLike": {"aws:ResourceTag/eks:cluster-name": "shop"},
        "Null": {"autoscaling:VPCZoneIdentifiers": "false", **others},
    }
    statement = {
        "Effect": "Allow",
        "Action": "autoscaling:UpdateAutoScalingGroup",
        "Resource": arn,
        "Condition": condition,
    }
    update = group.aws.client("autoscaling", **make.session(statement)).update_auto_scaling_group
    wanted = f"{group.subnet},{further_subnet(group)}"
    assert code_of(update, AutoScalingGroupName=group.name, VPCZoneIdentifier=wanted, **fields) == refusal
