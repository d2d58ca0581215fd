"""The changes of an incident. Each is recorded before it is made, with the state before the change.

A function that was late may still be undoing a change when the incident's next execution makes it again: while the
answer to its last write is missing, or because its execution was stopped. So each attempt renews the record, and who
undoes a change strikes out only the record that it read before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item, Records
from ip_remediator.common.document import SCHEMA
from ip_remediator.common.errors import NotYet
from ip_remediator.incidents.record import ChangeKind, ChangeMade, RecordedChange
from ip_remediator.incidents.timeline import Stage, State
from ip_remediator.incidents.timeline_items import timeline_item
from ip_remediator.incidents.vpc_lock import VpcLock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock

# Others that may strike a change out between two writes before we give up against them.
_ROUNDS = 3


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

    def intend(self, change: ChangeMade) -> RecordedChange:
        """Records a change that is about to be made.

        A repeat after a crash renews and returns the first record: its `before` was read before anything changed.

        Raises:
            LockLost: the incident, or this execution of it, does not hold its VPC's lock any more.
            NotYet: others keep recording it and striking it out at the same time; call again.
        """
        key, at = change_key(self.incident, change), self.clock().isoformat()
        item = {**key, "at": at, "change": change.model_dump_json(), "schema": SCHEMA}
        for _ in range(_ROUNDS):
            if self._writes_under_lock(self.records.putting(item, "attribute_not_exists(pk)")):
                return RecordedChange(**change.model_dump(), recorded_at=at)
            if self._writes_under_lock(self.records.setting(key, {"at": at})):
                kept = self.records.get(**key)
                if kept:
                    return _recorded(kept, repeated=True).model_copy(update={"recorded_at": at})
        raise NotYet(f"{change} is being recorded and struck out by others at the same time")

    def _writes_under_lock(self, write: Item) -> bool:
        """Whether the write's condition held. Raises LockLost."""
        lock = [self._lock.held_by(self._vpc_id, self.incident, self._execution)] if self._vpc_id else []
        try:
            self.records.transact([write, *lock])
        except ConditionFailed:
            self.require_lock()
            return False
        return True

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

    def amend(self, change: RecordedChange) -> None:
        """Adds to a recorded change what only its own write could tell, such as an id.

        Raises:
            ConditionFailed: the change is struck out already, or was recorded again.
        """
        values = {":change": change.model_dump_json(), ":at": change.recorded_at}
        key = change_key(self.incident, change)
        names = {"#change": "change", "#at": "at"}
        self.records.update(key, "SET #change = :change", values, "#at = :at", names)

    def made(self, kind: ChangeKind | None = None) -> list[RecordedChange]:
        """The changes that stand, of one kind or all."""
        prefix = f"CHANGE#{kind}#" if kind else "CHANGE#"
        items = self.records.query(f"INCIDENT#{self.incident}", prefix)
        return [_recorded(item) for item in items]

    def outstanding(self) -> list[RecordedChange]:
        """The changes that a rollback would have to take back."""
        return [change for change in self.made() if change.kind.outstanding]

    def undone(self, change: RecordedChange, note: str = "") -> None:
        """Strikes a change out; the timeline keeps that it was made and undone. `note`: what of it somebody else has
        changed since, and what therefore stays.

        A change that somebody else has struck out, or recorded again since it was read, is left as it is.
        """
        note = str(change) + (f": {note}" if note else "")
        event = timeline_item(self.incident, self.clock(), Stage.CHANGE, State.UNDONE, note)
        with suppress(ConditionFailed):
            self.records.transact([self.striking_out(change), self.records.putting(event)])

    def striking_out(self, change: RecordedChange) -> Item:
        """A Delete for a transaction, on condition that the record is still the one that was read."""
        delete = self.records.deleting(change_key(self.incident, change))
        delete["Delete"] |= {
            "ConditionExpression": "#at = :at",
            "ExpressionAttributeNames": {"#at": "at"},
            "ExpressionAttributeValues": {":at": change.recorded_at},
        }
        return delete

    def of(self, incident: str) -> ChangeLog:
        """The changes of another incident."""
        return ChangeLog(self.records.table, self.clock, incident)


def change_key(incident: str, change: ChangeMade) -> dict[str, str]:
    """The key of a change in the incident's log."""
    return {"pk": f"INCIDENT#{incident}", "sk": f"CHANGE#{change.kind}#{change.target}"}


def _recorded(item: Item, *, repeated: bool = False) -> RecordedChange:
    change = ChangeMade.model_validate_json(str(item["change"]))
    return RecordedChange(**change.model_dump(), recorded_at=str(item["at"]), repeated=repeated)
