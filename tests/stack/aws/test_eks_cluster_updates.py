"""EKS: the cluster's own subnets are replaced by an update, if they are what EKS asks for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.stack.aws.conftest import Maker, code_of, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

INVALID = "InvalidParameterException"


@dataclass
class Control:
    """A cluster in two zones, with one of EKS's own ENIs in each subnet."""

    aws: LocalAws
    name: str
    vpc: str
    subnets: list[str]

    @property
    def eks(self) -> Any:
        return self.aws.client("eks")

    @property
    def ec2(self) -> Any:
        return self.aws.client("ec2")

    def subnet(self, cidr: str, zone: str, vpc: str | None = None) -> str:
        made = self.ec2.create_subnet(
            VpcId=vpc or self.vpc, CidrBlock=cidr, AvailabilityZone=f"{self.aws.region}{zone}"
        )
        return str(made["Subnet"]["SubnetId"])

    def fill(self, subnet: str, free: int) -> None:
        [described] = self.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        more = described["AvailableIpAddressCount"] - free - 1
        self.ec2.create_network_interface(SubnetId=subnet, SecondaryPrivateIpAddressCount=more)

    def update(self, *subnets: str) -> str:
        """Code of the refusal; "" when it has begun."""
        return code_of(self.eks.update_cluster_config, name=self.name, resourcesVpcConfig={"subnetIds": list(subnets)})

    def start(self, *subnets: str) -> str:
        answer = self.eks.update_cluster_config(name=self.name, resourcesVpcConfig={"subnetIds": list(subnets)})
        return str(answer["update"]["id"])

    def described(self) -> dict[str, Any]:
        return dict(self.eks.describe_cluster(name=self.name)["cluster"])

    def status_of(self, update: str) -> dict[str, Any]:
        return dict(self.eks.describe_update(name=self.name, updateId=update)["update"])

    def own_interfaces(self, subnet: str) -> int:
        filters = [
            {"Name": "subnet-id", "Values": [subnet]},
            {"Name": "description", "Values": [f"Amazon EKS {self.name}"]},
        ]
        return len(self.ec2.describe_network_interfaces(Filters=filters)["NetworkInterfaces"])


@pytest.fixture
def control(aws: LocalAws, make: Maker) -> Iterator[Control]:
    vpc, name = aws.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"], unique("demo")
    made = Control(aws, name, vpc, [])
    made.subnets = [made.subnet("10.0.0.0/28", "a"), made.subnet("10.0.1.0/28", "b")]
    made.eks.create_cluster(name=name, roleArn=make.role(), resourcesVpcConfig={"subnetIds": made.subnets})
    for subnet in made.subnets:
        made.ec2.create_network_interface(SubnetId=subnet, Description=f"Amazon EKS {name}")
    with aws.settings(cluster_update_seconds=0.0):
        yield made


def test_a_subnet_is_replaced_by_one_of_its_zone_and_eks_moves_its_interface(control: Control) -> None:
    low, other = control.subnets
    fresh = control.subnet("10.0.2.0/28", "a")

    update = control.start(other, fresh)

    assert control.status_of(update)["status"] == "Successful"
    assert control.described()["resourcesVpcConfig"]["subnetIds"] == [other, fresh]
    assert [control.own_interfaces(subnet) for subnet in (low, other, fresh)] == [0, 1, 1]


def test_while_it_is_in_progress_another_one_is_refused_and_nothing_has_changed(control: Control) -> None:
    fresh = control.subnet("10.0.2.0/28", "a")
    with control.aws.settings(cluster_update_seconds=60.0):
        update = control.start(control.subnets[1], fresh)
    assert control.status_of(update)["status"] == "InProgress"
    assert control.update(fresh, *control.subnets) == "ResourceInUseException"
    described = control.described()
    assert (described["status"], described["resourcesVpcConfig"]["subnetIds"]) == ("UPDATING", control.subnets)


def test_what_eks_does_not_take_is_refused_at_once(control: Control) -> None:
    low, other = control.subnets
    vpc = control.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    assert control.update(low) == INVALID, "two at least"
    assert control.update(low, control.subnet("10.0.3.0/28", "a")) == INVALID, "a zone of the creation is missing"
    assert control.update(low, other, control.subnet("10.0.4.0/28", "c")) == INVALID, "another zone"
    assert control.update(low, control.subnet("10.9.0.0/28", "b", vpc)) == INVALID, "another VPC"
    assert control.update("subnet-0123456789abcdef0", other) == INVALID
    assert control.update(other, low) == INVALID, "nothing changes"


def test_a_new_subnet_with_too_few_addresses_ends_the_update_as_failed(control: Control) -> None:
    fresh = control.subnet("10.0.2.0/28", "a")
    control.fill(fresh, 4)
    ended = control.status_of(control.start(control.subnets[1], fresh))
    assert ended["status"] == "Failed"
    [error] = ended["errors"]
    assert error["errorCode"] == "InsufficientFreeAddresses"
    assert fresh in error["errorMessage"]
    assert control.described()["resourcesVpcConfig"]["subnetIds"] == control.subnets


def test_its_health_names_the_subnets_that_are_too_low_where_that_is_asked_for(control: Control) -> None:
    control.fill(control.subnets[0], 4)
    assert not (control.described().get("health") or {}).get("issues")
    with control.aws.settings(cluster_health_tells_addresses=True):
        [issue] = control.described()["health"]["issues"]
    assert (issue["code"], issue["resourceIds"]) == ("InsufficientFreeAddresses", control.subnets[:1])
