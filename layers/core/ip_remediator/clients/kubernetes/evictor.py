"""Moving pods off their nodes by evictions, which disruption budgets may refuse."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ip_remediator.clients.kubernetes.api import EvictionRefused, KubeApi
from ip_remediator.clients.kubernetes.pods import Evictable, KubePods

# Slow enough for a deployment's pods to start elsewhere before many are gone, even without a disruption budget.
EVICTIONS_PER_SECOND = 5.0
EVICTIONS_AT_ONCE = 50

PodT = TypeVar("PodT", bound=Evictable)


@dataclass(frozen=True)
class Refusal(Generic[PodT]):
    """A pod whose eviction a disruption budget refused; `message` is the API server's."""

    pod: PodT
    message: str


@dataclass(frozen=True)
class Evictor:
    """Raises the errors of `clients.kubernetes.api`. `sleep` is time.sleep unless a test says so."""

    kube: KubeApi
    sleep: Callable[[float], None] = time.sleep

    def evict(self, pods: Sequence[PodT]) -> list[Refusal[PodT]]:
        """Asks for the eviction of the first `EVICTIONS_AT_ONCE` pods, one after the other; returns the refusals."""
        api, refusals = KubePods(self.kube), []
        for pod in pods[:EVICTIONS_AT_ONCE]:
            try:
                api.evict(pod)
            except EvictionRefused as error:
                refusals.append(Refusal(pod, str(error)))
            self.sleep(1 / EVICTIONS_PER_SECOND)
        return refusals
