"""The causes that words can prove, and the search of a text for them. The words themselves: `wordings`.

The kubelet's event string proves only that the CNI's ADD failed, not that a subnet is full: the causes are kept
apart, and the diagnosis decides on facts.
"""

from __future__ import annotations

from ip_remediator.signals.causes import Cause, SaidBy, Speaker, Strength, Wording
from ip_remediator.signals.wordings import WORDINGS

__all__ = ["WORDINGS", "Cause", "Speaker", "Strength", "Wording", "classify", "classify_message", "deciding_wording"]

# The kubelet cuts its messages at 1 KiB; log lines are longer, but the CNI's words stand early in them.
CLASSIFIED_CHARACTERS = 16_384
# A kubelet's or container runtime's text is about a sandbox when it holds one of these.
_SANDBOX = (
    "podsandbox",
    "pod sandbox",
    "create sandbox",
    "network for sandbox",
    "sandbox container",
    "networkplugin cni",
    "failed (add)",
)


def about_sandbox(lowered: str) -> bool:
    """Whether the text (in lower case) is about the network of a pod's sandbox."""
    return any(words in lowered for words in _SANDBOX)


def deciding_wording(text: str, speaker: Speaker = Speaker.CNI) -> Wording | None:
    """The first wording of the catalogue that occurs in `text` and counts in the mouth of `speaker`.

    A text that quotes the kubelet about a sandbox counts as the kubelet's own, whoever passes it on.
    """
    text = text[:CLASSIFIED_CHARACTERS]
    lowered = text.lower()
    allowed = _allowed(speaker, lowered)
    for wording in WORDINGS:
        for needle in wording.needles:
            if needle in lowered:
                if wording.said_by in allowed and (wording.pattern is None or wording.pattern.search(text)):
                    return wording
                break
    return None


_EVERYTHING = frozenset(SaidBy)


def _allowed(speaker: Speaker, lowered: str) -> frozenset[SaidBy]:
    if speaker is Speaker.CNI or about_sandbox(lowered):
        return _EVERYTHING
    if speaker is Speaker.UNKNOWN:
        return frozenset((SaidBy.ANYONE, SaidBy.CNI_ALONE))
    return frozenset((SaidBy.ANYONE,))


def classify(message: str) -> Cause:
    """The cause that the words of `message` prove. Unknown words are `OTHER`, never taken for exhaustion."""
    return classify_message(message)[0]


def classify_message(message: str, speaker: Speaker = Speaker.CNI) -> tuple[Cause, Strength]:
    """The cause that the words of `message` prove, and how strongly."""
    wording = deciding_wording(message, speaker)
    return (wording.cause, wording.strength) if wording else (Cause.OTHER, Strength.WEAK)
