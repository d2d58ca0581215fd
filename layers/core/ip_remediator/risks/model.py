"""What a risk is, and the catalogue of those that the preflight knows."""

from __future__ import annotations

from enum import IntEnum

from pydantic import field_serializer, field_validator

from ip_remediator.common.document import Document

DOCS = "docs/risks.md"


class Severity(IntEnum):
    """Ordered, so that mode `auto` can have an upper limit.

    HIGH: something that works now will very likely stop. MEDIUM: it may. LOW: nothing stops, but it should be known.
    """

    LOW = 1
    MEDIUM = 2
    HIGH = 3

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Raises ValueError with the allowed words."""
        try:
            return cls[text.upper()]
        except KeyError:
            raise ValueError(f"{text!r} is not a severity: use low, medium or high") from None


class Risk(Document):
    """One thing that may break: `found` is the evidence, `breaks` what would stop working, `remedy` what to do."""

    id: str
    severity: Severity
    found: str
    breaks: str
    remedy: str

    @property
    def doc(self) -> str:
        """Where the project's documentation tells more."""
        return f"{DOCS}#{self.id}"

    @field_serializer("severity")
    def _word(self, severity: Severity) -> str:
        return severity.name.lower()

    @field_validator("severity", mode="before")
    @classmethod
    def _from_word(cls, value: object) -> object:
        return Severity.parse(value) if isinstance(value, str) else value


def highest(risks: tuple[Risk, ...]) -> Severity | None:
    """The highest severity of the risks; None without any."""
    return max((risk.severity for risk in risks), default=None)
