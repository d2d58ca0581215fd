"""What passes to a later incident when the one that it stands on is rolled back first.

A second incident of a cluster uses what the first one made: its CIDR, the CRD, custom networking; and its own record
says that the ENIConfigs pointed at the first one's subnets before. Rolled back first, the first one therefore gives
all of that to the second: that one's later rollback then restores what was there before both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ip_remediator.common.document import Document
from ip_remediator.incidents.record import ChangeKind, ChangeMade

# Parts of the cluster that serve every incident's ENIConfigs.
_SHARED = (ChangeKind.CNI, ChangeKind.CRD)


class Succession(Document):
    """`given` leave the record of the incident, `received` are what the heir's record has instead."""

    heir: str
    given: tuple[ChangeMade, ...]
    received: tuple[ChangeMade, ...]

    @property
    def with_cidr(self) -> bool:
        return any(change.kind is ChangeKind.VPC_CIDR for change in self.given)


def successions(
    incident: str,
    made: Sequence[ChangeMade],
    later: Mapping[str, Sequence[ChangeMade]],
    subnets: frozenset[str],
    cidr_heir: str | None,
) -> list[Succession]:
    """What `incident` gives to whom.

    `made` are its changes, `later` those of the incidents that may stand on it; `subnets` are the ids of its own
    subnets; `cidr_heir` has subnets in its CIDR.
    """
    heirs = heirs_of_eni_configs(later, subnets)
    of_cluster = min(heirs.values(), default=None)
    found: dict[str, tuple[list[ChangeMade], list[ChangeMade]]] = {}
    for change in made:
        if change.kind is ChangeKind.ENICONFIG and change.target in heirs:
            heir = heirs[change.target]
            theirs = next(other for other in later[heir] if _same(other, change))
            received = theirs.model_copy(update={"before": change.before})
        elif change.kind in _SHARED and of_cluster:
            heir, received = (
                of_cluster,
                change.model_copy(update={"after": {"incident": incident, **(change.after or {})}}),
            )
        elif change.kind is ChangeKind.VPC_CIDR and cidr_heir:
            heir, received = cidr_heir, change
        else:
            continue
        given, taken = found.setdefault(heir, ([], []))
        given.append(change)
        taken.append(received)
    return [Succession(heir=heir, given=tuple(one), received=tuple(two)) for heir, (one, two) in sorted(found.items())]


def heirs_of_eni_configs(later: Mapping[str, Sequence[ChangeMade]], subnets: frozenset[str]) -> dict[str, str]:
    """By ENIConfig, the later incident that found it pointing at one of `subnets`."""
    return {
        change.target: incident
        for incident, changes in later.items()
        for change in changes
        if change.kind is ChangeKind.ENICONFIG
        and change.before is not None
        and change.before["spec"].get("subnet") in subnets
    }


def _same(one: ChangeMade, other: ChangeMade) -> bool:
    return (one.kind, one.target) == (other.kind, other.target)
