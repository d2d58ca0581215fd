"""Moves changes from an incident's record into that of a later one, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence

from ip_remediator.incidents.opening import meta_key
from ip_remediator.incidents.timeline import Stage, State
from ip_remediator.incidents.timeline_items import timeline_item
from ip_remediator.provisioning.change_log import ChangeLog, change_key
from ip_remediator.rollback.successor import Succession


def pass_on(log: ChangeLog, inheritance: Succession, inherits: Sequence[str]) -> None:
    """Moves changes into the record of the later incident that stands on them, all at once.

    `inherits`: whose blocks the heir keeps from now on, when the CIDR is among them.
    """
    told = f"passed from incident {log.incident} to {inheritance.heir}: " + ", ".join(
        f"{change.kind} {change.target}" for change in inheritance.given
    )
    records, now = log.records, log.clock()
    writes = [records.deleting(change_key(log.incident, change)) for change in inheritance.given]
    for change in inheritance.received:
        item = {**change_key(inheritance.heir, change), "at": now.isoformat(), "change": change.model_dump_json()}
        writes.append(records.putting(item))
    events = (
        timeline_item(incident, now, Stage.CHANGE, State.DONE, told) for incident in (log.incident, inheritance.heir)
    )
    writes += [records.putting(event) for event in events]
    if inheritance.with_cidr:
        writes.append(records.setting(meta_key(log.incident), {"cidr_heir": inheritance.heir}))
        writes.append(records.setting(meta_key(inheritance.heir), {"inherits": list(inherits)}))
    records.transact(writes)
