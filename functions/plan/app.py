"""Diagnosis -> Plan: a block from the ledger, every change listed, and whether people must be asked."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ip_remediator.address_ledger.allocate import Blocks
from ip_remediator.address_ledger.ipam import Ipam
from ip_remediator.address_ledger.ledger import Ledger
from ip_remediator.approvals.daily_limit import DailyLimit
from ip_remediator.clients.aws import session
from ip_remediator.common.clock import utc_now
from ip_remediator.common.handler_edge import one_transient_error
from ip_remediator.incidents.repository import Incidents
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.observability import logger
from ip_remediator.remediation.plan import Proposer
from ip_remediator.remediation.plan_actions import PLAN, PlanWork
from ip_remediator.remediation.requests import stack_options, with_sizes
from ip_remediator.settings import PlanSettings

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
@one_transient_error
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Performs the action of `PLAN`."""
    call, settings = PLAN.parse(event), PlanSettings.read(os.environ)
    options = stack_options(settings.strategy, settings.pools, settings.excluded_cidrs, settings.ipam_pool_id)
    options = with_sizes(options, settings.block_prefix, settings.subnet_prefix)
    options = replace(
        options,
        may_reclaim_warm=settings.auto_reclaim_warm == "true",
        cluster_subnets_of=settings.cluster_subnets_of,
    )
    table, ledger = session.table(settings.incidents_table), Ledger(session.table(settings.ledger_table), utc_now)
    proposer = Proposer(
        incidents=Incidents(table, utc_now),
        blocks=Blocks(ledger, Ipam(session.client("ec2")) if options.ipam_pool else None),
        lock=VpcLock(table, utc_now),
        limit=DailyLimit(table, utc_now, int(settings.max_per_vpc_per_day)),
        options=options,
        clock=utc_now,
    )
    return call.perform(PlanWork(proposer, int(settings.approval_minutes)))
