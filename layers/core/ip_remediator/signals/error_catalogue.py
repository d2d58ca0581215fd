"""The causes that words can prove, and the search of a text for them. The wordings are in `wordings`.

The kubelet's message proves only that the CNI's ADD failed, not that a subnet is full. So the causes are kept apart,
and the diagnosis decides on facts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

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
    "to network aws-cni/",
    "to cni network",
    "failed (add)",
)


def about_sandbox(lowered: str) -> bool:
    """Whether the text (in lower case) is about the network of a pod's sandbox."""
    return any(map(lowered.__contains__, _SANDBOX))


class Occurrence(NamedTuple):
    """A needle that occurs in a text; in the order of the catalogue."""

    number: int
    needle: str
    wording: Wording


NEEDLES: tuple[Occurrence, ...] = tuple(
    Occurrence(number, needle, wording) for number, wording in enumerate(WORDINGS) for needle in wording.needles
)

# Many needles share a part that few texts have. A text is searched for the parts first, and for needles only if
# their part occurs; a needle without a common part is its own.
_COMMON_PARTS = (
    "sufficient",
    "limitexceeded",
    "enough ",
    "available",
    "auth",
    "credential",
    "role",
    "throttling",
    " limit",
    "pull",
    "eni",
    "ipam",
    "cni",
    "grpc",
    "server",
    "token",
    "instance metadata",
    "unix socket",
    "ip address to",
    "vpc.amazonaws.com/",
)


def _part_of(needle: str) -> str:
    return next((part for part in _COMMON_PARTS if part in needle), needle)


def _by_part(needles: Sequence[Occurrence]) -> tuple[tuple[str, tuple[Occurrence, ...]], ...]:
    parts = dict.fromkeys(_part_of(needle.needle) for needle in needles)
    return tuple((part, tuple(needle for needle in needles if _part_of(needle.needle) == part)) for part in parts)


_BY_PART = _by_part(NEEDLES)
_WORDS_BY_PART = _by_part([needle for needle in NEEDLES if " " not in needle.needle])


def _search(text: str) -> tuple[Occurrence, ...]:
    hits: list[Occurrence] = []
    for part, needles in _BY_PART if " " in text else _WORDS_BY_PART:
        if part in text:
            hits += [occurrence for occurrence in needles if occurrence.needle in text]
    return tuple(hits)


# Ids of sandboxes and pods, which differ in every text: no needle consists of such signs.
_ID = re.compile(r"[0-9a-f-]{32,}\\*")


# No needle has a quotation mark or a comma, so a text has a needle exactly when one of the pieces between them
# does. Unlike the texts, these pieces are mostly the same, so the results for them are cached.
@lru_cache(maxsize=2048)
def _search_once(piece: str) -> tuple[Occurrence, ...]:
    return () if _ID.fullmatch(piece) else _search(piece)


_LONGEST_IN_PIECES = 2_000


def occurrences(lowered: str) -> list[Occurrence]:
    """The needles of the catalogue that occur in a text in lower case, in the catalogue's order."""
    if len(lowered) > _LONGEST_IN_PIECES:
        return sorted(_search(lowered))
    hits: list[Occurrence] = []
    for piece in lowered.replace(",", '"').split('"'):
        hits += _search_once(piece)
    return sorted(hits)


def deciding_wording(text: str, speaker: Speaker = Speaker.CNI) -> Wording | None:
    """The first wording of the catalogue that occurs in `text` and counts when `speaker` wrote it."""
    text = text[:CLASSIFIED_CHARACTERS]
    lowered = text.lower()
    return first_that_counts(occurrences(lowered), text, lowered, speaker)


def first_that_counts(candidates: Sequence[Occurrence], text: str, lowered: str, speaker: Speaker) -> Wording | None:
    """The first wording of `candidates` that occurs in `text` and counts when `speaker` wrote it.

    A text that quotes the kubelet about a sandbox counts as the kubelet's, whoever quotes it.
    """
    if not candidates:
        return None
    allowed = _allowed(speaker, lowered)
    for _, needle, wording in candidates:
        if needle not in lowered or wording.said_by not in allowed:
            continue
        if wording.pattern is None or wording.pattern.search(text):
            return wording
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
