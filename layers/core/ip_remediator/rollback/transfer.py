"""Moves changes from an incident's record into that of a later one, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ip_remediator.incidents.opening import meta_key
from ip_remediator.incidents.timeline import Stage, State
from ip_remediator.incidents.timeline_items import timeline_item
from ip_remediator.provisioning.change_log import ChangeLog, change_key
from ip_remediator.rollback.successor import Succession


def transfer_to(log: ChangeLog, succession: Succession, inherits: Sequence[str]) -> None:
    """Moves changes into the record of the later incident that stands on them, all at once.

    `inherits`: the incidents whose blocks the successor keeps from now on, if the CIDR is among the changes.
    """
    note = f"passed from incident {log.incident} to {succession.successor}: " + ", ".join(
        str(change) for change in succession.given
    )
    records, now = log.records, log.clock()
    writes = [log.striking_out(change) for change in succession.given]
    for change in succession.received:
        item = {**change_key(succession.successor, change), "at": now.isoformat(), "change": change.model_dump_json()}
        writes.append(records.putting(item))
    events = (
        timeline_item(incident, now, Stage.CHANGE, State.DONE, note)
        for incident in (log.incident, succession.successor)
    )
    writes += [records.putting(event) for event in events]
    if succession.with_cidr:
        writes.append(records.setting(meta_key(log.incident), {"cidr_heir": succession.successor}))
        writes.append(records.setting(meta_key(succession.successor), {"inherits": list(inherits)}))
    records.transact(writes)
