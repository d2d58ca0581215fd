"""Translates a handler's errors for Step Functions, which matches errors by class name and knows no inheritance."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, TypeVar

from ip_remediator.common.errors import Transient, Waiting

ContextT = TypeVar("ContextT")
Handler = Callable[[dict[str, Any], ContextT], dict[str, Any]]


def one_transient_error(handler: Handler[ContextT]) -> Handler[ContextT]:
    """Turns every error that is worth an immediate retry into `Transient`, the one name that the machines retry.

    Its message is a JSON document, `{"error": <class>, "message": <text>}`: `original_error` reads it when the retries
    are used up. A `Waiting` error keeps its own name, because each wait has its own length.
    """

    @functools.wraps(handler)
    def named(event: dict[str, Any], context: ContextT) -> dict[str, Any]:
        try:
            return handler(event, context)
        except Waiting:
            raise
        except Transient as error:
            raise Transient(json.dumps({"error": type(error).__name__, "message": str(error)})) from error

    return named


def original_error(error: str, cause: str) -> tuple[str, str]:
    """Class name and message of what a handler raised, from a Catch's error name and cause.

    Lambda's cause is JSON with `errorMessage` (lambda/latest/dg/python-exceptions.html); a cause that Step Functions
    itself writes is plain text, which is returned unchanged.
    """
    message = _field(cause, "errorMessage")
    if message is None:
        return error, cause
    if error == Transient.__name__ and (name := _field(message, "error")):
        return name, _field(message, "message") or ""
    return error, message


def _field(text: str, name: str) -> str | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return str(document[name]) if isinstance(document, dict) and name in document else None
