"""The changes of an incident. Each is recorded before it is made, with the state before the change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Records
from ip_remediator.common.document import SCHEMA
from ip_remediator.incidents.record import ChangeKind, ChangeMade
from ip_remediator.incidents.timeline import Stage, State
from ip_remediator.incidents.timeline_items import timeline_item
from ip_remediator.incidents.vpc_lock import VpcLock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock


class ChangeLog:
    """The changes of one incident. `vpc_id`: no further one is recorded unless the incident holds this VPC's lock, by
    `execution` if that is known."""

    def __init__(
        self, table: Table, clock: Clock, incident: str, vpc_id: str | None = None, execution: str | None = None
    ) -> None:
        self.records = Records(table)
        self.clock = clock
        self.incident = incident
        self._vpc_id = vpc_id
        self._execution = execution

    def intend(self, change: ChangeMade) -> ChangeMade:
        """Records a change that is about to be made.

        A repeat after a crash keeps and returns the first record: its `before` was read before anything changed.

        Raises:
            LockLost: the incident, or this execution of it, does not hold its VPC's lock any more.
        """
        item = {
            **change_key(self.incident, change),
            "at": self.clock().isoformat(),
            "change": change.model_dump_json(),
            "schema": SCHEMA,
        }
        writes = [self.records.putting(item, "attribute_not_exists(pk)")]
        if self._vpc_id:
            writes.append(self._lock.held_by(self._vpc_id, self.incident, self._execution))
        try:
            self.records.transact(writes)
        except ConditionFailed:
            self.require_lock()
            kept = self.records.get(**change_key(self.incident, change)) or item
            return ChangeMade.model_validate_json(str(kept["change"]))
        return change

    def require_lock(self) -> None:
        """For a write that is not recorded first, such as the undo of a recorded one.

        Raises:
            LockLost
        """
        if self._vpc_id:
            self._lock.require(self._vpc_id, self.incident, self._execution)

    def require_not_superseded(self) -> None:
        """For temporary changes that are restored without the lock: only while no later execution of the incident holds
        it.

        Raises:
            LockLost
        """
        if self._vpc_id:
            self._lock.require_not_superseded(self._vpc_id, self.incident, self._execution)

    @property
    def _lock(self) -> VpcLock:
        return VpcLock(self.records.table, self.clock)

    def amend(self, change: ChangeMade) -> None:
        """Adds to a recorded change what only its own write could tell, such as an id.

        Raises:
            ConditionFailed: the change is not recorded, or struck out already.
        """
        values = {":change": change.model_dump_json()}
        key = change_key(self.incident, change)
        names = {"#change": "change"}
        self.records.update(key, "SET #change = :change", values, "attribute_exists(pk)", names)

    def made(self, kind: ChangeKind | None = None) -> list[ChangeMade]:
        """The changes that stand, of one kind or all."""
        prefix = f"CHANGE#{kind}#" if kind else "CHANGE#"
        items = self.records.query(f"INCIDENT#{self.incident}", prefix)
        return [ChangeMade.model_validate_json(str(item["change"])) for item in items]

    def outstanding(self) -> list[ChangeMade]:
        """The changes that a rollback would have to take back."""
        return [change for change in self.made() if change.kind.outstanding]

    def undone(self, change: ChangeMade, note: str = "") -> None:
        """Strikes a change out; the timeline keeps that it was made and undone. `note`: what of it somebody else has
        changed since, and what therefore stays."""
        note = str(change) + (f": {note}" if note else "")
        event = timeline_item(self.incident, self.clock(), Stage.CHANGE, State.UNDONE, note)
        self.records.transact([self.records.deleting(change_key(self.incident, change)), self.records.putting(event)])

    def of(self, incident: str) -> ChangeLog:
        """The changes of another incident."""
        return ChangeLog(self.records.table, self.clock, incident)


def change_key(incident: str, change: ChangeMade) -> dict[str, str]:
    """The key of a change in the incident's log."""
    return {"pk": f"INCIDENT#{incident}", "sk": f"CHANGE#{change.kind}#{change.target}"}
