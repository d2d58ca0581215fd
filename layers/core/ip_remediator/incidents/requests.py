"""What people type to start an execution: parsed, with errors that name the field and the remedy."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, ValidationError

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.document import Document, DocumentT, typed_by_people
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.common.wrong_input import first_problem, in_words
from ip_remediator.incidents.record import Incident, RunRequest
from ip_remediator.planning.model import RequestedStrategy

_LONGEST_ZONE = 40


class InvalidInput(Exception):
    """The execution's input is wrong; the message names the field and what it may be."""


def _block(text: str) -> str:
    try:
        block = IPv4Network(text)
    except ValueError as error:
        raise ValueError("must be an IPv4 CIDR such as 100.64.16.0/20") from error
    if not cidrs.LARGEST_PREFIX <= block.prefixlen <= cidrs.SMALLEST_PREFIX:
        raise ValueError(f"must be a /{cidrs.LARGEST_PREFIX} to /{cidrs.SMALLEST_PREFIX}: AWS takes no other")
    return str(block)


def _zone(text: str) -> str:
    if not re.fullmatch(r"[a-z]{2}(-[a-z0-9]+)+", text) or len(text) > _LONGEST_ZONE:
        raise ValueError("must be the name of a zone such as eu-west-1a")
    return text


def _cluster(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z_-]{0,99}", text):
        raise ValueError("must be the name of an EKS cluster: letters, digits, - and _, at most 100")
    return text


Zone = Annotated[str, AfterValidator(_zone)]


class ManualRun(Document):
    """What people type into `start-execution`. Unknown fields are refused by name.

    block: the CIDR to use, instead of a free one of the pools.
    zones: those to serve, instead of those in need (of all with nodes, when custom networking is still off).
    strategy: how pods get the addresses, instead of the cluster's tag and the stack's Strategy.
    dry_run: end with the complete plan, and change nothing.
    """

    cluster: Annotated[str, AfterValidator(_cluster)]
    mode: Mode | None = None
    reason: str = Field(default="started by hand", max_length=300)
    block: Annotated[str, AfterValidator(_block)] | None = None
    zones: tuple[Zone, ...] | None = Field(default=None, min_length=1, max_length=10)
    strategy: RequestedStrategy | None = None
    dry_run: StrictBool = False

    @property
    def request(self) -> RunRequest:
        """What of it the incident's record keeps."""
        return RunRequest(
            mode=self.mode, block=self.block, zones=self.zones or (), strategy=self.strategy, dry_run=self.dry_run
        )


def run_again(incident: Incident, by: str) -> dict[str, object]:
    """The input of a new run for the incident's cluster, as `ManualRun` reads it. It asks people before it changes
    anything, whatever the cluster's mode, and otherwise wants what the first run wanted; after an observation, whose
    plan `by` has seen, the block of that plan as well."""
    earlier = incident.request or RunRequest()
    observed_plan = incident.plan if incident.outcome is Outcome.OBSERVED else None
    block = observed_plan.block if observed_plan and observed_plan.source == "new-cidr" else earlier.block
    choices = {"block": block, "zones": list(earlier.zones), "strategy": earlier.strategy}
    reason = f"asked for again by {by}, after incident {incident.id}"[:300]
    chosen = {name: value for name, value in choices.items() if value}
    return {"cluster": incident.cluster, "mode": Mode.APPROVE.value, "reason": reason, **chosen}


def parsed(kind: type[DocumentT], document: Any) -> DocumentT:
    """The document as `kind`.

    Raises:
        InvalidInput: names the first wrong field, and what the input may have.
    """
    try:
        return typed_by_people(kind, document)
    except ValidationError as error:
        first = first_problem(error)
        field = ".".join(str(part) for part in first["loc"]) or "input"
        allowed = ", ".join(kind.model_fields)
        raise InvalidInput(f"field {field!r}: {in_words(first)} (the input may have: {allowed})") from error
