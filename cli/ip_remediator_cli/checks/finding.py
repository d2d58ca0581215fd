"""What a check of `ip-remediator doctor` finds."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import StrEnum


class Health(StrEnum):
    """How a check came out: doubtful works today and may not tomorrow, unknown could not be tried."""

    OK = "ok"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """`detail` says what was found, `remedy` what to do about it; empty when nothing is to be done."""

    health: Health
    detail: str
    remedy: str = ""
    name: str = ""

    @classmethod
    def ok(cls, detail: str) -> Finding:
        """A check that passed."""
        return cls(Health.OK, detail)

    @classmethod
    def broken(cls, detail: str, remedy: str = "") -> Finding:
        """A check that failed; `remedy` says what to do."""
        return cls(Health.BROKEN, detail, remedy)

    @classmethod
    def doubtful(cls, detail: str, remedy: str = "") -> Finding:
        """A check that passed, but with something that should be looked at."""
        return cls(Health.DOUBTFUL, detail, remedy)

    @classmethod
    def unknown(cls, detail: str, remedy: str = "") -> Finding:
        """A check that could not be made."""
        return cls(Health.UNKNOWN, detail, remedy)

    def named(self, name: str) -> Finding:
        """The same finding under the name of its check."""
        return replace(self, name=name)

    def document(self) -> dict[str, str]:
        """The finding as JSON and YAML show it."""
        return {name: str(value) for name, value in asdict(self).items()}
