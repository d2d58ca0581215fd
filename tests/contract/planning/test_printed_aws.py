"""Every aws command that is printed for the corpus, run by the AWS CLI as it is printed, against the local AWS.

Each case's VPC, subnets, cluster and launchers are made first; ids in the command become those of what was made, and
placeholders a new subnet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ip_remediator.snapshot.model import Snapshot
from local.aws.client import LocalAws
from tests.contract.conftest import EksApi, unique
from tests.support.patience import within
from tests.support.waiting import eventually
from tests.unit.planning.test_printed_commands import raw_commands_in, told_by
from tests.unit.support.corpus import CASES, Case

pytestmark = pytest.mark.slow
CIDR = "10.99.0.0/16"
_ZONE = re.compile(r"(?:af|ap|ca|eu|me|sa|us)-(?:[a-z]+-)+\d([a-f])\b")
_NEW_SUBNET = re.compile(r"<subnet of [^>]*>|subnet-NEW[\w-]*|<subnet>")
_AWS = Path(sys.executable).parent


@dataclass
class World:
    """What a case speaks of, as it is in the local AWS. `ids`: by the case's id or name, the one here."""

    aws: LocalAws
    eks: EksApi
    facts: Snapshot
    ids: dict[str, str] = field(default_factory=dict)
    networks: int = 0

    def __post_init__(self) -> None:
        self.ec2, self.cluster = self.aws.client("ec2"), unique("shop")
        self._network()
        if self.facts.cluster.name:
            self._cluster()

    def zone(self, zone: str) -> str:
        return _ZONE.sub(lambda match: f"{self.aws.region}{min(match[1], 'c')}", zone)

    def _network(self) -> None:
        vpc = self.facts.vpc
        first, *further = [cidr.cidr for cidr in vpc.cidrs] if vpc and vpc.cidrs else [CIDR]
        made = self.ec2.create_vpc(CidrBlock=first)["Vpc"]["VpcId"]
        self.ids |= dict.fromkeys((vpc.id if vpc else "vpc-ID", "vpc-ID"), made)
        self.vpc = made
        for cidr in further:
            self._associate(cidr)
        for subnet in self.facts.subnets:
            self.ids[subnet.id] = self._subnet(subnet.cidr, subnet.zone)
            for reservation in subnet.reservations:
                kept = self.ec2.create_subnet_cidr_reservation(
                    SubnetId=self.ids[subnet.id], Cidr=reservation.cidr, ReservationType=reservation.kind
                )
                self.ids[reservation.id or ""] = kept["SubnetCidrReservation"]["SubnetCidrReservationId"]
        for route in vpc.routes if vpc else ():
            self._route(route.route_table, route.destination, route.target)

    def _associate(self, cidr: str) -> None:
        made = self.ec2.associate_vpc_cidr_block(VpcId=self.vpc, CidrBlock=cidr)["CidrBlockAssociation"]

        def states() -> dict[str, str]:
            [vpc] = self.ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"]
            blocks = vpc["CidrBlockAssociationSet"]
            return {block["AssociationId"]: block["CidrBlockState"]["State"] for block in blocks}

        eventually(f"{cidr} is associated", lambda: states().get(made["AssociationId"]) == "associated", seconds=10)

    def _subnet(self, cidr: str, zone: str) -> str:
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=self.zone(zone))
        return str(made["Subnet"]["SubnetId"])

    def _route(self, table: str, destination: str, target: str) -> None:
        if table not in self.ids:
            self.ids[table] = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        if target == "local":
            return
        if "gateway" not in self.__dict__:
            self.gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            self.ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.ec2.create_route(RouteTableId=self.ids[table], DestinationCidrBlock=destination, GatewayId=self.gateway)

    def new_subnet(self, placeholder: str) -> str:
        """In the zone that `placeholder` names, of a CIDR of its own, so that no case's subnet is in the way."""
        zones = [self.zone(match[0]) for match in _ZONE.finditer(placeholder)]
        if not self.networks:
            self._associate("100.127.0.0/16")
        self.networks += 1
        return self._subnet(f"100.127.{self.networks}.0/24", zones[0] if zones else f"{self.aws.region}a")

    def _cluster(self) -> None:
        cluster, eks = self.facts.cluster, self.eks.client
        self.ids[cluster.name] = self.cluster
        own = [self.ids[id_] for id_ in cluster.subnets or () if id_ in self.ids]
        subnets = own if len(own) > 1 else [self.new_subnet(f"eu-west-1{letter}") for letter in "abc"]
        network = {"subnetIds": subnets}
        eks.create_cluster(name=self.cluster, roleArn=self.eks.role, resourcesVpcConfig=network, version="1.33")
        if self.facts.cni.owner == "addon" and self.facts.cni.installed:
            eks.create_addon(clusterName=self.cluster, addonName="vpc-cni")
        for group in cluster.node_groups:
            name = self.ids.get(group.name, group.name)  # a case may call a subnet and a group the same
            eks.create_nodegroup(clusterName=self.cluster, nodegroupName=name, nodeRole=self.eks.role, subnets=subnets)
        for profile in cluster.fargate_profiles:
            eks.create_fargate_profile(
                clusterName=self.cluster,
                fargateProfileName=profile.name,
                podExecutionRoleArn=self.eks.role,
                subnets=subnets,
                selectors=[{"namespace": "default"}],
            )
        for scaled in cluster.auto_scaling_groups or ():
            self.ids[scaled.name] = self._auto_scaling_group(subnets)

    def _auto_scaling_group(self, subnets: list[str]) -> str:
        name = unique("asg")
        image = self.ec2.register_image(Name=name, Architecture="x86_64")["ImageId"]
        data = {"ImageId": image, "InstanceType": "t3.medium"}
        self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        self.aws.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name, MinSize=0, MaxSize=1, DesiredCapacity=0,
            VPCZoneIdentifier=",".join(subnets), LaunchTemplate={"LaunchTemplateName": name},
        )  # fmt: skip
        return name

    def as_here(self, command: str) -> str:
        """The command with the ids and names of what was made."""
        for template in set(re.findall(r"\blt-\w+", command)):
            self.ids.setdefault(template, self._launch_template())
        for table in set(re.findall(r"\brtb-\w+", command)) - self.ids.keys():
            self.ids[table] = self.ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        for gateway in set(re.findall(r"\bnat-\w+", command)):
            self.ids[gateway] = self._nat_gateway()
        command = command.replace("A-FREE-CIDR", "100.127.255.0/24")
        new = {match: self.new_subnet(match) for match in dict.fromkeys(_NEW_SUBNET.findall(command))}
        for placeholder, made in new.items():
            command = command.replace(placeholder, made)
        names = sorted((name for name in self.ids if name), key=len, reverse=True)
        pattern = re.compile("|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in names))
        command = pattern.sub(lambda match: self.ids[match[0]], command)
        return re.sub(r"arn:aws:iam::\d+:role/[\w/-]+", self.eks.role, self.zone(command))

    def _nat_gateway(self) -> str:
        address = self.ec2.allocate_address(Domain="vpc")["AllocationId"]
        made = self.ec2.create_nat_gateway(SubnetId=self.new_subnet(""), AllocationId=address)
        return str(made["NatGateway"]["NatGatewayId"])

    def _launch_template(self) -> str:
        name = unique("template")
        image = self.ec2.register_image(Name=name, Architecture="x86_64")["ImageId"]
        made = self.ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": image})
        return str(made["LaunchTemplate"]["LaunchTemplateId"])


def printed(case: Case) -> Iterator[str]:
    texts = told_by(case.snapshot, case.signals)
    commands = dict.fromkeys(command for text in texts for command in raw_commands_in(text))
    yield from (command for command in commands if command.startswith("aws "))


def run(aws: LocalAws, command: str) -> str | None:
    """What the shell says against it; None where it went well."""
    environment = {
        "PATH": f"{_AWS}:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_DEFAULT_REGION": aws.region,
        "AWS_PAGER": "",
        **{name.upper(): value for name, value in aws.credentials.items()},
    }
    ended = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=False, timeout=within(60)
    )
    return None if ended.returncode == 0 else ended.stderr.strip()


def kinds() -> dict[str, tuple[Case, str]]:
    """One printed command of each kind: the operation with the options that it has."""
    first: dict[str, tuple[Case, str]] = {}
    for case in CASES:
        for command in printed(case):
            outer = re.sub(r"\$\(.*?\)", "", command)
            kind = " ".join([*outer.split()[1:3], *sorted(set(re.findall(r" (--[a-z-]+)", outer)))])
            first.setdefault(kind, (case, command))
    return first


KINDS = kinds()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_given_a_printed_aws_command_when_it_is_run_as_printed_then_aws_takes_it(
    kind: str, aws: LocalAws, eks_api: EksApi
) -> None:
    case, command = KINDS[kind]
    here = World(aws, eks_api, case.snapshot).as_here(command)
    assert run(aws, here) is None, here


def test_given_a_command_that_aws_refuses_then_it_is_found(aws: LocalAws) -> None:
    assert run(aws, "aws eks describe-cluster --name nobody")
