"""Where the tests stop an execution: at every state of a state machine in which time passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from ip_remediator.incidents.record import Incident
from tests.integration.support.lab import PERMANENT, Lab
from tests.support.waiting import eventually
from tests.unit.docs.documents import ROOT

# Their ways take minutes, and what they leave is what their neighbours leave.
TAKES_TOO_LONG = {"Wait for the VPC's other incident", "Judge what is there", "Judge what runs"}
CONFIRMED = (("confirmed", True), ("evict", True))


def states_of(machine: str) -> list[str]:
    """The states in which time passes; those inside a Map as well."""
    definition = json.loads((ROOT / "statemachine" / f"{machine}.asl.json").read_text())
    return sorted(_working(definition["States"]))


def _working(states: dict[str, Any]) -> Iterator[str]:
    for name, state in states.items():
        if state["Type"] in ("Task", "Wait", "Map"):
            yield name
        if state["Type"] == "Map":
            yield from _working(state["ItemProcessor"]["States"])


@dataclass(frozen=True)
class Way:
    """How an execution comes to a state: what it is started with, what it meets, and what people answer."""

    asked: tuple[tuple[str, Any], ...] = ()
    meets: Callable[[Lab], AbstractContextManager[None]] = lambda _: nullcontext()
    answer: str | None = None


def refusing(service: str, action: str, function: str) -> Callable[[Lab], AbstractContextManager[None]]:
    fault = {"service": service, "action": action, "error": "AccessDeniedException", "status": 403, "times": PERMANENT}
    return lambda lab: lab.faults({**fault, "principal": function})


def answer(lab: Lab, incident: Incident, way: Way) -> None:
    if not way.answer:
        return
    action = way.answer
    message = eventually(
        "people are asked",
        lambda: lab.messages(incident.id)[0],
        lambda shown: action in lab.buttons(shown),
        60,
    )
    lab.click(message, action)
