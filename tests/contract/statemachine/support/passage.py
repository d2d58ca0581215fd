"""What an execution did, in a form in which two implementations can be compared."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

# What each implementation names in its own way.
EXECUTION, MACHINE, TOKEN = "<execution>", "<machine>", "<token>"


@dataclass(frozen=True)
class Passage:
    """`path`: the states outside of Maps in their order; `in_maps`: those inside, where zones run side by side.

    `calls`: by zone ("" outside of Maps), each call's state and payload in their order.
    """

    path: list[str]
    in_maps: Counter[str]
    calls: dict[str, list[tuple[str, Any]]]
    error: str | None
    cause: str | None
    output: Any


def passage(
    entered: list[str],
    payloads: list[dict[str, Any]],
    ending: tuple[str | None, str | None, Any],
    inside: set[str],
    own: dict[str, str],
) -> Passage:
    """`own`: texts of this execution, and what stands for them in a comparison."""
    calls: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for payload in payloads:
        trace = payload["trace"]["state"]
        zone = payload.get("zone", "") if trace in inside else ""
        kept = {key: value for key, value in payload.items() if key != "trace"}
        calls[str(zone)].append((trace, _comparable(kept, own)))
    error, cause, output = ending
    return Passage(
        path=[name for name in entered if name not in inside],
        in_maps=Counter(name for name in entered if name in inside),
        calls=dict(calls),
        error=error,
        cause=None if error and error.startswith("States.") else _text(cause or "", own) or None,
        output=_comparable(output, own),
    )


def _comparable(value: Any, own: dict[str, str]) -> Any:
    if isinstance(value, dict):
        kept = {name: _comparable(child, own) for name, child in value.items()}
        if str(kept.get("Error", "")).startswith("States."):
            # Both say in words of their own what was wrong with an expression.
            kept.pop("Cause", None)
        if "task_token" in kept:
            kept["task_token"] = TOKEN
        return kept
    if isinstance(value, list):
        return [_comparable(child, own) for child in value]
    return _text(value, own) if isinstance(value, str) else value


def _text(text: str, own: dict[str, str]) -> str:
    """With the message alone of what a function raised: its stack trace differs."""
    if text.startswith("{"):
        with suppress(ValueError, KeyError):
            text = str(json.loads(text)["errorMessage"])
    for one, placeholder in own.items():
        text = text.replace(one, placeholder)
    return text
