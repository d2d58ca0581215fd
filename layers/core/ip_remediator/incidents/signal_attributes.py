"""The summary of an incident's signals, as attributes of its record."""

from __future__ import annotations

from typing import Any

from ip_remediator.clients.aws.dynamodb import Item
from ip_remediator.signals.correlation import SignalSummary

_NAMES = ("causes", "pods", "nodes", "zones", "counted")
_TIMES = ("first_seen", "last_seen")


def attributes_of(summary: SignalSummary) -> Item:
    """Names as sets; what is empty is left out, as DynamoDB knows no empty set."""
    sets = {f"signal_{name}": set(getattr(summary, name)) for name in _NAMES}
    times = {f"signal_{name}": getattr(summary, name).isoformat() for name in _TIMES if getattr(summary, name)}
    filled = {name: names for name, names in sets.items() if names} | times
    return {"signal_count": summary.count, "signal_excerpt": summary.excerpt, **filled}


def summary_of(item: Item) -> SignalSummary:
    """The signals that the record's attributes `signal_*` count, without reading each."""
    names: dict[str, Any] = {name: tuple(sorted(item.get(f"signal_{name}", ()))) for name in _NAMES}
    times = {name: item[f"signal_{name}"] for name in _TIMES if f"signal_{name}" in item}
    count, excerpt = int(item.get("signal_count", 0)), str(item.get("signal_excerpt", ""))
    return SignalSummary(count=count, excerpt=excerpt, **names, **times)
