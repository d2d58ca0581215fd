"""What people ask for when they start a run by hand: checked first alone, then against the cluster's facts."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, ValidationError

from ip_remediator.domain import addressing, refusals
from ip_remediator.domain.document import Document
from ip_remediator.domain.exclusions import taken_ranges
from ip_remediator.domain.incidents import Mode, RunRequest
from ip_remediator.domain.planning import BlockRequirement, block_refusal
from ip_remediator.domain.snapshot import Snapshot


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
    dry_run: end with the complete plan, and change nothing.
    """

    cluster: str = Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z][0-9A-Za-z_-]*$")
    mode: Mode | None = None
    reason: str = Field(default="started by hand", max_length=300)
    block: Annotated[str, AfterValidator(_block)] | None = None
    zones: tuple[Zone, ...] | None = Field(default=None, min_length=1, max_length=10)
    strategy: Literal["auto", "custom-networking"] = "auto"
    dry_run: StrictBool = False

    @property
    def request(self) -> RunRequest:
        """What of it the incident's record keeps."""
        return RunRequest(mode=self.mode, block=self.block, zones=self.zones or (), dry_run=self.dry_run)


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
        given = f", not {first['input']!r:.80}" if first["type"] not in ("missing", "extra_forbidden") else ""
        allowed = ", ".join(kind.model_fields)
        raise InvalidInput(f"field {field!r}: {first['msg']}{given} (the input may have: {allowed})") from error


def narrowed(
    needed: BlockRequirement, request: RunRequest, snapshot: Snapshot, kept: Iterable[IPv4Network]
) -> BlockRequirement:
    """What is needed, with the zones and the block that a person asked for. `kept`: ranges excluded by the settings.

    Raises:
        InvalidInput: the cluster or its VPC cannot have what was asked for.
        CannotPlan: AWS adds no CIDR to the VPC, or no subnets.
    """
    if request.zones:
        needed = _with_zones(needed, tuple(dict.fromkeys(request.zones)), snapshot)
    if request.block:
        needed = _with_block(needed, IPv4Network(request.block), snapshot, kept)
    return needed


def _with_zones(needed: BlockRequirement, zones: tuple[str, ...], snapshot: Snapshot) -> BlockRequirement:
    inhabited = {node.zone for node in snapshot.nodes if node.zone and node.runs_vpc_cni}
    known = ", ".join(sorted(inhabited))
    empty = sorted(set(zones) - inhabited)
    if empty:
        raise InvalidInput(f"field 'zones': the cluster has no nodes in {', '.join(empty)}; it has some in {known}")
    left_out = sorted(inhabited - set(zones))
    if left_out and not snapshot.cni.custom_networking:
        raise InvalidInput(
            f"field 'zones': custom networking is turned on by this run, for the whole cluster: without an ENIConfig "
            f"the nodes in {', '.join(left_out)} would become NotReady. Name all of {known}, or leave the field out"
        )
    refusals.shared_eni_configs(snapshot, list(zones))
    refusals.at_subnet_quota(snapshot, len(zones))
    prefix = addressing.block_prefix_for(len(zones), needed.subnet_prefix)
    return needed.model_copy(update={"zones": zones, "prefix": prefix})


def _with_block(
    needed: BlockRequirement, block: IPv4Network, snapshot: Snapshot, kept: Iterable[IPv4Network]
) -> BlockRequirement:
    cidrs = (
        [IPv4Network(cidr.cidr) for cidr in snapshot.vpc.cidrs if cidr.state == "associated"] if snapshot.vpc else []
    )
    inside = any(block.subnet_of(cidr) for cidr in cidrs)
    if inside:
        taken = {subnet.cidr: f"subnet {subnet.id}" for subnet in snapshot.subnets}
    else:
        refusals.where_aws_adds_no_cidr(snapshot)
        taken = taken_ranges(snapshot)
    larger_by = needed.subnet_prefix - needed.prefix
    wanted = needed.model_copy(
        update={
            "source": "existing-cidr" if inside else "new-cidr",
            "pools": (str(block),),
            "prefix": block.prefixlen,
            "subnet_prefix": min(addressing.SMALLEST_PREFIX, block.prefixlen + larger_by),
            "excluded": taken | {str(network): "range excluded by the settings" for network in kept},
        }
    )
    try:
        refusal = block_refusal(snapshot, wanted, block)
        addressing.split_over_zones(block, wanted.zones, wanted.subnet_prefix)
    except addressing.CannotSplit as error:
        refusal = str(error)
    if refusal:
        raise InvalidInput(f"field 'block': {refusal}")
    return wanted
