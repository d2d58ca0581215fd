"""What an incident changed, each change recorded before it is made, with what was there before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ip_remediator.adapters.openings import meta_key
from ip_remediator.adapters.table import ConditionFailed, Records
from ip_remediator.adapters.timeline import timeline_item
from ip_remediator.domain.incidents import ChangeKind, ChangeMade
from ip_remediator.domain.inheritance import Inheritance
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
            **_key(self._incident, change),
            "at": self._clock().isoformat(),
            "change": change.model_dump_json(),
        }
        try:
            self._records.put(item, "attribute_not_exists(pk)")
        except ConditionFailed:
            kept = self._records.get(**_key(self._incident, change)) or item
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
        self._records.transact([self._records.deleting(_key(self._incident, change)), self._records.putting(event)])

    def of(self, incident: str) -> ChangeLog:
        """The changes of another incident."""
        return ChangeLog(self._records.table, self._clock, incident)

    def pass_on(self, inheritance: Inheritance, inherits: Sequence[str]) -> None:
        """Moves changes into the record of the later incident that stands on them, all at once.

        `inherits`: whose blocks the heir keeps from now on, when the CIDR is among them.
        """
        told = f"passed from incident {self._incident} to {inheritance.heir}: " + ", ".join(
            f"{change.kind} {change.target}" for change in inheritance.given
        )
        writes = [self._records.deleting(_key(self._incident, change)) for change in inheritance.given]
        now = self._clock()
        for change in inheritance.received:
            item = {**_key(inheritance.heir, change), "at": now.isoformat(), "change": change.model_dump_json()}
            writes.append(self._records.putting(item))
        events = (
            timeline_item(incident, now, Stage.CHANGE, State.DONE, told)
            for incident in (self._incident, inheritance.heir)
        )
        writes += [self._records.putting(event) for event in events]
        if inheritance.with_cidr:
            writes.append(self._records.setting(meta_key(self._incident), {"cidr_heir": inheritance.heir}))
            writes.append(self._records.setting(meta_key(inheritance.heir), {"inherits": list(inherits)}))
        self._records.transact(writes)


def _key(incident: str, change: ChangeMade) -> dict[str, str]:
    return {"pk": f"INCIDENT#{incident}", "sk": f"CHANGE#{change.kind}#{change.target}"}
