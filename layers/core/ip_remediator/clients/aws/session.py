"""boto3 clients as every function makes them: bounded time-outs, a few retries, a name in CloudTrail."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import boto3
from boto3.dynamodb.transform import TransformationInjector, copy_dynamodb_params
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

_CONFIG = Config(
    connect_timeout=3,
    read_timeout=15,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=16,  # a capture asks EC2 for a dozen things at once
    user_agent_extra="eks-ip-remediator",
)
# Optional reads fail fast: a private network may have no route to this service.
_OPTIONAL = {
    "service-quotas": Config(connect_timeout=1, read_timeout=3, retries={"mode": "standard", "total_max_attempts": 2})
}


@cache
def _session() -> boto3.session.Session:
    """One per container: making it costs more than a call."""
    return boto3.session.Session()


@cache
def client(service: str) -> Any:
    """The client of `service`, one per container."""
    return _session().client(service, config=_CONFIG.merge(_OPTIONAL.get(service, Config())))  # type: ignore[call-overload]


@dataclass(frozen=True)
class _Meta:
    client: Any


@dataclass(frozen=True)
class _Table:
    """What the adapters use of boto3's `Table`."""

    name: str
    meta: _Meta


@cache
def table(name: str) -> Any:
    """A DynamoDB table of the function's own client, see `plain_table`."""
    return plain_table(client("dynamodb"), name)


def plain_table(dynamodb: Any, name: str) -> Any:
    """A DynamoDB table that takes and gives plain Python values, by the handlers that boto3's DynamoDB resource
    registers. Making the resource itself would take most of the time again that the client takes, at every start.
    """
    injector = TransformationInjector()
    handlers = (
        ("provide-client-params.dynamodb", copy_dynamodb_params),
        ("before-parameter-build.dynamodb", injector.inject_condition_expressions),
        ("before-parameter-build.dynamodb", injector.inject_attribute_value_input),
        ("after-call.dynamodb", injector.inject_attribute_value_output),
    )
    for event, handler in handlers:
        # All tables share the client: by its id each handler is registered once.
        dynamodb.meta.events.register(event, handler, unique_id=f"plain-values-{handler.__name__}")
    return _Table(name, _Meta(dynamodb))


def credentials() -> Credentials:
    """The function's own, for signing what is not a boto3 call."""
    resolved = _session().get_credentials()
    if resolved is None:
        raise NoCredentialsError
    return resolved
