"""What people ask for when they start a run by hand: checked first alone, then against the cluster's facts."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, ValidationError

from ip_remediator.domain import addressing
from ip_remediator.domain.diagnosis import Diagnosis
from ip_remediator.domain.document import Document
from ip_remediator.domain.incidents import Mode, RunRequest
from ip_remediator.domain.planning import (
    WISHES,
    BlockRequirement,
    CannotPlan,
    Terms,
    Wish,
    block_refusal,
    requirement,
)
from ip_remediator.domain.snapshot import Snapshot

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class InvalidInput(Exception):
    """The execution's input is wrong; the message names the field and what it may be."""


def _block(text: str) -> str:
    try:
        block = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write it as 100.64.16.0/20") from error
    if not addressing.LARGEST_PREFIX <= block.prefixlen <= addressing.SMALLEST_PREFIX:
        raise ValueError(f"AWS takes blocks of /{addressing.LARGEST_PREFIX} to /{addressing.SMALLEST_PREFIX}")
    return str(block)


Zone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z0-9]+)+$", max_length=40)]


class ManualRun(Document):
    """What people type into `start-execution`. Unknown fields are refused by name.

    block: the CIDR to use, instead of a free one of the pools.
    zones: those to serve, instead of those in need (of all with nodes, when custom networking is still off).
    strategy: how pods get the addresses, instead of the cluster's tag and the stack's Strategy.
    dry_run: end with the complete plan, and change nothing.
    """

    cluster: str = Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$")
    mode: Mode | None = None
    reason: str = Field(default="started by hand", max_length=300)
    block: Annotated[str, AfterValidator(_block)] | None = None
    zones: tuple[Zone, ...] | None = Field(default=None, min_length=1, max_length=10)
    strategy: Wish | None = None
    dry_run: StrictBool = False

    @property
    def request(self) -> RunRequest:
        """What of it the incident's record keeps."""
        return RunRequest(
            mode=self.mode, block=self.block, zones=self.zones or (), strategy=self.strategy, dry_run=self.dry_run
        )


DocumentT = TypeVar("DocumentT", bound=Document)


def parsed(kind: type[DocumentT], document: Any) -> DocumentT:
    """The document as `kind`.

    Raises:
        InvalidInput: names the first wrong field, and what the input may have.
    """
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "input"
        allowed = ", ".join(kind.model_fields)
        raise InvalidInput(f"field {field!r}: {_in_words(first)} (the input may have: {allowed})") from error


# pydantic's errors by their type, in the words of somebody who writes JSON; its own text stands for all others.
_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not known",
    "model_type": "must be a JSON object",
    "string_type": "must be a string",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
    "string_too_long": "may have {max_length} characters at most",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "too_short": "must have at least one item",
    "too_long": "may have {max_length} items at most",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}
_SPEAK_FOR_THEMSELVES = ("missing", "extra_forbidden", "string_too_short", "too_short")


def _in_words(error: ErrorDetails) -> str:
    words = _WORDS.get(error["type"])
    text = words.format(**error.get("ctx", {})) if words else error["msg"]
    given = "" if error["type"] in _SPEAK_FOR_THEMSELVES else f", not {json.dumps(error['input'], default=str):.80}"
    return text + given


def stack_terms(strategy: str, pools: str, excluded: str, ipam_pool: str) -> Terms:
    """The stack's parameters, as the template writes them: CIDRs separated by commas, "none" for nothing.

    Raises:
        ValueError: names the setting.
    """
    if strategy not in WISHES:
        raise ValueError(f"setting STRATEGY: {strategy!r} is none; use {', '.join(WISHES)}")
    return Terms(
        pools=_networks("POOLS", pools),
        excluded=_networks("EXCLUDED_CIDRS", excluded),
        strategy=cast("Wish", strategy),
        ipam_pool=None if ipam_pool == "none" else ipam_pool,
    )


def _networks(name: str, text: str) -> tuple[IPv4Network, ...]:
    try:
        return tuple(IPv4Network(cidr.strip()) for cidr in text.split(",") if cidr.strip() not in ("", "none"))
    except ValueError as error:
        raise ValueError(f"setting {name}: {error}; give CIDRs such as 100.64.0.0/10, separated by commas") from error


def required(snapshot: Snapshot, diagnosis: Diagnosis, request: RunRequest, terms: Terms) -> BlockRequirement:
    """What is needed, on the stack's `terms`, with the zones, the block and the strategy that a person asked for.

    Raises:
        InvalidInput: the cluster or its VPC cannot have what was asked for.
        CannotPlan: no plan is possible whatever is asked for.
    """
    zones = tuple(dict.fromkeys(request.zones))
    wanted = replace(
        terms,
        zones=zones,
        block=IPv4Network(request.block) if request.block else None,
        strategy=request.strategy or terms.strategy,
        insists=terms.insists or request.strategy is not None,
    )
    if zones:
        _check_zones(zones, snapshot, wanted.strategy)
    try:
        needed = requirement(snapshot, diagnosis, wanted)
    except CannotPlan as refusal:
        if refusal.field == "strategy" and request.strategy:
            raise InvalidInput(f"field 'strategy': {refusal}") from refusal
        if refusal.field == "strategy":
            asked = (
                "set by the parameter Strategy or the cluster's tag eks-ip-remediator:strategy; auto takes what fits"
            )
            raise CannotPlan(f"{refusal} ({asked})", refusal.alternatives, field=refusal.field) from refusal
        raise
    if wanted.block:
        _check_block(wanted.block, needed, snapshot)
    return needed


def _check_zones(zones: tuple[str, ...], snapshot: Snapshot, wish: Wish) -> None:
    inhabited = {node.zone for node in snapshot.nodes if node.zone and node.runs_vpc_cni}
    known = ", ".join(sorted(inhabited))
    empty = sorted(set(zones) - inhabited)
    if empty:
        raise InvalidInput(f"field 'zones': the cluster has no nodes in {', '.join(empty)}; it has some in {known}")
    left_out = sorted(inhabited - set(zones))
    if left_out and wish == "custom-networking" and not snapshot.cni.custom_networking:
        raise InvalidInput(
            f"field 'zones': custom networking is turned on by this run, for the whole cluster: without an ENIConfig "
            f"the nodes in {', '.join(left_out)} would become NotReady. Name all of {known}, or leave the field out"
        )


def _check_block(block: IPv4Network, needed: BlockRequirement, snapshot: Snapshot) -> None:
    try:
        refusal = block_refusal(snapshot, needed, block)
        addressing.split_over_zones(block, needed.new_zones, needed.subnet_prefix)
    except addressing.CannotSplit as error:
        refusal = str(error)
    if refusal:
        raise InvalidInput(f"field 'block': {refusal}")
