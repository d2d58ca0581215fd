"""EKS: managed node groups are updated one update after the other, renewed by it, and can be DEGRADED."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.support.groups import group_of_one
from tests.stack.aws.conftest import Maker, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

INVALID, IN_USE, NOT_FOUND = "InvalidParameterException", "ResourceInUseException", "ResourceNotFoundException"


@dataclass
class Groups:
    """A cluster with the node group "web" and the Auto Scaling group of one instance behind it."""

    aws: LocalAws
    cluster: str
    subnet: str

    @property
    def eks(self) -> Any:
        return self.aws.client("eks")

    def create(self, **more: Any) -> None:
        role = "arn:aws:iam::000000000000:role/node"
        named = {"clusterName": self.cluster, "nodegroupName": "web"}
        self.eks.create_nodegroup(**named, subnets=[self.subnet], nodeRole=role, **more)

    @property
    def named(self) -> dict[str, str]:
        return {"clusterName": self.cluster, "nodegroupName": "web"}

    def described(self) -> dict[str, Any]:
        return dict(self.eks.describe_nodegroup(**self.named)["nodegroup"])

    def update(self, update: str) -> dict[str, Any]:
        asked = {"name": self.cluster, "nodegroupName": "web", "updateId": update}
        return dict(self.eks.describe_update(**asked)["update"])

    def instances(self) -> list[str]:
        named = {"AutoScalingGroupNames": [self.cluster]}
        [group] = self.aws.client("autoscaling").describe_auto_scaling_groups(**named)["AutoScalingGroups"]
        return [instance["InstanceId"] for instance in group["Instances"]]


@pytest.fixture
def groups(aws: LocalAws, make: Maker) -> Iterator[Groups]:
    ec2, name = aws.client("ec2"), unique("demo")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    aws.client("eks").create_cluster(name=name, roleArn=make.role(), resourcesVpcConfig={"subnetIds": [subnet]})
    tags = {"eks:cluster-name": name, "eks:nodegroup-name": "web"}
    group_of_one(ec2, aws.client("autoscaling"), name, subnet, **tags)
    with aws.settings(node_group_update_seconds=0.0):
        yield Groups(aws, name, subnet)


def test_given_an_update_in_progress_then_another_one_is_refused_and_the_group_is_updating(groups: Groups) -> None:
    groups.create()
    with groups.aws.settings(node_group_update_seconds=60.0):
        update = groups.eks.update_nodegroup_config(**groups.named, scalingConfig={"minSize": 0})["update"]
    assert (update["status"], update["type"]) == ("InProgress", "ConfigUpdate")
    assert groups.described()["status"] == "UPDATING"
    for change in (groups.eks.update_nodegroup_config, groups.eks.update_nodegroup_version):
        assert code_of(change, **groups.named) == IN_USE
    listed = groups.eks.list_updates(name=groups.cluster, nodegroupName="web")["updateIds"]
    assert listed == [update["id"]]


def test_given_other_sizes_when_the_update_is_through_then_the_auto_scaling_group_has_them(groups: Groups) -> None:
    groups.create()
    sizes = {"minSize": 0, "maxSize": 3, "desiredSize": 2}
    update = groups.eks.update_nodegroup_config(**groups.named, scalingConfig=sizes)["update"]
    assert groups.update(update["id"])["status"] == "Successful"
    assert groups.described()["scalingConfig"] == sizes
    assert len(groups.instances()) == 2


def test_given_another_version_of_its_launch_template_then_each_node_is_replaced(groups: Groups) -> None:
    groups.create(launchTemplate={"id": "lt-1", "version": "1"})
    before = groups.instances()
    groups.eks.update_nodegroup_version(**groups.named, launchTemplate={"id": "lt-1", "version": "2"})
    assert groups.described()["launchTemplate"]["version"] == "2"
    assert len(groups.instances()) == 1
    assert not set(groups.instances()) & set(before)


def test_given_a_launch_template_that_is_not_its_own_then_it_is_refused(groups: Groups) -> None:
    groups.create()
    template = {"id": "lt-1", "version": "2"}
    assert code_of(groups.eks.update_nodegroup_version, **groups.named, launchTemplate=template) == INVALID
    groups.eks.delete_nodegroup(**groups.named)
    groups.create(launchTemplate={"id": "lt-2", "version": "1"})
    assert code_of(groups.eks.update_nodegroup_version, **groups.named, launchTemplate=template) == INVALID


def test_given_an_update_that_fails_then_it_says_why_and_the_group_is_active_as_before(groups: Groups) -> None:
    groups.create()
    before = groups.instances()
    with groups.aws.settings(node_group_updates_fail_by="PodEvictionFailure", node_group_update_seconds=0.0):
        update = groups.eks.update_nodegroup_version(**groups.named)["update"]
    described = groups.update(update["id"])
    assert (described["status"], described["errors"][0]["errorCode"]) == ("Failed", "PodEvictionFailure")
    assert (groups.described()["status"], groups.instances()) == ("ACTIVE", before)


def test_given_a_degraded_group_then_its_issue_is_described_and_it_can_be_changed(groups: Groups) -> None:
    groups.create()
    with groups.aws.settings(degraded_node_groups="web=AsgInstanceLaunchFailures", node_group_update_seconds=0.0):
        described = groups.described()
        assert described["status"] == "DEGRADED"
        assert [issue["code"] for issue in described["health"]["issues"]] == ["AsgInstanceLaunchFailures"]
        groups.eks.update_nodegroup_config(**groups.named, scalingConfig={"minSize": 0})


def test_given_a_group_made_anew_under_its_name_then_it_has_no_updates_of_the_former_one(groups: Groups) -> None:
    groups.create()
    update = groups.eks.update_nodegroup_config(**groups.named, scalingConfig={"minSize": 0})["update"]["id"]
    groups.eks.delete_nodegroup(**groups.named)
    asked = {"name": groups.cluster, "nodegroupName": "web"}
    assert code_of(groups.eks.list_updates, **asked) == NOT_FOUND
    groups.create()
    assert groups.eks.list_updates(**asked)["updateIds"] == []
    assert code_of(groups.eks.describe_update, **asked, updateId=update) == NOT_FOUND
