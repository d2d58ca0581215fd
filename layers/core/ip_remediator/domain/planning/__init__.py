"""Diagnosis -> Plan: the ladder of cures, the block that is needed, and every change that will be made.

Planning has two halves, because a block is reserved between them: `requirement` says what is needed and what a block
must not overlap; the ledger (or, off-line, the first free block) answers; `plan` turns the block into a document.
"""

from __future__ import annotations

from ip_remediator.domain.alternatives import ALTERNATIVES
from ip_remediator.domain.planning.changes import cni_settings, eni_config_manifest
from ip_remediator.domain.planning.documents import (
    BlockRequirement,
    Change,
    Option,
    Plan,
    PlannedSubnet,
    Source,
    Strategy,
    digest,
    handover_of,
    subnet_placeholder,
)
from ip_remediator.domain.planning.making import block_refusal, plan
from ip_remediator.domain.planning.requirements import requirement
from ip_remediator.domain.planning.strategies import WISHES, Wish
from ip_remediator.domain.planning.terms import Terms
from ip_remediator.domain.refusals import CannotPlan

__all__ = [
    "ALTERNATIVES",
    "WISHES",
    "BlockRequirement",
    "CannotPlan",
    "Change",
    "Option",
    "Plan",
    "PlannedSubnet",
    "Source",
    "Strategy",
    "Terms",
    "Wish",
    "block_refusal",
    "cni_settings",
    "digest",
    "eni_config_manifest",
    "handover_of",
    "plan",
    "requirement",
    "subnet_placeholder",
]
