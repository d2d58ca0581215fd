"""The life of an incident around its cure: opened by hand, put to people, closed."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ip_remediator.adapters import aws
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.executions import is_running, resume
from ip_remediator.adapters.ledger import Ledger
from ip_remediator.domain.incidents import Mode, Outcome
from ip_remediator.observability import logger
from ip_remediator.settings import LifecycleSettings
from ip_remediator.steps.lifecycle import Lifecycle
from ip_remediator.steps.rolling_back import RollingBack

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"action": ..., "incident": ...}`; the actions are those below."""
    settings = LifecycleSettings.read(os.environ)
    ledger = Ledger(aws.table(settings.ledger_table), utc_now)
    lifecycle = Lifecycle(aws.table(settings.incidents_table), ledger, utc_now)
    logger.append_keys(incident=event.get("incident"), action=event["action"])
    match event["action"]:
        case "open":
            mode = Mode(settings.default_mode)
            return lifecycle.open(event["input"], settings.aws_region, mode, event["execution"])
        case "ask":
            lifecycle.ask(event["incident"], event["task_token"], event["minutes"], event["why"])
            return {}
        case "remind":
            answered = lifecycle.remind(event["incident"], event["task_token"])
            if answered:
                resume(aws.client("stepfunctions"), event["task_token"], answered)
            return {}
        case "close":
            return lifecycle.close(event["incident"], Outcome(event["outcome"]), event.get("failure"))
        case _:
            running = partial(is_running, aws.client("stepfunctions"))
            return _roll_back(RollingBack(lifecycle, running, int(settings.approval_minutes)), event)


def _roll_back(rolling_back: RollingBack, event: dict[str, Any]) -> dict[str, Any]:
    match event["action"]:
        case "begin_rollback":
            return rolling_back.begin(event["input"], event["execution"])
        case "ask_rollback":
            rolling_back.ask(event["incident"], event["task_token"])
            return {}
        case "confirm_rollback":
            return rolling_back.confirm(event["incident"], event.get("by"), event["evict"])
        case "cancel_rollback":
            return rolling_back.cancel(event["incident"], event.get("by"))
        case "pause_rollback":
            return rolling_back.pause(event["incident"], event["failure"])
        case "finish_rollback":
            return rolling_back.finish(event["incident"])
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
