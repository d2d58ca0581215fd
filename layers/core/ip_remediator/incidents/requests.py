"""What people type to start an execution: parsed, with errors that name the field and the remedy."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, StrictBool, StringConstraints, ValidationError

from ip_remediator.common import cidr as cidrs
from ip_remediator.common.document import Document, DocumentT, typed_by_people
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Incident, RunRequest
from ip_remediator.planning.strategies import RequestedStrategy

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


class InvalidInput(Exception):
    """The execution's input is wrong; the message names the field and what it may be."""


def _block(text: str) -> str:
    try:
        block = IPv4Network(text)
    except ValueError as error:
        raise ValueError(f"{error}; write it as 100.64.16.0/20") from error
    if not cidrs.LARGEST_PREFIX <= block.prefixlen <= cidrs.SMALLEST_PREFIX:
        raise ValueError(f"AWS takes blocks of /{cidrs.LARGEST_PREFIX} to /{cidrs.SMALLEST_PREFIX}")
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
