"""The Incidents table where incidents begin: opening them, and what is read without their documents.

Apart from `incidents`, because `ingest` and `announce` start faster without the documents of diagnosis and plan.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item, Records
from ip_remediator.common.document import SCHEMA
from ip_remediator.common.enums import Mode, incident_id
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.incidents.cooldown import EVERYTHING, cooldown_attributes, cooldown_key
from ip_remediator.incidents.signal_attributes import attributes_of
from ip_remediator.incidents.timeline import AUTOMATIC, EventDetail, Stage, State
from ip_remediator.incidents.timeline_items import timeline_item
from ip_remediator.signals.causes import Cause
from ip_remediator.signals.correlation import SignalSummary
from ip_remediator.signals.model import Shortage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.service_resource import Table

    from ip_remediator.common.clock import Clock
    from ip_remediator.incidents.record import RunRequest

# An open incident whose execution never closed it must not silence the cluster permanently; the state machine's own
# TimeoutSeconds (24 h) is below this.
STALE_AFTER = timedelta(hours=26)


class IncidentOpen(Exception):
    """The cluster has an open incident already; the message names it."""


class IncidentOpener:
    """All methods raise the errors of `common.errors`."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._records = Records(table)
        self._clock = clock

    def open(
        self,
        cluster: str,
        region: str,
        mode: Mode,
        reason: str,
        request: RunRequest | None = None,
        execution: str | None = None,
    ) -> str:
        """A new incident of `cluster`; returns its id. `request`: what a run by hand asks for.

        `execution`: the one that opens it; if it calls again, because the first answer was lost, it gets the same
        incident.

        Raises:
            IncidentOpen: the cluster has one that is not closed.
        """
        started = {"execution": execution} if execution else {}
        extras = {"request": request.model_dump_json()} if request else {}
        record = self._new(cluster, region, mode, reason) | extras | started
        try:
            self._records.transact(self._opening(record, execution or AUTOMATIC, started))
        except ConditionFailed as error:
            present = self._records.get(**marker_key(cluster)) or {}
            if execution and present.get("execution") == execution and "closed_at" not in present:
                return str(present["incident_id"])
            raise IncidentOpen(f"cluster {cluster} has an open incident: {present.get('incident_id')}") from error
        return str(record["pk"]).removeprefix("INCIDENT#")

    def open_for(
        self,
        cluster: str,
        region: str,
        mode: Mode,
        reason: str,
        signals: Item,
        window: Item,
        after_rollback: str | None = None,
    ) -> str:
        """A new incident that rests on signals, given as attributes; `window` is written together with it.

        `after_rollback`: the incident that people rolled back although its pods then had no address again.

        Raises:
            ConditionFailed: the cluster has an open incident, or its signals were written since they were read.
        """
        record = self._new(cluster, region, mode, reason)
        earlier = {"after_rollback": after_rollback} if after_rollback else {}
        self._records.transact([*self._opening(record | signals | earlier, AUTOMATIC, {}), window])
        return str(record["pk"]).removeprefix("INCIDENT#")

    def open_next(self, earlier: str, cluster: str, region: str, mode: Mode, reason: str) -> str | None:
        """The incident about nodes that follows `earlier`, opened unless it was before. None: the cluster has another
        open one, which looks at the same facts."""
        signals = attributes_of(SignalSummary(causes=(Cause.NODE_LAUNCH.value,)))
        record = self._new(cluster, region, mode, reason) | signals | {"follows": earlier}
        opened = str(record["pk"]).removeprefix("INCIDENT#")
        unopened = "attribute_exists(pk) AND attribute_not_exists(next_incident)"
        noted = self._records.setting(meta_key(earlier), {"next_incident": opened}, unopened)
        try:
            self._records.transact([*self._opening(record, AUTOMATIC, {}), noted])
        except ConditionFailed:
            return self._item(earlier).get("next_incident")
        return opened

    def _new(self, cluster: str, region: str, mode: Mode, reason: str) -> Item:
        now = self._clock()
        return _new_record(incident_id(cluster, now, secrets.token_hex(3)), cluster, region, mode, reason, now)

    def _opening(self, record: Item, by: str, started: Item) -> list[Item]:
        """The writes that open an incident: one marker for each cluster, the record, its first entry."""
        id_, opened_at = str(record["pk"]).removeprefix("INCIDENT#"), str(record["opened_at"])
        marker = {**marker_key(record["cluster"]), "incident_id": id_, "opened_at": opened_at, **started}
        vacant = "attribute_not_exists(pk) OR attribute_exists(closed_at) OR opened_at < :stale"
        given_up = {":stale": (datetime.fromisoformat(opened_at) - STALE_AFTER).isoformat()}
        facts = EventDetail(mode=Mode(record["mode"]))
        return [
            self._records.putting(marker, vacant, given_up),
            self._records.putting(record),
            self._records.putting({**work_key(id_), "since": opened_at}),
            self._event(id_, Stage.INCIDENT, State.OPENED, record["reason"], by, facts),
        ]

    def cool_down(self, cluster: str) -> None:
        """Takes all signals of the cluster for stragglers for a while, whatever shortage they tell of."""
        self._records.transact([self._answering(cluster, EVERYTHING, self._clock())])

    def _answering(self, cluster: str, shortages: Iterable[Shortage], now: datetime) -> Item:
        return self._records.setting(cooldown_key(cluster), cooldown_attributes(shortages, now), None)

    def open_incident(self, cluster: str) -> str | None:
        """The open incident of the cluster, or None."""
        marker = self._records.get(**marker_key(cluster))
        return str(marker["incident_id"]) if marker and "closed_at" not in marker else None

    def marked_incident(self, cluster: str) -> str | None:
        """The incident that the cluster's marker names: the open one, or the last."""
        marker = self._records.get(**marker_key(cluster))
        return str(marker["incident_id"]) if marker else None

    def record_execution(self, incident: str, execution: str) -> None:
        """Says in the record which execution works on the incident."""
        event = self._event(incident, Stage.EXECUTION, State.STARTED, execution)
        self._records.transact([self._records.setting(meta_key(incident), {"execution": execution}), event])

    def cluster_of(self, incident: str) -> str:
        """The name of its cluster. Raises IncidentNotFound."""
        return str(self._item(incident)["cluster"])

    def _item(self, incident: str) -> Item:
        item = self._records.get(**meta_key(incident))
        if item is None:
            raise IncidentNotFound(f"no incident {incident!r} in table {self._records.name}")
        return item

    def _event(
        self,
        incident: str,
        stage: Stage,
        state: State,
        detail: str,
        by: str = AUTOMATIC,
        facts: EventDetail | None = None,
    ) -> Item:
        return self._records.putting(timeline_item(incident, self._clock(), stage, state, detail, by, facts))


