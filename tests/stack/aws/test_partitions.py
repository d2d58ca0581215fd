"""The local AWS in GovCloud: ARNs are of its partition everywhere, and those of another partition fit nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.aws.client import LocalAws
from tests.stack.aws.conftest import Maker, Network, allow, code_of, eventually, unique
from tests.support.local_aws import local_aws

PARTITION, REGION = "aws-us-gov", "us-gov-west-1"
ECHO = "import os\ndef handler(event, context): return [context.invoked_function_arn, os.environ.get('TABLE', '')]\n"


@pytest.fixture(scope="module")
def gov(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("gov"), region=REGION) as started:
        yield started


def machine_of(function: str, partition: str) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": {}}
    task = {"Type": "Task", "Resource": f"arn:{partition}:states:::lambda:invoke", "Arguments": arguments, "End": True}
    return {"StartAt": "A", "States": {"A": {**task, "Output": "{% $states.result.Payload %}"}}}


def test_given_govcloud_when_a_state_machine_runs_then_its_role_functions_and_arns_are_of_that_partition(gov: LocalAws):
    make = Maker(gov)
    table = f"arn:{PARTITION}:dynamodb:{REGION}:000000000000:table/incidents"
    function = make.function(ECHO, Environment={"Variables": {"TABLE": table}})
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction"}
    arn = f"arn:{PARTITION}:lambda:{REGION}:000000000000:function:{function}"

    ended = make.run(make.machine(machine_of(function, PARTITION), {**invoke, "Resource": arn}))
    assert json.loads(ended["output"]) == [arn, table]
    assert ended["executionArn"].startswith(f"arn:{PARTITION}:states:{REGION}:")
    assert gov.client("sts").get_caller_identity()["Arn"].startswith(f"arn:{PARTITION}:iam::")

    commercial = {**invoke, "Resource": arn.replace(PARTITION, "aws")}
    refused = make.run(make.machine(machine_of(function, PARTITION), commercial))
    assert refused["error"] == "Lambda.AWSLambdaException"


def test_given_govcloud_when_a_definition_names_the_commercial_partition_then_it_is_refused(
    gov: LocalAws, aws: LocalAws
):
    for server, wrong in ((gov, "aws"), (aws, PARTITION)):
        states, role = server.client("stepfunctions"), Maker(server).role()
        definition = json.dumps({"QueryLanguage": "JSONata", **machine_of("f", wrong)})
        made = code_of(states.create_state_machine, name=unique("sm"), definition=definition, roleArn=role)
        assert made == "InvalidDefinition"


def test_given_govcloud_when_ec2_is_called_then_policies_are_held_against_arns_of_that_partition(gov: LocalAws):
    network = Network(gov.client("ec2"), gov.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"])

    def delete(partition: str) -> str:
        arn = f"arn:{partition}:ec2:{REGION}:*:vpc/*"
        credentials = Maker(gov).session({**allow("ec2:DeleteVpc"), "Resource": arn})
        return code_of(gov.client("ec2", **credentials).delete_vpc, VpcId=network.vpc)

    assert delete("aws") == "UnauthorizedOperation"
    assert delete(PARTITION) == ""


def test_given_govcloud_when_a_template_asks_for_its_partition_then_it_is_govclouds(gov: LocalAws):
    formation, name = gov.client("cloudformation"), unique("stack")
    topic = {"Type": "AWS::SNS::Topic"}
    outputs = {"Partition": {"Value": {"Ref": "AWS::Partition"}}, "Topic": {"Value": {"Ref": "Topic"}}}
    formation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": {"Topic": topic}, "Outputs": outputs}))

    def made() -> Any:
        (result,) = formation.describe_stacks(StackName=name)["Stacks"]
        return result if result["StackStatus"] == "CREATE_COMPLETE" else None

    result = {one["OutputKey"]: one["OutputValue"] for one in eventually(made)["Outputs"]}
    assert result["Partition"] == PARTITION
    assert result["Topic"].startswith(f"arn:{PARTITION}:sns:{REGION}:")


def test_given_govcloud_when_a_queue_names_its_dead_letter_queue_then_the_arn_is_one_of_this_partition(gov: LocalAws):
    sqs = gov.client("sqs")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    assert arn.startswith(f"arn:{PARTITION}:")

    def create(name: str, target: str) -> str:
        policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": 5})
        return code_of(sqs.create_queue, QueueName=name, Attributes={"RedrivePolicy": policy})

    assert create("ours", arn) == ""
    assert create("theirs", arn.replace(PARTITION, "aws")) != ""
