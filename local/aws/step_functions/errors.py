"""Failures of states, as MiniStack raises them."""

from __future__ import annotations

from ministack.services import stepfunctions

from local.aws.corrections.guard import original


def failure(error: str, cause: str) -> Exception:
    """The exception by which a state fails; Retry and Catch match its ``error``."""
    made: Exception = original(stepfunctions, "_ExecutionError")(error, cause)
    return made
