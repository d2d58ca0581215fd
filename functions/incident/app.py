"""The workflow of an incident: it is opened by hand, people decide, it is closed, rolled back, its nodes are
replaced."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.step_functions import is_running, resume, start_once
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.node_replacement.incident_actions import INCIDENT
from ip_remediator.observability import logger
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.remediation.incident_actions import IncidentWork
from ip_remediator.settings import LifecycleSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Performs an action of `INCIDENT`."""
    call, settings = INCIDENT.parse(event), LifecycleSettings.read(os.environ)
    logger.append_keys(incident=event.get("incident"), action=call.action.name)
    ledger = Ledger(session.table(settings.ledger_table), utc_now)
    executions = session.client("stepfunctions")
    work = IncidentWork(
        lifecycle=Lifecycle(session.table(settings.incidents_table), ledger, utc_now),
        region=settings.aws_region,
        default_mode=Mode(settings.default_mode),
        minutes=int(settings.approval_minutes),
        is_running=partial(is_running, executions),
        resume=partial(resume, executions),
        start=partial(start_once, executions),
    )
    return call.perform(work)
