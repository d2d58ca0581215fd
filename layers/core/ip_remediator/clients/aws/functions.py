"""Invokes another function of the stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws.errors import aws_call

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient


class FunctionFailed(Exception):
    """The function ran and raised; the message has its error's class and text."""


def invoke(client: LambdaClient, function: str, document: Mapping[str, Any]) -> Any:
    """Invokes the function with `document` as JSON and returns its decoded answer.

    Raises:
        FunctionFailed, and the errors of `common.errors`.
    """
    with aws_call(f"Invoke {function}"):
        answer = client.invoke(FunctionName=function, Payload=json.dumps(document).encode())
        payload = json.loads(answer["Payload"].read() or b"null")
    if "FunctionError" in answer:
        error = payload if isinstance(payload, dict) else {}
        raise FunctionFailed(f"{function}: {error.get('errorType')}: {error.get('errorMessage', payload)}")
    return payload
