"""Lambda function URLs: some Regions have none.

The Regions: Lambda Developer Guide, "Creating and managing Lambda function URLs" (urls-configuration.html). The API's
refusal there: zappa/Zappa #1425. CloudFormation does not know the resource type there (aws-samples/image-optimization
#13), which matters only where its Condition is true: aws/aws-cdk #3692 makes templates fit such Regions by Conditions.
"""

from __future__ import annotations

from typing import Any

from ministack.core.responses import error_response_json
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local.aws.corrections.guard import original, replace, require

WITHOUT = frozenset(
    {
        *("ap-east-2", "ap-south-2", "ap-southeast-4", "ap-southeast-5", "ap-southeast-6", "ap-southeast-7"),
        *("ca-west-1", "eu-central-2", "eu-south-2", "il-central-1", "me-central-1"),
    }
)
RESOURCE = "AWS::Lambda::Url"
OPERATIONS = ("create", "get", "update", "delete", "list")


def install(region: str) -> None:
    """Refuse function URLs in ``region``, if it has none."""
    names = [f"_{operation}_function_url_config{'s' if operation == 'list' else ''}" for operation in OPERATIONS]
    require(lambda_svc, *names)
    handlers = original(provisioners, "_RESOURCE_HANDLERS")
    require(handlers, RESOURCE)
    if region in WITHOUT:
        for name in names:
            replace(lambda_svc, name, _refused)
        del handlers[RESOURCE]


def _refused(*_arguments: Any) -> Any:
    message = "Unable to determine service/operation name to be authorized"
    return error_response_json("AccessDeniedException", message, 403)
