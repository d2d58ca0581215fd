"""Why pods have no address: a phrase for the headline, a sentence for the message, and the evidence."""

from __future__ import annotations

from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.common.text import counted
from ip_remediator.diagnosis.model import Diagnosis, ZoneDiagnosis
from ip_remediator.incidents.record import Incident
from ip_remediator.notifications.messages.text import Line, Part, code, items, listed, moment, names, words

_ZONES_NAMED = 3
# Shortages in which every pod has its address.
_OTHERS = {
    Verdict.NODE_LAUNCH: "no node can be launched: its subnet is full",
    Verdict.CLUSTER_SUBNETS: "EKS lacks addresses in the cluster's subnets",
}


def problem(incident: Incident) -> str:
    """What is wrong, for the headline: 2 pods have no IP address."""
    pods = waiting(incident)
    if pods:
        return f"{counted(pods, 'pod')} {_has_or_have(pods)} no IP address"
    if incident.diagnosis is None:
        return "pods may have no IP address"
    if incident.diagnosis.verdict in _OTHERS:
        return _OTHERS[incident.diagnosis.verdict]
    if any(zone.free == 0 for zone in incident.diagnosis.zones):
        return "no free IP address is left"
    return "IP addresses are running out" if incident.diagnosis.curable else "pods may get no IP address"


def waiting(incident: Incident) -> int:
    """How many pods have no address: those of the diagnosis, or of the signals if these named more since."""
    return max(diagnosed(incident), len(incident.signals.pods))


def diagnosed(incident: Incident) -> int:
    """How many pods had no address when it was diagnosed."""
    return sum(zone.stuck_pods for zone in incident.diagnosis.zones) if incident.diagnosis else 0


def since_diagnosis(incident: Incident) -> int:
    """How many more pods have no address than were known when it was diagnosed."""
    return waiting(incident) - diagnosed(incident) if incident.diagnosis else 0


def cause_line(incident: Incident) -> Line:
    """The cause in a sentence; before the diagnosis, what it is about."""
    if incident.diagnosis is None:
        return Line(affected(incident), "none", label="Affected")
    return Line(sentence(incident), "none", label="Cause")


def affected(incident: Incident) -> str:
    """How many pods have no address, by the signals, with the first names."""
    pods = incident.signals.pods
    if not pods:
        return "no pod is known yet that waits for an address"
    return f"{counted(len(pods), 'pod')} ({names(pods, shown=2)}) {_wait(len(pods))} for an address"


def zones(incident: Incident) -> Part:
    """The state of each zone, if they differ; otherwise the cause says everything."""
    diagnosed_zones = incident.diagnosis.zones if incident.diagnosis else ()
    if len({(zone.verdict, zone.free == 0) for zone in diagnosed_zones}) <= 1:
        return Part("Zones", [])
    return Part("Zones", items((_zone(zone) for zone in diagnosed_zones), shown=6))


def _zone(zone: ZoneDiagnosis) -> str:
    free = counted(zone.free, "free address", "free addresses") if zone.free else "no free address"
    if zone.free is None:
        free = "free addresses unknown"
    waits = f"{counted(zone.stuck_pods, 'pod')} {_wait(zone.stuck_pods)}" if zone.stuck_pods else "no pod waits"
    return f"{words(zone.zone)}: {free}, {counted(zone.nodes, 'node')}, {waits}"


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
    """The signals that opened the incident."""
    summary = incident.signals
    lines = [Line(words(incident.reason))] if incident.reason else []
    if summary.causes:
        lines.append(Line("the signals prove " + ", ".join(words(cause).replace("_", " ") for cause in summary.causes)))
    if summary.excerpt:
        lines.append(Line(code(summary.excerpt)))
    return Part("Signals", lines)


def sentence(incident: Incident) -> str:
    """The cause. While the incident is open it tells how many pods wait, afterwards how many did."""
    diagnosis = incident.diagnosis
    if diagnosis is None:
        return affected(incident)
    if diagnosis.verdict is not Verdict.SUBNET_EXHAUSTED:
        return f"{str(diagnosis.verdict).replace('_', ' ')}: {words(diagnosis.summary)}{_since(incident)}"
    full = [zone for zone in diagnosis.zones if zone.verdict is Verdict.SUBNET_EXHAUSTED]
    if not full or any(zone.free is None for zone in full):
        return words(diagnosis.summary) + _since(incident)
    shown = [words(zone.zone) for zone in full[:_ZONES_NAMED]]
    more = [f"{len(full) - _ZONES_NAMED} more"] if len(full) > _ZONES_NAMED else []
    return f"{_fullness(full, listed(shown + more))}{_waits(incident, diagnosis)}{_since(incident)}"


def _fullness(full: list[ZoneDiagnosis], where: str) -> str:
    free = sum(zone.free or 0 for zone in full)
    remaining = f" ({counted(free, 'address', 'addresses')} left)" if free else ""
    foreseen = [zone.full_at for zone in full if zone.full_at and zone.free]
    if foreseen and len(foreseen) == len(full):
        return f"no address left in {where} from {moment(min(foreseen))}{remaining}: "
    return f"subnet exhausted in {where}{remaining}: "


def _waits(incident: Incident, diagnosis: Diagnosis) -> str:
    pods = sum(zone.stuck_pods for zone in diagnosis.zones)
    if incident.open:
        return f"{counted(pods, 'pod')} {_wait(pods)} for an address" if pods else "no pod waits yet"
    return f"{counted(pods, 'pod')} waited for an address" if pods else "no pod waited yet"


def _since(incident: Incident) -> str:
    """What signals reported after the diagnosis, while it matters."""
    more = since_diagnosis(incident)
    if more <= 0 or incident.outcome in (Outcome.HEALED, Outcome.NOT_NEEDED, Outcome.ROLLED_BACK):
        return ""
    wait = _wait(more) if incident.open else "waited"
    return f". Since then {counted(more, 'more pod') if diagnosed(incident) else counted(more, 'pod')} {wait}"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _has_or_have(number: int) -> str:
    return "has" if number == 1 else "have"
