"""CloudFormation: resource types and properties that the project's template uses."""

from __future__ import annotations

import json
from typing import Any

import yaml
from ministack.core.responses import get_region
from ministack.services import apigateway, dynamodb, eks, lambda_svc
from ministack.services.cloudformation import provisioners

from local.aws.corrections.guard import original, replace, require
from local.aws.partitions import partition_of
from local.aws.step_functions.definitions import foreign_resources, unknown_resource

ANY_METHOD = "x-amazon-apigateway-any-method"
INTEGRATION = "x-amazon-apigateway-integration"


def install() -> None:
    """Add the resource types and properties that the template needs."""
    access_entry()
    table_ttl()
    reserved_concurrency()
    yaml_state_machine()
    http_api_body()


def _handlers() -> dict[str, Any]:
    handlers: dict[str, Any] = original(provisioners, "_RESOURCE_HANDLERS")
    return handlers


def access_entry() -> None:
    """Support AWS::EKS::AccessEntry; MiniStack refuses a stack that contains one."""
    create_entry = original(eks, "_create_access_entry")
    delete_entry = original(eks, "_delete_access_entry")
    associate = original(eks, "_associate_access_policy")

    def create(_logical_id: str, properties: dict[str, Any], _stack: str) -> tuple[str, dict[str, str]]:
        cluster, principal = properties["ClusterName"], properties["PrincipalArn"]
        body = {
            "principalArn": principal,
            "kubernetesGroups": properties.get("KubernetesGroups", []),
            "type": properties.get("Type", "STANDARD"),
        }
        if properties.get("Username"):
            body["username"] = properties["Username"]
        status, _, answer = create_entry(cluster, body)
        document = json.loads(answer)
        if status >= 400:
            raise ValueError(document.get("message", f"AWS::EKS::AccessEntry was refused with status {status}"))
        for policy in properties.get("AccessPolicies", []):
            scope = policy["AccessScope"]
            body = {
                "policyArn": policy["PolicyArn"],
                "accessScope": {"type": scope["Type"], "namespaces": scope.get("Namespaces", [])},
            }
            associate(cluster, principal, body)
        return f"{principal}|{cluster}", {"AccessEntryArn": document["accessEntry"]["accessEntryArn"]}

    def delete(_physical_id: str, properties: dict[str, Any]) -> None:
        delete_entry(properties["ClusterName"], properties["PrincipalArn"])

    _handlers()["AWS::EKS::AccessEntry"] = {"create": create, "delete": delete}


def table_ttl() -> None:
    """TimeToLiveSpecification of a table takes effect; MiniStack ignores it."""
    handler = original(_handlers(), "AWS::DynamoDB::Table")
    create_table = original(handler, "create")
    update_ttl = original(dynamodb, "_update_ttl")

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create_table(logical_id, properties, stack)
        wanted = properties.get("TimeToLiveSpecification")
        if wanted:
            enabled = str(wanted.get("Enabled")).lower() == "true"
            setting = {"Enabled": enabled, "AttributeName": wanted.get("AttributeName")}
            update_ttl({"TableName": made[0], "TimeToLiveSpecification": setting})
        return made

    replace(handler, "create", create)


def reserved_concurrency() -> None:
    """ReservedConcurrentExecutions of a function takes effect; MiniStack ignores it."""
    handler = original(_handlers(), "AWS::Lambda::Function")
    create_function, update_function = original(handler, "create"), original(handler, "update")
    put = original(lambda_svc, "_put_function_concurrency")
    remove = original(lambda_svc, "_delete_function_concurrency")

    def reserve(name: str, properties: dict[str, Any]) -> None:
        wanted = properties.get("ReservedConcurrentExecutions")
        if wanted is None:
            remove(name)
            return
        status, _, answer = put(name, {"ReservedConcurrentExecutions": int(wanted)})
        if status >= 400:
            raise ValueError(json.loads(answer)["message"])

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create_function(logical_id, properties, stack)
        reserve(made[0], properties)
        return made

    def update(physical_id: str, old: dict[str, Any], new: dict[str, Any], *more: Any, **named: Any) -> Any:
        made = update_function(physical_id, old, new, *more, **named)
        reserve(made[0], new)
        return made

    replace(handler, "create", create)
    replace(handler, "update", update)


def yaml_state_machine() -> None:
    """Accept state machine definitions in YAML; MiniStack stores the text unparsed, and every execution fails.

    Definitions that name resources of another partition are refused.
    """
    definition_of = original(provisioners, "_sfn_definition")

    def definition(properties: dict[str, Any]) -> Any:
        text = definition_of(properties)
        try:
            json.loads(text)
        except ValueError:
            text = json.dumps(yaml.safe_load(text))
        foreign = foreign_resources(text, partition_of(get_region()))
        if foreign:
            raise ValueError(unknown_resource(foreign[0]))
        return text

    replace(provisioners, "_sfn_definition", definition)


def http_api_body() -> None:
    """Create the routes and integrations in an HTTP API's OpenAPI Body; MiniStack creates an API without routes."""
    handler = original(_handlers(), "AWS::ApiGatewayV2::Api")
    create_api = original(handler, "create")
    require(apigateway, "_create_integration", "_create_route")

    def create(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        api_id, attributes = create_api(logical_id, properties, stack)
        body = properties.get("Body") or {}
        paths = (yaml.safe_load(body) if isinstance(body, str) else body).get("paths", {})
        for path, operations in paths.items():
            for method, operation in operations.items():
                if INTEGRATION in operation:
                    _route(api_id, path, method, operation[INTEGRATION])
        return api_id, attributes

    replace(handler, "create", create)


def _route(api_id: str, path: str, method: str, integration: dict[str, Any]) -> None:
    request = {
        "integrationType": str(integration.get("type", "aws_proxy")).upper(),
        "integrationUri": integration.get("uri"),
        "integrationMethod": integration.get("httpMethod", "POST"),
        "payloadFormatVersion": integration.get("payloadFormatVersion", "2.0"),
    }
    made = json.loads(original(apigateway, "_create_integration")(api_id, request)[2])
    verb = "ANY" if method == ANY_METHOD else method.upper()
    key = "$default" if path == "/$default" else f"{verb} {path}"
    target = f"integrations/{made['integrationId']}"
    original(apigateway, "_create_route")(api_id, {"routeKey": key, "target": target})
