"""The caller's AWS: clients of one session, and where the project is deployed. No call is made before it is needed."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, NoCredentialsError

from ip_remediator.clients.aws.errors import aws_call
from ip_remediator.clients.aws.session import plain_table
from ip_remediator.common.errors import RequestRefused
from ip_remediator_cli.errors import BadInput

_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 4},
    user_agent_extra="ip-remediator",
)


class Aws:
    """Clients for --region and --profile; without them, what the AWS CLI would use.

    Raises (every method): botocore's errors of configuration, see `explain`.
    """

    def __init__(self, arguments: Namespace) -> None:
        # botocore reads AWS_DEFAULT_REGION only; the AWS CLI and every other SDK read AWS_REGION first.
        # https://docs.aws.amazon.com/sdkref/latest/guide/feature-region.html
        region = arguments.region or os.environ.get("AWS_REGION")
        self._session = boto3.session.Session(profile_name=arguments.profile, region_name=region)

    def client(self, service: str) -> Any:
        """A boto3 client with the region, profile and retries of this command."""
        try:
            return self._session.client(service, config=_CONFIG)  # type: ignore[call-overload]
        except BotoCoreError:
            raise
        except ValueError as error:  # botocore's only one without a class of its own: an endpoint that is no URL
            raise BadInput(
                "AWS_ENDPOINT_URL, or endpoint_url of the profile, is not a URL: correct or unset it"
            ) from error

    def table(self, name: str) -> Any:
        """A DynamoDB table."""
        return plain_table(self.client("dynamodb"), name)

    def credentials(self) -> Credentials:
        """For signing a cluster's token."""
        resolved = self._session.get_credentials()
        if resolved is None:
            raise NoCredentialsError
        return resolved

    def caller(self) -> tuple[str, str]:
        """Account id and ARN of who calls."""
        with aws_call("GetCallerIdentity"):
            identity = self.client("sts").get_caller_identity()
        return identity["Account"], identity["Arn"]


@dataclass(frozen=True)
class Deployment:
    """A deployed CloudFormation stack of this project."""

    stack: str
    outputs: Mapping[str, str]

    def output(self, name: str) -> str:
        """Raises BadInput when the stack has no such output."""
        if name not in self.outputs:
            raise BadInput(
                f"--stack: stack {self.stack!r} has no output {name}: name the stack of eks-ip-remediator, or deploy "
                "its template again"
            )
        return self.outputs[name]


def find_deployment(aws: Aws, stack: str) -> Deployment:
    """Raises BadInput when there is no such stack."""
    cloudformation = aws.client("cloudformation")
    try:
        with aws_call("DescribeStacks"):
            described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
    except RequestRefused as error:
        if "does not exist" not in str(error):
            raise
        region = cloudformation.meta.region_name
        raise BadInput(
            f"--stack: there is no CloudFormation stack {stack!r} in {region}: deploy the template, or correct "
            "--stack or --region"
        ) from error
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
    return Deployment(stack, outputs)
