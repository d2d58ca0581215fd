"""`ip-remediator report`: an incident as one self-contained HTML page, for a review or a ticket."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from ip_remediator.common.clock import utc_now
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.common.text import counted
from ip_remediator.incidents.record import ChangeKind, ChangeMade, Incident
from ip_remediator.incidents.snapshots import snapshot_of
from ip_remediator.planning.address_map import address_map, map_svg
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.risks.model import Risk
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.documents import write_text
from ip_remediator_cli.errors import OK
from ip_remediator_cli.parser import installed_version
from ip_remediator_cli.records import choose_incident
from ip_remediator_cli.tables import in_words, who

_UNDO = {
    ChangeKind.VPC_CIDR: "disassociated from the VPC, once no subnet is left in it",
    ChangeKind.SUBNET: "deleted, once no ENI is in it",
    ChangeKind.SUBNET_TAGS: "its former tags are restored",
    ChangeKind.CRD: "deleted, if no ENIConfig of others needs it",
    ChangeKind.ENICONFIG: "restored as it was before, or deleted if it did not exist",
    ChangeKind.CNI: "the former values of the variables are restored",
    ChangeKind.RECLAIMED_WARM: "the former warm targets are restored",
    ChangeKind.WARM_TARGETS: "the former warm targets are restored",
    ChangeKind.CORDON: "the node is uncordoned",
    ChangeKind.AUTO_SCALING_GROUP: "the group's subnets become as they were before",
    ChangeKind.CLUSTER_SUBNETS: "the cluster's subnets become as they were before",
}


@dataclass(frozen=True)
class Material:
    """Everything that a report tells. `snapshot`: None when the incident was never diagnosed."""

    incident: Incident
    timeline: Sequence[Mapping[str, str]]
    changes: Sequence[ChangeMade]
    snapshot: Snapshot | None


def run(arguments: Namespace) -> int:
    """Writes an incident as one HTML page; returns the exit status."""
    aws, deployment, records, incident = choose_incident(arguments)
    log = ChangeLog(aws.table(deployment.output("IncidentsTableName")), utc_now, incident.id)
    try:
        snapshot = snapshot_of(records.incidents, incident.id)
    except IncidentNotFound:
        snapshot = None
    file = arguments.file or Path(f"{incident.id}.html")
    page = render(Material(incident, records.timeline(incident.id), log.made(), snapshot), utc_now())
    write_text(file, page, "--file")
    print(f"written to {file}")
    return OK


def render(material: Material, now: datetime) -> str:
    """The page. It loads nothing from anywhere, and everything that comes from clusters and people is escaped."""
    incident = material.incident
    environment = Environment(
        loader=PackageLoader("ip_remediator_cli.commands", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        incident=incident,
        sentences=_sentences(incident),
        facts=_facts(incident),
        evidence=incident.diagnosis.evidence if incident.diagnosis else (),
        unknown=incident.diagnosis.unknown if incident.diagnosis else (),
        maps=_maps(material),
        changes=[_change(change) for change in material.changes],
        risks=[
            (risk.severity.name.lower(), risk.id, risk.breaks, _with_code(risk.remedy)) for risk in _risks(incident)
        ],
        pods=_pods(incident),
        timeline=[_event(event) for event in material.timeline],
        written=_time(now),
        version=installed_version(),
    )


def _with_code(text: str) -> Markup:
    """The text, escaped, with the commands that it has in backticks as code."""
    pieces = text.split("`")
    if len(pieces) % 2 == 0:
        return escape(text)
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if number % 2 else escape(piece) for number, piece in enumerate(pieces)
    )


def _sentences(incident: Incident) -> list[str]:
    """What happened, in three sentences: what was wrong, what was done, how it ended."""
    wrong = incident.diagnosis.summary if incident.diagnosis else "it was not diagnosed"
    done = "Nothing was planned."
    if incident.plan:
        plan = incident.plan
        done = f"The plan was {plan.strategy} with {plan.space}; expected: {plan.expectation}."
    ended = f"It is still open since {_time(incident.opened_at)}."
    if incident.outcome and incident.closed_at:
        ended = f"It ended as {incident.outcome} at {_time(incident.closed_at)}."
    return [f"On cluster {incident.cluster}: {wrong}.", done, ended]


def _signals(incident: Incident) -> str:
    """Nothing for a run that people started."""
    signals = incident.signals
    return f"{counted(signals.count, 'signal')} of {counted(len(signals.pods), 'pod')}" if signals.count else ""


def _facts(incident: Incident) -> list[tuple[str, str]]:
    approval = incident.approval
    by = f" by {approval.decided_by}" if approval and approval.decided_by else ""
    answered = f"{approval.state}{by}" if approval else "not asked for"
    failure = incident.failure
    facts = {
        "cluster": f"{incident.cluster} in {incident.region}",
        "opened": f"{_time(incident.opened_at)} ({incident.reason or 'by signals'})",
        "mode": str(incident.mode),
        "signals": _signals(incident),
        "approval": answered,
        "plan": incident.plan.hash if incident.plan else "",
        "failure": f"{failure.error} in {failure.step}: {failure.message}" if failure else "",
    }
    return [(name, value) for name, value in facts.items() if value]


def _maps(material: Material) -> list[Markup]:
    if material.snapshot is None or not (before := address_map(material.snapshot)):
        return []
    # map_svg escapes what it draws.
    maps = [Markup(map_svg(before, "Before"))]  # noqa: S704 # nosec B704
    if material.incident.plan and material.incident.subnets:
        after = address_map(material.snapshot, material.incident.plan)
        maps.append(Markup(map_svg(after, "After")))  # noqa: S704 # nosec B704
    return maps


def _event(event: Mapping[str, str]) -> tuple[str, ...]:
    return event["at"][:19].replace("T", " "), in_words(event["what"]), who(event["by"]), event["detail"]


def _change(change: ChangeMade) -> tuple[str, ...]:
    before = "nothing" if change.before is None else json.dumps(change.before, indent=1, sort_keys=True)
    undo = _UNDO.get(change.kind, "cannot be undone")
    return in_words(change.kind), change.target, before, undo


def _risks(incident: Incident) -> Iterable[Risk]:
    return incident.plan.risks if incident.plan else ()


def _pods(incident: Incident) -> list[tuple[str, ...]]:
    verification = incident.verification
    if verification is None:
        return []
    healed = [(f"{p.namespace}/{p.name}", p.address or "", p.zone or "", p.node or "") for p in verification.healed]
    return [*healed, *((name, "still waits", "", "") for name in verification.still_stuck)]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
