"""What the functions' code gets to see of a fault: botocore's calls as they end, after its own retries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from ip_remediator.clients.aws.errors import aws_call

RETURNED = "returned"
# Called with service, operation and outcome of a call that met a fault: `RETURNED`, or the error that the code sees.
Told = Callable[[str, str, str], None]
_watchers: list[Told] = []


def watch(watcher: Told) -> None:
    _watchers[:] = [watcher]


def install() -> None:
    made = BaseClient._make_api_call  # type: ignore[attr-defined]

    def make(client: Any, operation: str, parameters: Any) -> Any:
        try:
            answer = made(client, operation, parameters)
        except (ClientError, BotoCoreError) as error:
            _notify(client, operation, _class_of(error))
            raise
        if answer.get("ResponseMetadata", {}).get("RetryAttempts"):
            _notify(client, operation, RETURNED)
        return answer

    BaseClient._make_api_call = make  # type: ignore[attr-defined]


def _notify(client: Any, operation: str, outcome: str) -> None:
    for watcher in _watchers:
        watcher(client.meta.service_model.signing_name, operation, outcome)


def _class_of(error: Exception) -> str:
    """The one that the product makes of it."""
    try:
        with aws_call("any"):
            raise error
    except Exception as error:
        return type(error).__name__
