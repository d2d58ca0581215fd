"""Finds the service, the operation and the caller of an AWS request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import botocore.session
from botocore.exceptions import UnknownServiceError
from ministack.core.iam_evaluator import resolve_caller_identity

if TYPE_CHECKING:
    from collections.abc import Mapping

FORM = "application/x-www-form-urlencoded"
RPC_V2_PATH = re.compile(r"/service/[^/]+/operation/([^/]+)$")
CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/aws4_request")
EC2_SIGNING_NAME = "ec2"


@dataclass(frozen=True)
class Operation:
    """One call: signing name of the service ("ec2", "states"), operation ("CreateSubnet") and the caller's ARN."""

    service: str
    action: str
    principal: str
    protocol: str  # "ec2", "query", "json", "rest-json" or "cbor": how errors must be written


def identify(method: str, path: str, query: str, headers: Mapping[str, str], body: bytes) -> Operation | None:
    """The operation of a signed request; None for requests of no AWS API (function URLs, control endpoints)."""
    credential = CREDENTIAL.search(headers.get("authorization", "")) or _presigned(query)
    if not credential:
        return None
    access_key, service = credential.groups()
    action, protocol = _operation(service, method, path, query, headers, body)
    return Operation(service, action, principal_of(access_key), protocol)


def principal_of(access_key: str) -> str:
    """ARN of the caller; the key itself when nobody has it."""
    identity = resolve_caller_identity(access_key)
    return str(identity["userArn"]) if identity else access_key


def _presigned(query: str) -> re.Match[str] | None:
    values = parse_qs(query).get("X-Amz-Credential", [])
    return CREDENTIAL.search(f"Credential={values[0]}") if values else None


def _operation(
    service: str, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> tuple[str, str]:
    target = headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2], "json"
    rpc = RPC_V2_PATH.search(path)
    if rpc:
        return rpc[1], "cbor"
    form = body.decode(errors="replace") if headers.get("content-type", "").startswith(FORM) else query
    action = parse_qs(form).get("Action", [""])[0]
    if action:
        return action, "ec2" if service == EC2_SIGNING_NAME else "query"
    return _rest_action(service, method, path), "rest-json"


def _rest_action(service: str, method: str, path: str) -> str:
    for verb, pattern, name in _rest_operations(service):
        if verb == method and pattern.fullmatch(path):
            return name
    return method


@cache
def _rest_operations(service: str) -> list[tuple[str, re.Pattern[str], str]]:
    """(method, path pattern, operation) of a REST service from botocore's model, the most literal path first."""
    try:
        model = botocore.session.get_session().get_service_model(service)
    except UnknownServiceError:
        return []
    operations = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        path = http["requestUri"].partition("?")[0]
        literal = len(re.sub(r"\{[^}]*\}", "", path))
        pattern = re.sub(r"\\\{[^}]*\\\+\\\}", ".+", re.escape(path))
        pattern = re.sub(r"\\\{[^}]*\\\}", "[^/]+", pattern)
        operations.append((-literal, http["method"], re.compile(pattern + "/?"), name))
    return [entry[1:] for entry in sorted(operations, key=lambda entry: entry[0])]