def _new_record(id_: str, cluster: str, region: str, mode: Mode, reason: str, now: datetime) -> Item:
    about = {"cluster": cluster, "region": region, "mode": mode.value, "reason": reason, "schema": SCHEMA}
    return {**meta_key(id_), **about, "opened_at": now.isoformat(), "steps": {}, "subnets": {}}


def stale(marker: Item, now: datetime) -> bool:
    """Whether an open incident is older than an execution can last, so that nothing will close it any more."""
    return datetime.fromisoformat(str(marker["opened_at"])) + STALE_AFTER < now


def meta_key(incident: str) -> dict[str, str]:
    """The key of an incident's record."""
    return {"pk": f"INCIDENT#{incident}", "sk": "META"}


def work_key(incident: str) -> dict[str, str]:
    """Key in the list of incidents that an execution works on, or should; only the watchdog removes an entry."""
    return {"pk": "WORK", "sk": f"INCIDENT#{incident}"}


def undelivered_key(incident: str) -> dict[str, str]:
    """The key of the mark that a message about the incident was not delivered."""
    return {"pk": "UNTOLD", "sk": f"INCIDENT#{incident}"}


def marker_key(cluster: str) -> dict[str, str]:
    """The key of the mark that a cluster has an open incident: it makes the second one impossible."""
    return {"pk": f"CLUSTER#{cluster}", "sk": "OPEN"}
