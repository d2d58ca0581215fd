"""A node replacement for the message: the assessment, the question, the state of each node."""

from __future__ import annotations

from collections.abc import Iterator

from ip_remediator.common.text import counted
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.replacement_record import (
    NodeReplacement,
    NodeState,
    Replacement,
    ReplacementState,
    summary,
)
from ip_remediator.notifications.messages.state import replacement_asked
from ip_remediator.notifications.messages.text import Line, Part, code, items, moment, person, words

_TITLES = {
    ReplacementState.ASSESSED: "Replacement of nodes",
    ReplacementState.RUNNING: "Replacing nodes",
    ReplacementState.CANCELLED: "Replacement of nodes cancelled, nothing was changed",
    ReplacementState.STOPPED: "Replacement of nodes stopped",
    ReplacementState.DONE: "Nodes replaced",
}
_MARKS = {NodeState.WAITING: "open", NodeState.REPLACED: "done"}
_PACE = "All zones in parallel, one node at a time per zone; disruption budgets are respected"
_NODES_SHOWN = 8


def replacement(incident: Incident) -> Part:
    """The latest replacement; no lines where none was asked for."""
    latest = incident.replacement
    if latest is None:
        return Part("Replacement of nodes", [])
    return Part(_TITLES[latest.state], list(_lines(incident, latest)), limit=1500)


def numbers(incident: Incident) -> str:
    """2 nodes in 2 zones, 11 pods to be moved"""
    return summary(incident.replacements)


def _lines(incident: Incident, latest: Replacement) -> Iterator[Line]:
    yield Line(f"by {person(latest.requested_by)}", "none", label="Asked for")
    yield from _decision(incident, latest)
    if latest.state is not ReplacementState.CANCELLED:
        yield from _nodes(incident)
    yield from items((words(reason) for reason in latest.in_the_way), shown=5, mark="failed")
    yield from items((words(note) for note in latest.notes), shown=5)
    yield from items((words(reason) for reason in latest.stopped), shown=5, mark="failed")
    question = replacement_asked(incident)
    if question:
        yield Line(f"by {moment(question.expires_at)}, nothing is changed", "none", label="If nobody answers")
    elif latest.state is ReplacementState.RUNNING:
        yield Line(_PACE, "running")


def _decision(incident: Incident, latest: Replacement) -> Iterator[Line]:
    answer = incident.replacement_approval
    if answer and answer.decided_by:
        label = "Cancelled" if latest.state is ReplacementState.CANCELLED else "Confirmed"
        when = answer.decided_at or answer.expires_at
        yield Line(f"by {person(answer.decided_by)}, {moment(when)}", "none", label=label)


def _nodes(incident: Incident) -> Iterator[Line]:
    """How far each node is, as many as fit, zone by zone."""
    lines = [_node(zone, node) for zone, progress in sorted(incident.replacements.items()) for node in progress.nodes]
    yield from lines[:_NODES_SHOWN]
    if len(lines) > _NODES_SHOWN:
        yield Line(f"and {counted(len(lines) - _NODES_SHOWN, 'more node')}")


def _node(zone: str, node: NodeReplacement) -> Line:
    name = code(node.name)
    owner = f"Karpenter, NodeClaim {code(node.owner)}" if node.host == "karpenter" else f"group {code(node.owner)}"
    match node.state:
        case NodeState.WAITING:
            progress = f"{name} ({words(zone)}, {owner}): {counted(node.pods, 'pod')} to be moved"
        case NodeState.DRAINING:
            progress = f"{name} ({words(zone)}) is cordoned and drained of {counted(node.pods, 'pod')}"
        case NodeState.TERMINATING:
            progress = f"{name} ({words(zone)}) is being terminated by its {owner}; waiting for its replacement"
        case NodeState.REPLACED:
            fresh = code(node.new_node) if node.new_node else "nodes that were there already"
            progress = f"{name} ({words(zone)}) was replaced by {fresh}"
    return Line(progress, _MARKS.get(node.state, "running"))
