"""Which changes a later incident takes over when the incident that it depends on is rolled back first.

A second incident of a cluster uses what the first one made: its CIDR, the CRD, custom networking. Its own record says
that the ENIConfigs pointed at the first one's subnets before. So when the first one is rolled back, it transfers all of
that to the second one, whose later rollback then restores what was there before both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ip_remediator.common.document import Document
from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange

# Parts of the cluster that serve every incident's ENIConfigs.
_SHARED = (ChangeKind.CNI, ChangeKind.CRD)


class Succession(Document):
    """The changes `given` leave the incident's record; the successor's record gets `received` instead."""

    successor: str
    given: tuple[RecordedChange, ...]
    received: tuple[ChangeMade, ...]

    @property
    def with_cidr(self) -> bool:
        """Whether the successor takes over the VPC's CIDR."""
        return any(change.kind is ChangeKind.VPC_CIDR for change in self.given)


def successions(
    incident: str,
    made: Sequence[RecordedChange],
    later: Mapping[str, Sequence[ChangeMade]],
    subnets: frozenset[str],
    cidr_successor: str | None,
) -> list[Succession]:
    """Which changes `incident` transfers to which later incident.

    `made` are its changes, `later` those of the incidents that may stand on it; `subnets` are the ids of its own
    subnets; `cidr_successor` has subnets in its CIDR.
    """
    successors_by_config = successors_of_eni_configs(later, subnets)
    of_cluster = min(successors_by_config.values(), default=None)
    by_successor: dict[str, tuple[list[RecordedChange], list[ChangeMade]]] = {}
    for change in made:
        if change.kind is ChangeKind.ENICONFIG and change.target in successors_by_config:
            successor = successors_by_config[change.target]
            later_change = next(other for other in later[successor] if _same(other, change))
            received = later_change.model_copy(update={"before": change.before})
        elif change.kind in _SHARED and of_cluster:
            successor, received = (
                of_cluster,
                change.model_copy(update={"after": {"incident": incident, **(change.after or {})}}),
            )
        elif change.kind is ChangeKind.VPC_CIDR and cidr_successor:
            successor, received = cidr_successor, change
        else:
            continue
        given, received_changes = by_successor.setdefault(successor, ([], []))
        given.append(change)
        received_changes.append(received)
    return [
        Succession(successor=successor, given=tuple(given), received=tuple(received))
        for successor, (given, received) in sorted(by_successor.items())
    ]


def successors_of_eni_configs(later: Mapping[str, Sequence[ChangeMade]], subnets: frozenset[str]) -> dict[str, str]:
    """By ENIConfig, the later incident that found it pointing at one of `subnets`."""
    return {
        change.target: incident
        for incident, changes in later.items()
        for change in changes
        if _pointed_before(change, subnets)
    }


def _pointed_before(change: ChangeMade, subnets: frozenset[str]) -> bool:
    """Whether it is an ENIConfig that pointed at one of `subnets` before the change."""
    if change.kind is not ChangeKind.ENICONFIG or change.before is None:
        return False
    return change.before["spec"].get("subnet") in subnets


def _same(change: ChangeMade, other: ChangeMade) -> bool:
    return (change.kind, change.target) == (other.kind, other.target)
