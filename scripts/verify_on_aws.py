"""What the owner of an AWS account should check first: ten beliefs of docs/beliefs.md, tried on the account itself.

python scripts/verify_on_aws.py --cluster NAME [--stack S] [--slack-url URL] [--write --vpc VPC]

Without --write it only reads. With it, it adds a CG-NAT CIDR and a subnet to a scratch VPC, and removes both again. It
prints PASS, FAIL or SKIP for each belief, and ends with 1 if one failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.exceptions import ClientError

from ip_remediator.clients.kubernetes.connect import open_cluster
from ip_remediator.snapshot.node_room.instance_limits import instance_limits
from ip_remediator.snapshot.preflight.quotas import CODES
from ip_remediator_cli.aws import Aws, find_deployment
from ip_remediator_cli.checks.finding import Health
from ip_remediator_cli.checks.stack import StackDoctor

_VARIABLES = ("AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENI_CONFIG_LABEL_DEF", "WARM_ENI_TARGET")
_SCRATCH = "100.127.255.0/28"
_TAG = {"Key": "eks-ip-remediator:verification", "Value": "scratch"}
_VISIBLE_SECONDS = 60.0


class Skipped(Exception):
    """The check needs something that was not given; the message says what."""


@dataclass(frozen=True)
class Checks:
    """The checks of one account, with their clients."""

    arguments: argparse.Namespace
    aws: Aws

    def all(self) -> dict[str, Callable[[], str]]:
        """The checks by their titles, in order."""
        return {
            "1 functions and state machines are there, none is Inactive": self._functions,
            "2 the Slack endpoint takes signed requests only": self._endpoint,
            "3 the schema of vpc-cni is closed, with strings": self._schema,
            "4 an absent add-on is ResourceNotFoundException": self._absent_addon,
            "5 the nodes' instance types have the limits of our data": self._limits,
            "6 quotas are read with our codes": self._quotas,
            "7 the cluster's API takes our token, over TLS": self._kubernetes,
            "8 a CG-NAT CIDR can be added to the VPC": self._cidr,
            "9 a new subnet is visible to the next call": self._subnet,
            "10 a CIDR with a subnet in it is refused to go": self._in_use,
        }

    def _functions(self) -> str:
        functions = self.aws.client("lambda").get_paginator("list_functions").paginate()
        ours = [
            one
            for page in functions
            for one in page["Functions"]
            if one["FunctionName"].startswith(f"{self.arguments.stack}-")
        ]
        inactive = [one["FunctionName"] for one in ours if one.get("State", "Active") == "Inactive"]
        _require(bool(ours), "no function of the stack")
        _require(not inactive, f"inactive: {', '.join(inactive)}")
        finding = self._doctor().state_machines()
        _require(finding.health is Health.OK, finding.detail)
        return f"{len(ours)} functions"

    def _endpoint(self) -> str:
        finding = self._doctor().slack_endpoint()
        _require(finding.health is Health.OK, finding.detail)
        return finding.detail

    def _doctor(self) -> StackDoctor:
        return StackDoctor(self.aws, find_deployment(self.aws, self.arguments.stack), self.arguments.slack_url)

    def _schema(self) -> str:
        eks = self.aws.client("eks")
        addon = eks.describe_addon(clusterName=self.arguments.cluster, addonName="vpc-cni")["addon"]
        answer = eks.describe_addon_configuration(addonName="vpc-cni", addonVersion=addon["addonVersion"])
        schema = json.loads(answer["configurationSchema"])
        env = _environment(schema)
        _require(env.get("additionalProperties") is False, "env takes any variable")
        missing = [name for name in _VARIABLES if name not in env.get("properties", {})]
        _require(not missing, f"the schema does not know {', '.join(missing)}")
        return str(addon["addonVersion"])

    def _absent_addon(self) -> str:
        try:
            self.aws.client("eks").describe_addon(clusterName=self.arguments.cluster, addonName="coredns-absent")
        except ClientError as error:
            code = error.response["Error"]["Code"]
            _require(code == "ResourceNotFoundException", code)
            return code
        raise AssertionError("an add-on of that name exists")

    def _limits(self) -> str:
        ec2 = self.aws.client("ec2")
        filters = [{"Name": f"tag:kubernetes.io/cluster/{self.arguments.cluster}", "Values": ["owned", "shared"]}]
        pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
        types = {
            one["InstanceType"]
            for page in pages
            for reservation in page["Reservations"]
            for one in reservation["Instances"]
        }
        if not types:
            raise Skipped("no instance bears the cluster's tag")
        for described in ec2.describe_instance_types(InstanceTypes=sorted(types))["InstanceTypes"]:
            _compare(described)
        return ", ".join(sorted(types))

    def _quotas(self) -> str:
        answer = self.aws.client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode="vpc")
        codes = {one["QuotaCode"] for page in answer for one in page["Quotas"]}
        missing = sorted(set(CODES) - codes)
        _require(not missing, f"not listed: {', '.join(missing)}")
        return f"{len(CODES)} codes"

    def _kubernetes(self) -> str:
        opened = open_cluster(self.arguments.cluster, self.aws.client("eks"), self.aws.credentials())
        return str(opened.kube.get("/version")["gitVersion"])

    def _cidr(self) -> str:
        with self._scratch_cidr():
            return f"{_SCRATCH} added and removed"

    def _subnet(self) -> str:
        with self._scratch_cidr(), self._scratch_subnet() as (subnet, seconds):
            return f"{subnet} after {seconds:.1f} s"

    def _in_use(self) -> str:
        ec2 = self.aws.client("ec2")
        with self._scratch_cidr() as association, self._scratch_subnet():
            try:
                ec2.disassociate_vpc_cidr_block(AssociationId=association)
            except ClientError as error:
                code = error.response["Error"]["Code"]
                _require(code == "InvalidCidrBlock.InUse", code)
                return code
        raise AssertionError("EC2 removed the CIDR although a subnet was in it")

    @contextmanager
    def _scratch_cidr(self) -> Iterator[str]:
        if not (self.arguments.write and self.arguments.vpc):
            raise Skipped("needs --write and --vpc")
        ec2 = self.aws.client("ec2")
        made = ec2.associate_vpc_cidr_block(VpcId=self.arguments.vpc, CidrBlock=_SCRATCH)["CidrBlockAssociation"]
        try:
            _until(lambda: self._state(made["AssociationId"]) == "associated")
            yield made["AssociationId"]
        finally:
            _until(lambda: _done(ec2.disassociate_vpc_cidr_block, AssociationId=made["AssociationId"]))

    def _state(self, association: str) -> str:
        vpc = self.aws.client("ec2").describe_vpcs(VpcIds=[self.arguments.vpc])["Vpcs"][0]
        states = {one["AssociationId"]: one["CidrBlockState"]["State"] for one in vpc["CidrBlockAssociationSet"]}
        return str(states.get(association))

    @contextmanager
    def _scratch_subnet(self) -> Iterator[tuple[str, float]]:
        ec2, tags = self.aws.client("ec2"), [{"ResourceType": "subnet", "Tags": [_TAG]}]
        made = ec2.create_subnet(VpcId=self.arguments.vpc, CidrBlock=_SCRATCH, TagSpecifications=tags)["Subnet"]
        start = time.monotonic()
        try:
            _until(lambda: _done(ec2.describe_subnets, SubnetIds=[made["SubnetId"]]))
            yield made["SubnetId"], time.monotonic() - start
        finally:
            _until(lambda: _done(ec2.delete_subnet, SubnetId=made["SubnetId"]))


def _compare(described: Any) -> None:
    """The default network card's ENIs and their addresses, as EC2 says and as our data say."""
    kind, network = described["InstanceType"], described["NetworkInfo"]
    card = network["NetworkCards"][network["DefaultNetworkCardIndex"]]
    answered = (card["MaximumNetworkInterfaces"], network["Ipv4AddressesPerInterface"])
    recorded = instance_limits(kind)
    if recorded is None:
        raise AssertionError(f"{kind} is not in our data")
    _require(answered == (recorded.enis, recorded.addresses), f"{kind}: EC2 says {answered}, our data {recorded}")


