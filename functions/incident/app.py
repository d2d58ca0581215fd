"""The life of an incident around its cure: opened by hand, put to people, closed, rolled back, its nodes replaced."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.step_functions import is_running, resume
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.node_replacement.workflow import NodeReplacementWorkflow
from ip_remediator.observability import logger
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import RollbackWorkflow
from ip_remediator.settings import LifecycleSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_ROLLING_BACK = {
    "begin_rollback": lambda steps, event: steps.begin(event["input"], event["execution"]),
    "ask_rollback": lambda steps, event: steps.ask(event["incident"], event["task_token"]),
    "confirm_rollback": lambda steps, event: steps.confirm(event["incident"], event.get("by"), event["evict"]),
    "cancel_rollback": lambda steps, event: steps.cancel(event["incident"], event.get("by")),
    "pause_rollback": lambda steps, event: steps.pause(event["incident"], event["failure"]),
    "finish_rollback": lambda steps, event: steps.finish(event["incident"]),
}
_REPLACING = {
    "begin_replacement": lambda steps, event: steps.begin(event["input"], event["execution"]),
    "ask_replacement": lambda steps, event: steps.ask(event["incident"], event["task_token"]),
    "confirm_replacement": lambda steps, event: steps.confirm(event["incident"], event.get("by")),
    "cancel_replacement": lambda steps, event: steps.cancel(event["incident"], event.get("by")),
    "stop_replacement": lambda steps, event: steps.stop(event["incident"], event["failure"]),
    "finish_replacement": lambda steps, event: steps.finish(
        event["incident"], Outcome(event["outcome"]), event["failures"]
    ),
}


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"action": ..., "incident": ...}`; the actions are those below."""
    settings = LifecycleSettings.read(os.environ)
    ledger = Ledger(session.table(settings.ledger_table), utc_now)
    lifecycle = Lifecycle(session.table(settings.incidents_table), ledger, utc_now)
    logger.append_keys(incident=event.get("incident"), action=event["action"])
    running, minutes = partial(is_running, session.client("stepfunctions")), int(settings.approval_minutes)
    if act := _ROLLING_BACK.get(event["action"]):
        return act(RollbackWorkflow(lifecycle, running, minutes), event) or {}
    if act := _REPLACING.get(event["action"]):
        return act(NodeReplacementWorkflow(lifecycle, running, minutes), event) or {}
    match event["action"]:
        case "open":
            mode = Mode(settings.default_mode)
            return lifecycle.open(event["input"], settings.aws_region, mode, event["execution"])
        case "ask":
            lifecycle.ask(event["incident"], event["task_token"], event["minutes"], event["why"])
            return {}
        case "remind":
            if answered := lifecycle.remind(event["incident"], event["task_token"]):
                resume(session.client("stepfunctions"), event["task_token"], answered)
            return {}
        case "close":
            return lifecycle.close(event["incident"], Outcome(event["outcome"]), event.get("failure"))
        case other:
            raise ValueError(f"field 'action': {other!r} is not an action of this function")
