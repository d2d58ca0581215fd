"""What the stuck pods' own events prove."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from ip_remediator.signals.error_catalogue import Cause, classify
from ip_remediator.snapshot.model_cluster import StuckPod

# The id of a sandbox makes every message one of its own.
_SANDBOX = re.compile(r"\b[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Words:
    """The causes by node; `examples` has a pod for each cause. The CNI's general message proves none."""

    by_node: dict[str | None, set[Cause]] = field(default_factory=dict)
    examples: dict[Cause, StuckPod] = field(default_factory=dict)

    @classmethod
    def of(cls, pods: Iterable[StuckPod]) -> Words:
        """Classifies each pod's message; messages that differ by their sandbox id only are classified once."""
        words = cls()
        cause_by_text: dict[str, Cause] = {}
        for pod in pods:
            if not pod.message:
                continue
            text = _SANDBOX.sub("", pod.message)
            cause = cause_by_text.get(text) or cause_by_text.setdefault(text, classify(text))
            if cause not in (Cause.NO_ADDRESS, Cause.OTHER):
                words.by_node.setdefault(pod.node, set()).add(cause)
                words.examples.setdefault(cause, pod)
        return words

    @property
    def of_all(self) -> frozenset[Cause]:
        """The causes that any pod's message proves."""
        return frozenset(self.examples)

    def on(self, nodes: Iterable[str]) -> frozenset[Cause]:
        """The causes that the messages of pods on these nodes prove."""
        return frozenset(cause for node in nodes for cause in self.by_node.get(node, ()))
