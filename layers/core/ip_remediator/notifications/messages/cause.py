"""Why pods have no address: one line for those who know, the evidence for those who decide."""

from __future__ import annotations

from ip_remediator.common.enums import Verdict
from ip_remediator.common.text import counted
from ip_remediator.diagnosis.diagnose import Diagnosis, ZoneDiagnosis
from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.text import Line, Part, code, items, listed, names, words

_ZONES_NAMED = 3


def cause_line(incident: Incident) -> Line:
    """The cause in a sentence; before the diagnosis, what it is about."""
    if incident.diagnosis is None:
        return Line(affected(incident), "none", label="Affected")
    return Line(_sentence(incident.diagnosis), "none", label="Cause")


def affected(incident: Incident) -> str:
    """How many pods have no address as far as the signals know, with the first names."""
    pods = incident.signals.pods
    if not pods:
        return "no pod is known yet that waits for an address"
    return f"{counted(len(pods), 'pod')} ({names(pods, shown=2)}) {_wait(len(pods))} for an address"


def zones(incident: Incident) -> Part:
    """How it stands in each zone, where they differ: else the cause says it all."""
    found = incident.diagnosis.zones if incident.diagnosis else ()
    if len({(zone.verdict, zone.free == 0) for zone in found}) <= 1:
        return Part("Zones", [])
    return Part("Zones", items((_zone(zone) for zone in found), shown=6))


def _zone(zone: ZoneDiagnosis) -> str:
    free = counted(zone.free, "free address", "free addresses") if zone.free else "no free address"
    if zone.free is None:
        free = "free addresses unknown"
    waiting = f"{counted(zone.stuck_pods, 'pod')} {_wait(zone.stuck_pods)}" if zone.stuck_pods else "no pod waits"
    return f"{words(zone.zone)}: {free}, {counted(zone.nodes, 'node')}, {waiting}"


def evidence(incident: Incident) -> Part:
    """What the verdict rests on, and what could not be read."""
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return Part("Evidence", [])
    lines = items((words(fact) for fact in diagnosis.evidence), shown=6)
    if diagnosis.unknown:
        lines.append(Line("not known: " + "; ".join(words(gap) for gap in diagnosis.unknown[:3])))
    return Part("Evidence", lines)


def signals(incident: Incident) -> Part:
    """What made us look."""
    seen = incident.signals
    lines = [Line(words(incident.reason))] if incident.reason else []
    if seen.causes:
        lines.append(Line("the signals prove " + ", ".join(words(cause).replace("_", " ") for cause in seen.causes)))
    if seen.excerpt:
        lines.append(Line(code(seen.excerpt)))
    return Part("Signals", lines)


def _sentence(diagnosis: Diagnosis) -> str:
    if diagnosis.verdict is not Verdict.SUBNET_EXHAUSTED:
        return f"{str(diagnosis.verdict).replace('_', ' ')}: {words(diagnosis.summary)}"
    full = [zone for zone in diagnosis.zones if zone.verdict is Verdict.SUBNET_EXHAUSTED]
    waiting = sum(zone.stuck_pods for zone in diagnosis.zones)
    shown = [words(zone.zone) for zone in full[:_ZONES_NAMED]]
    more = [f"{len(full) - _ZONES_NAMED} more"] if len(full) > _ZONES_NAMED else []
    if not full or any(zone.free is None for zone in full):
        return words(diagnosis.summary)
    free = sum(zone.free or 0 for zone in full)
    left = f" ({counted(free, 'address', 'addresses')} left)" if free else ""
    waits = f"{counted(waiting, 'pod')} {_wait(waiting)} for an address" if waiting else "no pod waits yet"
    foreseen = [zone.full_at for zone in full if zone.full_at and zone.free]
    if foreseen and len(foreseen) == len(full):
        return f"no address left in {listed(shown + more)} from {min(foreseen):%Y-%m-%d %H:%M} UTC{left}: {waits}"
    return f"subnet exhausted in {listed(shown + more)}{left}: {waits}"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"
