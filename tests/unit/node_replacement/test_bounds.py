"""One execution of the replacement stays below what Step Functions allows, however often each step is tried.

"Quotas related to state machine executions" (service-quotas.html): 25,000 events in a history; at that many the
execution fails, and no Catch sees it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.unit.docs.documents import ROOT

LARGEST_HISTORY = 25_000
# Regions have at most six zones today.
ZONES = 8
# A few seconds for a read; ten for fifty evictions, five a second.
SECONDS_OF_A_CALL = 12
DAY = 24 * 60

MACHINE = json.loads((ROOT / "statemachine" / "replace.asl.json").read_text())
MAP = MACHINE["States"]["Replace the nodes of each zone"]["ItemProcessor"]["States"]


def attempts(state: dict[str, Any]) -> int:
    return 1 + sum(int(retry["MaxAttempts"]) for retry in state.get("Retry", []))


def events(state: dict[str, Any]) -> int:
    """Entered, exited, and for each attempt of a task: scheduled, started, ended."""
    return 2 + (3 * attempts(state) if state["Type"] == "Task" else 0)


def minutes(state: dict[str, Any]) -> float:
    """The longest a task can take: its calls, and the waits between them."""
    if state["Type"] != "Task":
        return 0
    seconds = float(SECONDS_OF_A_CALL * attempts(state))
    for retry in state["Retry"]:
        longest = retry.get("MaxDelaySeconds", retry["IntervalSeconds"] * 10**6)
        waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** n for n in range(retry["MaxAttempts"])]
        seconds += sum(min(wait, longest) for wait in waits)
    return seconds / 60


def nodes_of_a_zone() -> int:
    condition = MAP["Is another node left?"]["Choices"][0]["Condition"]
    [number] = re.findall(r"\$states\.input\.replaced < (\d+)", condition)
    return int(number)


def test_the_history_of_an_execution_has_room_for_every_attempt() -> None:
    of_nodes = ZONES * nodes_of_a_zone() * sum(events(state) for state in MAP.values())
    others = sum(events(state) for state in MACHINE["States"].values())
    assert of_nodes + others < LARGEST_HISTORY


def test_an_execution_ends_within_a_day_even_after_the_longest_question() -> None:
    # given a question that is answered in the last minute (ApprovalMinutes)
    template = (ROOT / "template.yaml").read_text()
    [question] = re.findall(r"  ApprovalMinutes:\n(?:    .*\n)*?    MaxValue: (\d+)", template)

    # when each node takes as long as drain and successor may be waited for, Lambda itself being well
    waits = [state for name, state in MAP.items() if name in ("Drain the node", "Wait for the fresh node")]
    well = [
        {**state, "Retry": [retry for retry in state["Retry"] if retry["ErrorEquals"] == ["NotYet"]]} for state in waits
    ]
    of_nodes = nodes_of_a_zone() * sum(minutes(state) for state in well)

    # then it ends before its TimeoutSeconds, which no Catch sees
    assert int(question) + of_nodes < MACHINE["TimeoutSeconds"] / 60 <= DAY
