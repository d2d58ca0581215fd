"""Which signals open an incident, and which of a batch belong together."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from ip_remediator.domain.signals import Signal
from ip_remediator.domain.wordings import Cause

# How long after an incident closed the signals of its cluster are taken for stragglers: three evaluation periods of
# a five-minute alarm, well above what SQS and EventBridge need to deliver again.
COOLDOWN = timedelta(minutes=15)


def opens(signal: Signal) -> bool:
    """Whether the signal may open an incident by itself.

    Every known cause does, those included that more addresses do not cure (`cni_iam`, `node_limit`, ...): pods hang
    all the same, the diagnosis costs only reads, and its refusal tells people what to do instead. `OTHER` never
    does: a sandbox fails for many reasons that have nothing to do with addresses (runtime, image, disk, other CNIs).
    """
    return signal.cause is not Cause.OTHER


def by_cluster(signals: Iterable[Signal]) -> dict[str, tuple[Signal, ...]]:
    """The signals of each cluster in the order they came, each observation once.

    Only clusters for which something opens an incident are kept: unknown wordings go along as evidence, never alone.
    """
    clusters: dict[str, dict[str, Signal]] = {}
    for signal in signals:
        clusters.setdefault(signal.cluster, {})[signal.id] = signal
    grouped = {cluster: tuple(observed.values()) for cluster, observed in clusters.items()}
    return {cluster: observed for cluster, observed in grouped.items() if any(map(opens, observed))}
