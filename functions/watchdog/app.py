"""The end of an execution, or a schedule -> incidents that no execution works on any more are closed or made
resumable."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.event_history import EventHistory
from ip_remediator.observability import logger
from ip_remediator.settings import WatchdogSettings
from ip_remediator.watchdog.callers import Callers
from ip_remediator.watchdog.on_aws import watchdog_on_aws
from ip_remediator.watchdog.rules import Ending

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

    from ip_remediator.watchdog.watch import Watchdog


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`event`: "Step Functions Execution Status Change", or one of a schedule: then every incident is looked at.

    An execution's event says how it ended. An input that is too large for it is left out: the sweep finds its incident.
    """
    watchdog, detail = _watchdog(), event.get("detail") or {}
    if "executionArn" in detail:
        about = {name: detail.get(name) for name in ("status", "error", "cause")}
        end = Ending(execution=detail["executionArn"], **about)
        looked = watchdog.ended(end, json.loads(detail.get("input") or "null"))
        results = {detail["name"]: looked} if looked else {}
    else:
        results = dict(watchdog.sweep())
    logger.info("looked", extra={"found": results})
    return {"looked": {name: str(state) for name, state in results.items()}}


def _watchdog() -> Watchdog:
    settings = WatchdogSettings.read(os.environ)
    callers = None
    if settings.name_callers == "true":
        callers = Callers(EventHistory(session.client("cloudtrail")), settings.own_role_arns.split(","))
    return watchdog_on_aws(
        session.table(settings.incidents_table),
        session.table(settings.ledger_table),
        session.client("stepfunctions"),
        session.client("lambda"),
        state_machine_arn=settings.state_machine_arn,
        cluster_function=settings.cluster_function,
        callers=callers,
    )
