"""Options of the stack and of a run by hand, checked alone and against the cluster's facts."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, cast

from ip_remediator.common import cidr as cidrs
from ip_remediator.diagnosis.model import Diagnosis
from ip_remediator.incidents.record import RunRequest
from ip_remediator.incidents.requests import InvalidInput
from ip_remediator.planning.build_plan import block_refusal
from ip_remediator.planning.model import REQUESTED_STRATEGIES, BlockRequirement, RequestedStrategy
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.model import Snapshot

if TYPE_CHECKING:
    pass


def stack_options(strategy: str, pools: str, excluded: str, ipam_pool: str) -> PlanningOptions:
    """The stack's parameters, as the template writes them: CIDRs separated by commas, "none" for nothing.

    Raises:
        ValueError: names the setting.
    """
    if strategy not in REQUESTED_STRATEGIES:
        raise ValueError(f"setting STRATEGY: {strategy!r} is none; use {', '.join(REQUESTED_STRATEGIES)}")
    return PlanningOptions(
        pools=_networks("POOLS", pools),
        excluded=_networks("EXCLUDED_CIDRS", excluded),
        strategy=cast("RequestedStrategy", strategy),
        ipam_pool=None if ipam_pool == "none" else ipam_pool,
    )


def with_sizes(options: PlanningOptions, block: str, subnet: str) -> PlanningOptions:
    """`options` with the parameters BlockPrefix ("auto", "needed" or a number) and SubnetPrefix ("auto" or a number).

    Raises:
        ValueError: names the setting.
    """
    return replace(
        options,
        block_prefix=None if block == "needed" else _prefix("BLOCK_PREFIX", block),
        subnet_prefix=_prefix("SUBNET_PREFIX", subnet),
        as_needed=block == "needed",
    )


def _prefix(name: str, text: str) -> int | None:
    if text == "auto":
        return None
    if not (text.isascii() and text.isdigit() and cidrs.LARGEST_PREFIX <= int(text) <= cidrs.SMALLEST_PREFIX):
        raise ValueError(
            f"setting {name}: {text!r} is no prefix length; give auto, or a number from {cidrs.LARGEST_PREFIX} to "
            f"{cidrs.SMALLEST_PREFIX}"
        )
    return int(text)


def _networks(name: str, text: str) -> tuple[IPv4Network, ...]:
    try:
        return tuple(IPv4Network(cidr.strip()) for cidr in text.split(",") if cidr.strip() not in ("", "none"))
    except ValueError as error:
        raise ValueError(f"setting {name}: {error}; give CIDRs such as 100.64.0.0/10, separated by commas") from error


def required(
    snapshot: Snapshot, diagnosis: Diagnosis, request: RunRequest, options: PlanningOptions
) -> BlockRequirement:
    """What is needed, on the stack's `options`, with the zones, the block and the strategy that a person asked for.

    Raises:
        InvalidInput: the cluster or its VPC cannot have what was asked for.
        CannotPlan: no plan is possible whatever is asked for.
    """
    zones = tuple(dict.fromkeys(request.zones))
    requested = replace(
        options,
        zones=zones,
        block=IPv4Network(request.block) if request.block else None,
        strategy=request.strategy or options.strategy,
        insists=options.insists or request.strategy is not None,
    )
    if zones:
        _check_zones(zones, snapshot, requested.strategy)
    try:
        needed = requirement(snapshot, diagnosis, requested)
    except CannotPlan as refusal:
        if refusal.field == "strategy" and request.strategy:
            raise InvalidInput(f"field 'strategy': {refusal}") from refusal
        if refusal.field == "strategy":
            asked = (
                "set by the parameter Strategy or the cluster's tag eks-ip-remediator:strategy; auto takes what fits"
            )
            raise CannotPlan(f"{refusal} ({asked})", refusal.alternatives, field=refusal.field) from refusal
        raise
    if requested.block:
        _check_block(requested.block, needed, snapshot)
    return needed


def _check_zones(zones: tuple[str, ...], snapshot: Snapshot, strategy: RequestedStrategy) -> None:
    occupied = {node.zone for node in snapshot.nodes if node.zone and node.runs_vpc_cni}
    zones_with_nodes = ", ".join(sorted(occupied))
    unoccupied = sorted(set(zones) - occupied)
    if unoccupied:
        raise InvalidInput(
            f"field 'zones': the cluster has no nodes in {', '.join(unoccupied)}; it has some in {zones_with_nodes}"
        )
    left_out = sorted(occupied - set(zones))
    if left_out and strategy == "custom-networking" and not snapshot.cni.custom_networking:
        raise InvalidInput(
            f"field 'zones': custom networking is turned on by this run, for the whole cluster: without an ENIConfig "
            f"the nodes in {', '.join(left_out)} would become NotReady. Name all of {zones_with_nodes}, or leave the "
            "field out"
        )


def _check_block(block: IPv4Network, needed: BlockRequirement, snapshot: Snapshot) -> None:
    try:
        refusal = block_refusal(snapshot, needed, block)
        cidrs.split_over_zones(block, needed.new_zones, needed.subnet_prefix)
    except cidrs.CannotSplit as error:
        refusal = str(error)
    if refusal:
        raise InvalidInput(f"field 'block': {refusal}")
