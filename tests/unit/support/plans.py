"""Plans as they come out when no other incident holds a block."""

from __future__ import annotations

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.commands.plan import make_plan


def first_plan(facts: Snapshot, options: PlanningOptions | None = None) -> Plan:
    """The plan with the first block that is free, as the ledger would choose it."""
    return make_plan(facts, diagnose(facts), options or PlanningOptions())
