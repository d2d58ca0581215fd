"""How long remediations took, so that people who are asked know how long the next one will take."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import Records

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

# Older durations are dropped: clusters grow, and AWS changes.
_KEPT = 20


class Durations:
    """Seconds from the decision to the proof, of healed incidents, by the plan's strategy. All methods raise the errors
    of `common.errors`."""

    def __init__(self, table: Table) -> None:
        self._records = Records(table)

    def add(self, strategy: str, seconds: float) -> None:
        """If two incidents end at the same time, one duration may be lost; the median does not need it."""
        durations = self._seconds(strategy)
        self._records.put({**_key(strategy), "seconds": [*durations, round(seconds)][-_KEPT:]})

    def usual(self, strategy: str) -> int | None:
        """The median of the latest ones; None where none was measured."""
        durations = self._seconds(strategy)
        return round(statistics.median(durations)) if durations else None

    def _seconds(self, strategy: str) -> list[int]:
        item = self._records.get(**_key(strategy)) or {}
        return [int(str(seconds)) for seconds in item.get("seconds", [])]


def _key(strategy: str) -> dict[str, str]:
    return {"pk": f"DURATION#{strategy}", "sk": "HEALED"}
