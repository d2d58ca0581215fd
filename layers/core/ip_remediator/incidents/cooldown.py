"""Which shortages a cluster's closed incidents answered, and when: their signals are stragglers for a while.

CLUSTER#<cluster>   COOLDOWN   a shortage, such as `pods` or `pods/eu-west-1a`: when it was answered; gone after a day
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from ip_remediator.clients.aws.dynamodb import Item
from ip_remediator.common.enums import Outcome, Verdict
from ip_remediator.signals.correlation import Closings
from ip_remediator.signals.model import Affected, Shortage

_KEPT = timedelta(days=1)
_BETWEEN = "/"
# The diagnosis looks for shortages in this order: while one lasts, it does not come to those behind it.
_IN_ORDER = (Affected.PODS, Affected.NODES, Affected.CLUSTER)
_AFFECTED = {Verdict.NODE_LAUNCH: Affected.NODES, Verdict.CLUSTER_SUBNETS: Affected.CLUSTER}
EVERYTHING = tuple(map(Shortage, _IN_ORDER))


def shortages_answered(outcome: Outcome, verdict: Verdict | None, zones: Collection[str]) -> tuple[Shortage, ...]:
    """The shortages about which there is nothing new to say when an incident of this verdict ends.

    A healed one answers its own shortage, in the zones that its plan served (all of them where `zones` is empty).
    After any other end the shortage goes on, and another run would come to the same verdict, whichever later shortage
    a signal tells of.
    """
    affected = _AFFECTED.get(verdict, Affected.PODS) if verdict else Affected.PODS
    if outcome is Outcome.ROLLED_BACK:
        return EVERYTHING
    if outcome is not Outcome.HEALED:
        return EVERYTHING[_IN_ORDER.index(affected) :]
    return tuple(Shortage(affected, zone) for zone in sorted(zones)) or (Shortage(affected),)


def cooldown_key(cluster: str) -> dict[str, str]:
    """The key of the cluster's item."""
    return {"pk": f"CLUSTER#{cluster}", "sk": "COOLDOWN"}


def cooldown_attributes(shortages: Iterable[Shortage], now: datetime) -> Item:
    """What is written when these shortages are answered."""
    answered = {_BETWEEN.join(filter(None, shortage)): now.isoformat() for shortage in shortages}
    return {**answered, "ttl": int((now + _KEPT).timestamp())}


def closings_of(marker: Item, cooldown: Item | None) -> Closings | None:
    """The closings of a cluster; None if its `marker` names no closed incident."""
    if "closed_at" not in marker:
        return None
    answered = {
        Shortage(Affected(affected), zone or None): datetime.fromisoformat(str(moment))
        for name, moment in (cooldown or {}).items()
        for affected, _, zone in (name.partition(_BETWEEN),)
        if affected in set(Affected)
    }
    return Closings(datetime.fromisoformat(str(marker["closed_at"])), answered or None)
