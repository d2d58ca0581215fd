"""What a Step Functions task needs its role to allow: from the task's resource and arguments to IAM actions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import get_account_id, get_region

from local.aws.corrections.guard import original
from local.aws.iam import dynamodb_keys
from local.aws.partitions import partition_of

# Names of services in "arn:aws:states:::aws-sdk:<name>:<action>" that differ from their IAM prefix.
IAM_PREFIXES = {"sfn": "states", "cloudwatchlogs": "logs", "eventbridge": "events"}
# Prefixes of error names of optimized integrations (services' "error handling" pages of Step Functions).
ERROR_PREFIXES = {
    "lambda": "Lambda",
    "dynamodb": "DynamoDB",
    "states": "StepFunctions",
    "events": "EventBridge",
    "sns": "SNS",
    "sqs": "SQS",
}
SUFFIX = re.compile(r"\.(sync(:2)?|waitForTaskToken)$")
OPTIMIZED = re.compile(r"arn:aws[\w-]*:states:::(?:aws-sdk:)?(\w+):(\w+)$")


@dataclass(frozen=True)
class Permission:
    """One IAM action on one resource, and the API operation that needs it."""

    service: str
    operation: str
    action: str
    resource: str
    # Condition keys of the request (events:source, dynamodb:LeadingKeys).
    context: dict[str, Any] = field(default_factory=dict)

    def error(self, code: str) -> str:
        """The error name that a state sees for ``code`` of this service."""
        if self.service == "lambda" and code == "AccessDeniedException":
            return "Lambda.AWSLambdaException"
        return f"{ERROR_PREFIXES.get(self.service, self.service.capitalize())}.{code}"

    def denial(self, role: str) -> str:
        """The cause that a state sees when ``role`` lacks the permission."""
        return (
            f"User: {role} is not authorized to perform: {self.action} on resource: {self.resource} "
            f"because no identity-based policy allows the {self.action} action"
        )


def needed(resource: str, data: Any, region: str, account: str) -> list[Permission]:
    """Permissions that a task with ``resource`` and the arguments ``data`` needs; none for activities."""
    arguments = data if isinstance(data, dict) else {}
    clean = SUFFIX.sub("", resource)
    if ":function:" in clean:
        return [Permission("lambda", "Invoke", "lambda:InvokeFunction", clean)]
    match = OPTIMIZED.fullmatch(clean)
    if not match:
        return []
    service = IAM_PREFIXES.get(match[1].lower(), match[1].lower())
    operation = match[2][0].upper() + match[2][1:]
    action = "InvokeFunction" if (service, operation) == ("lambda", "Invoke") else operation
    context = _context(service, arguments)
    return [
        Permission(service, operation, f"{service}:{action}", one, context)
        for one in _resources(service, arguments, f"arn:{partition_of(region)}", f"{region}:{account}")
    ]


def _context(service: str, arguments: dict[str, Any]) -> dict[str, Any]:
    if service == "events":
        return put_events_context(arguments.get("Entries"))
    return dynamodb_keys.item_context(arguments) if service == "dynamodb" else {}


def put_events_context(entries: Any) -> dict[str, Any]:
    """events:source and events:detail-type of PutEvents, which are arrays (list_amazoneventbridge.html)."""
    listed = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return {
        "events:source": sorted({str(entry.get("Source", "")) for entry in listed}),
        "events:detail-type": sorted({str(entry.get("DetailType", "")) for entry in listed}),
    }


def _resources(service: str, arguments: dict[str, Any], start: str, place: str) -> list[str]:
    if service == "events":
        buses = {entry.get("EventBusName", "default") for entry in arguments.get("Entries", [])}
        return [_arn(bus, f"{start}:events:{place}:event-bus/") for bus in sorted(buses)]
    fields = {
        "lambda": ("FunctionName", f"{start}:lambda:{place}:function:"),
        "dynamodb": ("TableName", f"{start}:dynamodb:{place}:table/"),
        "states": ("StateMachineArn", ""),
        "sns": ("TopicArn", ""),
        "sqs": ("QueueUrl", f"{start}:sqs:{place}:"),
    }
    field, prefix = fields.get(service, ("", ""))
    value = str(arguments.get(field) or "")
    return [_arn(value.rsplit("/", 1)[-1] if service == "sqs" else value, prefix)]


def _arn(value: str, prefix: str) -> str:
    if not value or value.startswith("arn:"):
        return value or "*"
    return prefix + value


def allowed(role: str, permission: Permission) -> bool:
    """Whether the policies of ``role`` (its ARN) allow ``permission``."""
    policies = original(iam_evaluator, "_gather_role_policies")(role.rsplit("/", 1)[-1], get_account_id())
    context = iam_evaluator.EvalContext(
        role,
        "AssumedRole",
        get_account_id(),
        permission.action,
        permission.resource,
        get_region(),
        service_context={name.lower(): value for name, value in permission.context.items()},
    )
    return bool(iam_evaluator.evaluate(context, policies).decision == "Allow")
