"""Diagnosis -> Plan: a block from the ledger, every change listed, and whether people must be asked."""

from __future__ import annotations

import os
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Any, cast

from ip_remediator.adapters import aws
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.daily_limit import DailyLimit
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.adapters.ipam import Ipam
from ip_remediator.adapters.ledger import Ledger
from ip_remediator.adapters.vpc_lock import VpcLock
from ip_remediator.domain.planning import WISHES, Terms, Wish
from ip_remediator.observability import logger
from ip_remediator.settings import PlanSettings
from ip_remediator.steps.lifecycle import waits
from ip_remediator.steps.proposing import Approved, Proposer

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """`{"incident", "approved"?: {"plan_hash", "by", "questions"}}` -> see `Proposer.propose`, and `waits`."""
    settings = PlanSettings.read(os.environ)
    table = aws.table(settings.incidents_table)
    proposer = Proposer(
        incidents=Incidents(table, utc_now),
        ledger=Ledger(aws.table(settings.ledger_table), utc_now),
        lock=VpcLock(table, utc_now),
        limit=DailyLimit(table, utc_now, int(settings.max_per_vpc_per_day)),
        terms=_terms(settings),
        ipam=Ipam(aws.client("ec2")),
        clock=utc_now,
    )
    approved = Approved(**event["approved"]) if event.get("approved") else None
    return proposer.propose(event["incident"], approved) | waits(
        int(settings.approval_minutes), again=approved is not None
    )


def _terms(settings: PlanSettings) -> Terms:
    """Raises ValueError that names the setting."""
    if settings.strategy not in WISHES:
        raise ValueError(f"setting STRATEGY: {settings.strategy!r} is none; use {', '.join(WISHES)}")
    return Terms(
        pools=_networks("POOLS", settings.pools),
        excluded=_networks("EXCLUDED_CIDRS", settings.excluded_cidrs),
        strategy=cast("Wish", settings.strategy),
        ipam_pool=None if settings.ipam_pool_id == "none" else settings.ipam_pool_id,
    )


def _networks(name: str, text: str) -> tuple[IPv4Network, ...]:
    """Comma-separated CIDRs; "none" is no CIDR. Raises ValueError that names the setting."""
    try:
        return tuple(IPv4Network(cidr.strip()) for cidr in text.split(",") if cidr.strip() not in ("", "none"))
    except ValueError as error:
        raise ValueError(f"setting {name}: {error}; give CIDRs such as 100.64.0.0/10, separated by commas") from error
