"""CloudFormation: the resource types and properties that the project's template needs."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.stack.aws.conftest import Maker, Network, eventually, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws


def deploy(aws: LocalAws, resources: dict[str, Any], update: str = "", **sections: Any) -> str:
    """Creates a stack, or updates the one of that name; its name. `sections`: further ones of the template."""
    cloudformation, name = aws.client("cloudformation"), update or unique("stack")
    template = json.dumps({"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources, **sections})
    put = cloudformation.update_stack if update else cloudformation.create_stack
    put(StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM"])

    def settled() -> Any:
        result = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        return result if not result["StackStatus"].endswith("_IN_PROGRESS") else None

    stack = eventually(settled)
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), stack.get("StackStatusReason")
    return name


def test_given_a_ttl_in_the_template_when_deployed_then_the_table_has_it(aws: LocalAws):
    table = unique("table")
    properties = {
        "TableName": table,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "k", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "k", "AttributeType": "S"}],
        "TimeToLiveSpecification": {"AttributeName": "expires", "Enabled": True},
    }
    deploy(aws, {"Table": {"Type": "AWS::DynamoDB::Table", "Properties": properties}})
    result = aws.client("dynamodb").describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    assert (result["TimeToLiveStatus"], result["AttributeName"]) == ("ENABLED", "expires")


def test_given_a_reserve_when_deployed_and_taken_out_then_the_function_has_it_and_has_it_no_more(
    aws: LocalAws, make: Maker
):
    client, name = aws.client("lambda"), unique("fn")
    code = {"ZipFile": "def handler(event, context): return 1"}
    plain = {
        "FunctionName": name,
        "Runtime": "python3.13",
        "Handler": "index.handler",
        "Role": make.role(),
        "Code": code,
    }

    def function(**more: int) -> dict[str, Any]:
        return {"Function": {"Type": "AWS::Lambda::Function", "Properties": {**plain, **more}}}

    stack = deploy(aws, function(ReservedConcurrentExecutions=5))
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    deploy(aws, function(MemorySize=256), update=stack)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)


def test_given_a_yaml_state_machine_when_deployed_then_it_runs(aws: LocalAws, make: Maker):
    definition = "QueryLanguage: JSONata\nStartAt: A\nStates:\n  A:\n    Type: Succeed\n    Output: done\n"
    name = unique("machine")
    properties = {"StateMachineName": name, "RoleArn": make.role(), "DefinitionString": definition}
    deploy(aws, {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}})
    arn = f"arn:aws:states:{aws.region}:000000000000:stateMachine:{name}"
    assert json.loads(make.run(arn)["output"]) == "done"


def test_given_an_access_entry_when_deployed_and_deleted_then_eks_has_it_and_has_it_no_more(
    aws: LocalAws, make: Maker, network: Network
):
    eks, cluster, principal = aws.client("eks"), unique("cluster"), make.role()
    subnets = {"subnetIds": [network.subnet("10.0.0.0/24")]}
    eks.create_cluster(name=cluster, roleArn=make.role(), resourcesVpcConfig=subnets)
    properties = {"ClusterName": cluster, "PrincipalArn": principal, "KubernetesGroups": ["ip-remediator"]}
    stack = deploy(aws, {"Entry": {"Type": "AWS::EKS::AccessEntry", "Properties": properties}})
    entry = eks.describe_access_entry(clusterName=cluster, principalArn=principal)["accessEntry"]
    assert entry["kubernetesGroups"] == ["ip-remediator"]
    aws.client("cloudformation").delete_stack(StackName=stack)

    def gone() -> bool:
        return principal not in eks.list_access_entries(clusterName=cluster)["accessEntries"]

    eventually(gone)


def test_given_an_http_api_with_an_openapi_body_when_called_then_its_function_answers(aws: LocalAws, make: Maker):
    function = make.function("def handler(event, context): return {'statusCode': 200, 'body': event['routeKey']}")
    arn = f"arn:aws:lambda:{aws.region}:000000000000:function:{function}"
    uri = f"arn:aws:apigateway:{aws.region}:lambda:path/2015-03-31/functions/{arn}/invocations"
    operation = {"x-amazon-apigateway-integration": {"type": "aws_proxy", "uri": uri, "payloadFormatVersion": "2.0"}}
    body = {"openapi": "3.0.1", "paths": {"/hello": {"get": operation}}}
    name = unique("api")
    deploy(
        aws,
        {
            "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Name": name, "Body": body}},
            "Stage": {
                "Type": "AWS::ApiGatewayV2::Stage",
                "Properties": {"ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": True},
            },
        },
    )
    apis = aws.client("apigatewayv2").get_apis()["Items"]
    (api,) = [one["ApiId"] for one in apis if one["Name"] == name]
    with urllib.request.urlopen(f"{aws.endpoint}/_aws/execute-api/{api}/$default/hello") as answer:
        assert answer.read() == b"GET /hello"


def test_given_an_unknown_resource_type_when_deployed_then_the_stack_is_refused(aws: LocalAws):
    with pytest.raises(ClientError, match="Unrecognized resource types"):
        deploy(aws, {"X": {"Type": "AWS::EKS::NoSuchThing", "Properties": {}}})
