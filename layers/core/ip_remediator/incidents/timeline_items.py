"""Entries of the timeline as items of the Incidents table, and as its stream shows them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ip_remediator.clients.aws.dynamodb import Item
from ip_remediator.incidents.timeline import AUTOMATIC, Entry, EventDetail, Stage, State, entry

_PREFIX = "EVENT#"


def timeline_item(
    incident: str,
    at: datetime,
    stage: Stage,
    state: State,
    detail: str = "",
    by: str = AUTOMATIC,
    facts: EventDetail | None = None,
) -> Item:
    """A new item; the nonce keeps two entries of one microsecond apart."""
    key = f"{at.isoformat(timespec='microseconds')}#{secrets.token_hex(2)}"
    new = entry(f"{incident}#{key}", at, stage, state, by, detail, facts or EventDetail())
    return {"pk": f"INCIDENT#{incident}", "sk": f"{_PREFIX}{key}", "entry": new.model_dump_json(exclude_none=True)}


def read_entry(item: Mapping[str, Any]) -> Entry:
    """The entry in an item of the Incidents table. Raises ValidationError."""
    return Entry.model_validate_json(str(item["entry"]))


def streamed_entries(records: list[dict[str, Any]]) -> list[tuple[str, Entry]]:
    """The entries that a DynamoDB Streams batch adds, each with its incident, in their order."""
    images = [record["dynamodb"].get("NewImage", {}) for record in records if record.get("eventName") == "INSERT"]
    return [
        (image["pk"]["S"].removeprefix("INCIDENT#"), read_entry({"entry": image["entry"]["S"]}))
        for image in images
        if image.get("sk", {}).get("S", "").startswith(_PREFIX)
    ]
