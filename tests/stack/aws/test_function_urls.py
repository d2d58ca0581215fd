"""A Region without Lambda function URLs: the API and CloudFormation refuse them, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.client import LocalAws
from tests.stack.aws.conftest import Maker, code_of, unique
from tests.stack.aws.test_cloudformation import deploy
from tests.support.local_aws import local_aws

HELLO = "def handler(event, context): return 'hello'"


@pytest.fixture(scope="module")
def malaysia(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("malaysia"), region="ap-southeast-5") as started:
        yield started


def template(function: str, *, condition: bool) -> dict[str, Any]:
    target = {"TargetFunctionArn": function, "AuthType": "NONE"}
    return {
        "Conditions": {"HasUrl": {"Fn::Equals": [str(condition), "True"]}},
        "Resources": {
            "Topic": {"Type": "AWS::SNS::Topic"},
            "Url": {"Type": "AWS::Lambda::Url", "Condition": "HasUrl", "Properties": target},
        },
    }


def test_given_a_region_without_function_urls_when_one_is_made_then_lambda_does_not_know_the_call(malaysia: LocalAws):
    name, client = Maker(malaysia).function(HELLO), malaysia.client("lambda")
    assert code_of(client.create_function_url_config, FunctionName=name, AuthType="NONE") == "AccessDeniedException"
    assert code_of(client.list_function_url_configs, FunctionName=name) == "AccessDeniedException"


def test_given_a_region_without_function_urls_when_a_stack_has_one_then_its_condition_decides(malaysia: LocalAws):
    name, formation = Maker(malaysia).function(HELLO), malaysia.client("cloudformation")
    with pytest.raises(ClientError, match=r"Unrecognized resource types: \[AWS::Lambda::Url\]"):
        formation.create_stack(StackName=unique("s"), TemplateBody=json.dumps(template(name, condition=True)))
    sections = template(name, condition=False)
    deploy(malaysia, sections["Resources"], Conditions=sections["Conditions"])
