"""The local AWS, started once as its users start it, and short ways to make what the tests need."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.aws.client import LocalAws
from tests.support import waiting
from tests.support.local_aws import local_aws

DEADLINE_SECONDS = 20.0


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("local-aws")) as started:
        yield started


@pytest.fixture
def no_faults(aws: LocalAws) -> Iterator[None]:
    aws.control("DELETE", "/_local/faults")
    aws.control("DELETE", "/_local/calls")
    yield
    aws.control("DELETE", "/_local/faults")


def unique(stem: str) -> str:
    return f"{stem}-{uuid4().hex[:8]}"


def code_of(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> str:
    """Code of the error that the call raises; "" when it raises none."""
    try:
        call(*arguments, **keywords)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return ""


def eventually(probe: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true value of the probe."""
    return waiting.eventually("it is true", probe, seconds=seconds)


def archive(**files: str) -> bytes:
    """A zip file with the given texts; "__" in a name is a folder."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, text in files.items():
            target.writestr(name.replace("__", "/") + ".py", text)
    return buffer.getvalue()


@dataclass
class Maker:
    """Makes roles, functions and state machines with names of their own."""

    aws: LocalAws

    def role(self, *statements: dict[str, Any]) -> str:
        iam, name = self.aws.client("iam"), unique("role")
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
        if statements:
            policy = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
        return str(arn)

    def session(self, *statements: dict[str, Any]) -> dict[str, str]:
        """Credentials of a role that may do what the statements allow."""
        answer = self.aws.client("sts").assume_role(RoleArn=self.role(*statements), RoleSessionName="test")
        credentials = answer["Credentials"]
        return {
            "aws_access_key_id": credentials["AccessKeyId"],
            "aws_secret_access_key": credentials["SecretAccessKey"],
            "aws_session_token": credentials["SessionToken"],
        }

    def function(self, code: str, *, role: str = "", layers: tuple[str, ...] = (), **options: Any) -> str:
        name = unique("fn")
        self.aws.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="app.handler",
            Role=role or self.role(),
            Code={"ZipFile": archive(app=code)},
            Layers=list(layers),
            **options,
        )
        return name

    def machine(self, definition: dict[str, Any], *statements: dict[str, Any]) -> str:
        machine = {"QueryLanguage": "JSONata", **definition}
        answer = self.aws.client("stepfunctions").create_state_machine(
            name=unique("sm"), definition=json.dumps(machine), roleArn=self.role(*statements)
        )
        return str(answer["stateMachineArn"])

    def run(self, machine: str, document: Any = None) -> dict[str, Any]:
        """The finished execution."""
        states = self.aws.client("stepfunctions")
        started = states.start_execution(stateMachineArn=machine, input=json.dumps(document or {}))["executionArn"]

        def ended() -> Any:
            execution = states.describe_execution(executionArn=started)
            return execution if execution["status"] != "RUNNING" else None

        return dict(eventually(ended))


ALLOW_INVOKE = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": "*"}


@pytest.fixture
def make(aws: LocalAws) -> Maker:
    return Maker(aws)


class Inbox:
    """A queue, and what arrives in it."""

    def __init__(self, aws: LocalAws) -> None:
        self.sqs = aws.client("sqs")
        self.url = self.sqs.create_queue(QueueName=unique("inbox"))["QueueUrl"]
        names = ["QueueArn"]
        self.arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]["QueueArn"]

    def next(self) -> dict[str, Any]:
        def receive() -> Any:
            return self.sqs.receive_message(QueueUrl=self.url).get("Messages")

        (message,) = eventually(receive)
        self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return dict(json.loads(message["Body"]))


@pytest.fixture
def inbox(aws: LocalAws) -> Inbox:
    return Inbox(aws)


def subscribe(aws: LocalAws, inbox: Inbox, pattern: dict[str, Any], bus: str = "default") -> None:
    events, rule = aws.client("events"), unique("rule")
    events.put_rule(Name=rule, EventPattern=json.dumps(pattern), EventBusName=bus)
    events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "inbox", "Arn": inbox.arn}])


MANAGED_TAG = "ip-remediator:managed"


def allow(*actions: str, **condition: Any) -> dict[str, Any]:
    """A statement that allows actions on everything, under a condition if one is given."""
    statement: dict[str, Any] = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return {**statement, "Condition": condition} if condition else statement


def tagged(kind: str, value: str) -> list[dict[str, Any]]:
    """TagSpecifications with MANAGED_TAG."""
    return [{"ResourceType": kind, "Tags": [{"Key": MANAGED_TAG, "Value": value}]}]


@pytest.fixture
def caller(aws: LocalAws, make: Maker) -> Any:
    """Makes a client of a role that may do what the statements allow."""

    def client(*statements: dict[str, Any], service: str = "ec2") -> Any:
        return aws.client(service, **make.session(*statements))

    return client


@dataclass
class Network:
    """A VPC of a test."""

    ec2: Any
    vpc: str

    def subnet(self, cidr: str, zone: str = "a", **options: Any) -> str:
        place = f"ap-northeast-2{zone}"
        made = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=place, **options)
        return str(made["Subnet"]["SubnetId"])

    def add(self, cidr: str) -> str:
        """Association id of a further CIDR, associated."""
        made = self.ec2.associate_vpc_cidr_block(VpcId=self.vpc, CidrBlock=cidr)["CidrBlockAssociation"]
        eventually(lambda: self.states().get(cidr) == "associated")
        return str(made["AssociationId"])

    def states(self) -> dict[str, str]:
        associations = self.ec2.describe_vpcs(VpcIds=[self.vpc])["Vpcs"][0]["CidrBlockAssociationSet"]
        return {one["CidrBlock"]: one["CidrBlockState"]["State"] for one in associations}

    def free(self, subnet: str) -> int:
        return int(self.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["AvailableIpAddressCount"])

    def interface(self, subnet: str, **options: Any) -> dict[str, Any]:
        return dict(self.ec2.create_network_interface(SubnetId=subnet, **options)["NetworkInterface"])

    def instance(self, subnet: str, kind: str = "t3.medium") -> str:
        made = self.ec2.run_instances(
            ImageId="ami-12345678", InstanceType=kind, MinCount=1, MaxCount=1, SubnetId=subnet
        )
        return str(made["Instances"][0]["InstanceId"])


@pytest.fixture
def network(aws: LocalAws) -> Network:
    ec2 = aws.client("ec2")
    return Network(ec2, ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])