def _environment(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of the property env, which stands at the top or behind references to definitions."""
    top = _followed(schema, schema)
    return _followed(top.get("properties", {}).get("env", {}), schema)


def _followed(part: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = str(part.get("$ref", "")).removeprefix("#/definitions/")
    return dict(document["definitions"][name]) if name else part


def _done(call: Callable[..., Any], **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("InvalidSubnetID.NotFound", "InvalidCidrBlock.InUse"):
            return False
        raise
    return True


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while not reached():
        _require(time.monotonic() < deadline, f"not within {_VISIBLE_SECONDS:.0f} s")
        time.sleep(1)


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise AssertionError(otherwise)


def main() -> int:
    """Runs the checks, prints what they found, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--stack", default="eks-ip-remediator")
    parser.add_argument("--slack-url", help="where it is not the stack's output")
    parser.add_argument("--write", action="store_true", help="make and remove a CIDR and a subnet in --vpc")
    parser.add_argument("--vpc", help="a scratch VPC, for --write")
    parser.add_argument("--region")
    parser.add_argument("--profile")
    arguments = parser.parse_args()
    boto3.setup_default_session(region_name=arguments.region, profile_name=arguments.profile)
    failed = False
    for name, check in Checks(arguments, Aws(arguments)).all().items():
        verdict, detail = _tried(check)
        failed = failed or verdict == "FAIL"
        print(f"{verdict}  {name}: {detail}", flush=True)
    return 1 if failed else 0


def _tried(check: Callable[[], str]) -> tuple[str, str]:
    try:
        return "PASS", check()
    except Skipped as reason:
        return "SKIP", str(reason)
    except Exception as error:  # one belief that fails, however, leaves the others to be tried
        return "FAIL", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
