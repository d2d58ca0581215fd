"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """1 pod, 2 pods, 1,024 free addresses; `plural` where an s does not make one."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
