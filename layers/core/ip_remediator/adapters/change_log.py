"""What an incident changed, each change recorded before it is made, with what was there before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ip_remediator.adapters.table import ConditionFailed, Records
from ip_remediator.adapters.timeline import timeline_item
from ip_remediator.domain.incidents import ChangeKind, ChangeMade
from ip_remediator.domain.timeline import Stage, State

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.adapters.clock import Clock


class ChangeLog:
    """The changes of one incident."""

    def __init__(self, table: Table, clock: Clock, incident: str) -> None:
        self._records = Records(table)
        self._clock = clock
        self._incident = incident

    def intend(self, change: ChangeMade) -> ChangeMade:
        """Records a change that is about to be made.

        A repeat after a crash keeps and returns the first record: its `before` was read before anything changed.
        """
        item = {
            **self._key(change),
            "at": self._clock().isoformat(),
            "change": change.model_dump_json(),
        }
        try:
            self._records.put(item, "attribute_not_exists(pk)")
        except ConditionFailed:
            kept = self._records.get(**self._key(change)) or item
            return ChangeMade.model_validate_json(str(kept["change"]))
        return change

    def made(self, kind: ChangeKind | None = None) -> list[ChangeMade]:
        """The changes that stand, of one kind or all."""
        prefix = f"CHANGE#{kind}#" if kind else "CHANGE#"
        items = self._records.query(f"INCIDENT#{self._incident}", prefix)
        return [ChangeMade.model_validate_json(str(item["change"])) for item in items]

    def standing(self) -> list[ChangeMade]:
        """The changes that a rollback would have to take back."""
        return [change for change in self.made() if change.kind.stands]

    def undone(self, change: ChangeMade) -> None:
        """Strikes a change out; the timeline keeps that it was made and undone."""
        told = f"{change.kind} {change.target}"
        event = timeline_item(self._incident, self._clock(), Stage.CHANGE, State.UNDONE, told)
        self._records.transact([self._records.deleting(self._key(change)), self._records.putting(event)])

    def _key(self, change: ChangeMade) -> dict[str, str]:
        return {"pk": f"INCIDENT#{self._incident}", "sk": f"CHANGE#{change.kind}#{change.target}"}
