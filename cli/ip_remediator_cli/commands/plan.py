"""`ip-remediator plan`: what would be done about a snapshot.

The deployed planner takes its block from the ledger; off-line it is the first free block of the pool, which is the
same one as long as the ledger has no reservations of others.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any, get_origin

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.planning import build_plan
from ip_remediator.planning.address_map import address_map, map_svg
from ip_remediator.planning.model import BlockRequirement, Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import instead, requirement
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.commands.diagnose import causes, describe_map, status_of
from ip_remediator_cli.documents import in_format, write_text
from ip_remediator_cli.errors import NOT_CURABLE, NOT_NEEDED, OK
from ip_remediator_cli.plan_text import describe_plan
from ip_remediator_cli.snapshot_file import read_snapshot
from ip_remediator_cli.tables import bullets, cell, page


def run(arguments: Namespace) -> int:
    """Prints the plan for a snapshot, or why there is none; returns the exit status."""
    snapshot = read_snapshot(arguments.snapshot)
    diagnosis = diagnose(snapshot, causes(arguments, snapshot.cluster.name))
    try:
        made = make_plan(snapshot, diagnosis, _options(arguments))
    except CannotPlan as reason:
        document = _refusal_document(diagnosis, reason)
        shown = _refusal(snapshot, diagnosis, reason)
        print(shown if arguments.output == "table" else in_format(arguments.output, document))
        return NOT_NEEDED if status_of(diagnosis) == NOT_NEEDED else NOT_CURABLE
    space = address_map(snapshot, made)
    if arguments.map:
        write_text(arguments.map, map_svg(space, f"{snapshot.cluster.name}: address space after the plan"), "--map")
    output = page(describe_plan(snapshot.cluster.name, made), describe_map(space))
    print(output if arguments.output == "table" else in_format(arguments.output, made.model_dump(mode="json")))
    return OK


def _options(arguments: Namespace) -> PlanningOptions:
    return PlanningOptions(
        pools=tuple(arguments.pool or [cidrs.CGNAT]),
        excluded=tuple(arguments.exclude),
        strategy=arguments.strategy or "custom-networking",
        insists=arguments.strategy is not None,
        block_prefix=None if arguments.block_prefix == "needed" else arguments.block_prefix,
        subnet_prefix=arguments.subnet_prefix,
        as_needed=arguments.block_prefix == "needed",
        cluster_subnets_of="*" if arguments.cluster_subnets else "none",
    )


def make_plan(snapshot: Snapshot, diagnosis: Diagnosis, options: PlanningOptions) -> Plan:
    """The plan with the first free block. Raises CannotPlan."""
    needed = requirement(snapshot, diagnosis, options)
    block = next(_fitting_blocks(snapshot, needed), None) if needed.needs_block else None
    if needed.needs_block and block is None:
        raise CannotPlan(
            f"no /{needed.prefix} is free in {', '.join(needed.pools)}{_who_has(needed)}: give another --pool, or "
            "exclude less",
            instead(snapshot, diagnosis),
        )
    return build_plan.plan(snapshot, diagnosis, needed, block)


def _who_has(needed: BlockRequirement) -> str:
    """The widest ranges in the way."""
    pools = [IPv4Network(pool) for pool in needed.pools]
    taken = [(IPv4Network(cidr), user) for cidr, user in needed.excluded.items()]
    inside = sorted((cidr.prefixlen, cidr, user) for cidr, user in taken if any(cidr.overlaps(pool) for pool in pools))
    users = "; ".join(f"{cidr} is the {user}" for _, cidr, user in inside[:3])
    return f" ({users})" if users else ""


def _fitting_blocks(snapshot: Snapshot, needed: BlockRequirement) -> Iterator[IPv4Network]:
    taken = [IPv4Network(cidr) for cidr in needed.excluded]
    places = [(prefix, pool) for prefix, _ in needed.sizes for pool in needed.pools]
    for prefix, pool in places:
        for block in cidrs.free_blocks(IPv4Network(pool), taken, prefix):
            if build_plan.block_refusal(snapshot, needed, block) is None:
                yield block


def _refusal_document(diagnosis: Diagnosis, reason: CannotPlan) -> dict[str, Any]:
    """Every field of a plan, null or empty; `expectation` says why there is none."""
    empty: dict[str, Any] = {name: [] if _is_list(name) else None for name in Plan.model_fields}
    document: dict[str, Any] = {
        "curable": False,
        "verdict": diagnosis.verdict.value,
        "unknown": list(diagnosis.unknown),
        "expectation": str(reason),
        "alternatives": [] if status_of(diagnosis) == NOT_NEEDED else list(reason.alternatives),
    }
    return empty | document


def _is_list(field: str) -> bool:
    return get_origin(Plan.model_fields[field].annotation) is tuple


def _refusal(snapshot: Snapshot, diagnosis: Diagnosis, reason: CannotPlan) -> str:
    not_needed = status_of(diagnosis) == NOT_NEEDED
    return page(
        f"{cell(snapshot.cluster.name)}: {'nothing to plan' if not_needed else 'no plan is possible'}\n{cell(reason)}",
        "" if not_needed else bullets("Instead", reason.alternatives),
        bullets("Unknown, because the snapshot does not say", diagnosis.unknown),
    )
