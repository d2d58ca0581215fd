"""The Incidents table: records and their append-only timeline.

One table, keys `pk` and `sk`:

    CLUSTER#<cluster>   OPEN              which incident is open, or was the last
    CLUSTER#<cluster>   COOLDOWN          which shortages its closed incidents answered, and when (`cooldown`)
    CLUSTER#<cluster>   SIGNALS           what is known while it opens no incident (`signal_window`)
    INCIDENT#<id>       META              the record (`stored_record`); its stream feeds `notify`
    INCIDENT#<id>       SNAPSHOT          the facts it was diagnosed from, zlib-compressed; SNAPSHOT#1... for more
    INCIDENT#<id>       EVENT#<time>#<n>  timeline: who, what, when, with what result; only ever added
    INCIDENT#<id>       CHANGE#<kind>#<target>   a change, with what was there before (`change_log`)
    APPROVAL#<id>       TOKEN             a question to people, with the task token that waits (`approvals`)
    VPC#<id>            LOCK              which incident may write to the VPC, until when (`vpc_lock`)
    VPC#<id>            DAY#<date>        which incidents went ahead without asking that day (`daily_limit`)
    DURATION#<strategy> HEALED            how long the latest healed incidents took (`durations`)
    UNTOLD              INCIDENT#<id>     the incidents whose message in Slack shows an old state (`notifier`)
    WORK                INCIDENT#<id>     the incidents that an execution works on, or should (`watchdog`)
    SUBNET#<id>         HISTORY           what was free in each hour of 14 days (`subnet_history`)

Every write of the record touches only the attributes it is about, so writers do not undo each other.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime

from ip_remediator.clients.aws.dynamodb import ConditionFailed, Item
from ip_remediator.common.document import SCHEMA, Document
from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.incidents.calls_by_others import CallsByOthers
from ip_remediator.incidents.cooldown import shortages_answered
from ip_remediator.incidents.document_attributes import to_attribute
from ip_remediator.incidents.opening import IncidentOpener, marker_key, meta_key, undelivered_key, work_key
from ip_remediator.incidents.record import (
    Approval,
    Failure,
    Incident,
    Policy,
    Progress,
    Rollback,
    SlackMessage,
    Step,
    StepResult,
    StepState,
    facts_of,
)
from ip_remediator.incidents.replacement_record import Replacement, ZoneReplacement
from ip_remediator.incidents.stored_record import incident_of
from ip_remediator.incidents.timeline import AUTOMATIC, EventDetail, Stage, State
from ip_remediator.incidents.timeline_items import read_entry

_PART_BYTES = 350_000


class Superseded(Exception):
    """Another execution changes the incident by now: what a late one wanted to record is not recorded."""


class Incidents(IncidentOpener):
    """Reads and writes records. All methods raise the errors of `common.errors`."""

    def close(self, incident: Incident, outcome: Outcome, note: str = "") -> None:
        """Ends the incident and starts its cluster's cool-down.

        Closing twice is harmless: the first outcome stands, until a rollback replaces it.
        """
        undecided = "attribute_exists(pk) AND attribute_not_exists(outcome)"
        closed_at = self._clock()
        block = incident.plan.block if incident.plan else None
        verdict = incident.diagnosis.verdict if incident.diagnosis else None
        served = {subnet.zone for subnet in incident.plan.subnets} if incident.plan else set()
        facts = EventDetail(outcome=outcome, verdict=verdict, block=block)
        writes = [
            self._records.setting(
                meta_key(incident.id),
                {"outcome": outcome.value, "closed_at": closed_at.isoformat()},
                "attribute_exists(pk)" if outcome is Outcome.ROLLED_BACK else undecided,
            ),
            self._event(incident.id, Stage.INCIDENT, State.CLOSED, f"{outcome} {note}".strip(), facts=facts),
            self._answering(incident.cluster, shortages_answered(outcome, verdict, served), closed_at),
        ]
        try:
            self._records.transact(writes)
        except ConditionFailed:
            return
        finally:
            self.close_marker(incident)

    def close_marker(self, incident: Incident) -> None:
        """Lets the next incident of the cluster be opened. A repeat changes nothing."""
        self.free_marker(incident.cluster, incident.id)

    def free_marker(self, cluster: str, incident: str) -> None:
        """As `close_marker`, for an incident whose record may be missing."""
        now = self._clock().isoformat()
        try:
            self._records.update(
                marker_key(cluster),
                "SET closed_at = if_not_exists(closed_at, :now)",
                {":now": now, ":me": incident},
                "incident_id = :me",
            )
        except ConditionFailed:
            return  # the cluster has a newer incident: its marker is not ours to close

    def worked_on(self) -> Iterator[str]:
        """The incidents that an execution works on, or should: those that the watchdog looks at."""
        for item in self._records.query("WORK", "INCIDENT#"):
            yield str(item["sk"]).removeprefix("INCIDENT#")

    def strike_off(self, incident: Incident) -> bool:
        """Removes the incident from the watchdog's list, because nothing remains to be done. Returns False if an
        execution has begun to change it since it was read."""
        try:
            self._records.transact([self._records.deleting(work_key(incident.id)), self.not_claimed_since(incident)])
        except ConditionFailed:
            return False
        return True

    def strike_off_missing(self, incident: str) -> None:
        """Removes an incident without a record from the watchdog's list: there is nothing to look at."""
        missing = self._records.checking(meta_key(incident), "attribute_not_exists(pk)", {})
        with suppress(ConditionFailed):
            self._records.transact([self._records.deleting(work_key(incident)), missing])

    def not_claimed_since(self, incident: Incident) -> Item:
        """A check for a transaction: no other execution has begun to change the incident since it was read."""
        condition, values = _changed_by(incident.change_execution)
        return self._records.checking(meta_key(incident.id), f"attribute_exists(pk) AND ({condition})", values)

    def mark_undelivered(self, incident: str) -> None:
        """Records that Slack does not show the latest state yet, so that the watchdog delivers it later."""
        self._records.update(undelivered_key(incident), "SET since = :now", {":now": self._clock().isoformat()})

    def undelivered(self) -> Iterator[str]:
        """The incidents whose message in Slack shows an old state."""
        for item in self._records.query("UNTOLD", "INCIDENT#"):
            yield str(item["sk"]).removeprefix("INCIDENT#")

    def redeliver(self, incident: str) -> None:
        """Writes to the record, so that the table's stream triggers a notification again."""
        touch = self._records.setting(meta_key(incident), {"retold_at": self._clock().isoformat()})
        self._records.transact([self._records.deleting(undelivered_key(incident)), touch])

    def get(self, incident: str) -> Incident:
        """Raises IncidentNotFound."""
        return incident_of(self._item(incident))

    def complete(self, incident: str, step: Step, note: str = "", **documents: Document) -> None:
        """Records that a step is done, together with the documents it
        produced (`diagnosis=`, `plan=`, `verification=`)."""
        self._step(incident, step, StepState.DONE, note, documents)

    def start(self, incident: str, step: Step, note: str, by: str = AUTOMATIC) -> None:
        """Records that the step has begun."""
        self._step(incident, step, StepState.RUNNING, note, {}, by)

    def skip(self, incident: str, step: Step, note: str) -> None:
        """Records that the step is not needed, and why."""
        self._step(incident, step, StepState.SKIPPED, note, {})

    def fail(self, incident: str, step: Step, failure: Failure) -> None:
        """Records that the step failed; `failure` becomes that of the incident."""
        self._step(incident, step, StepState.FAILED, failure.message, {"failure": failure})

    def record_change(
        self,
        incident: Incident,
        step: Step,
        state: StepState,
        note: str,
        documents: dict[str, Document],
        by: str = AUTOMATIC,
        extra: Item | None = None,
    ) -> None:
        """Records where the change of a closed incident stands, together with its documents, by attribute.

        Raises:
            Superseded: another execution has begun to change the incident since it was read.
        """
        try:
            self._step(incident.id, step, state, note, documents, by, extra, holder=incident.change_execution)
        except ConditionFailed as error:
            if self.get(incident.id).change_execution == incident.change_execution:
                raise
            raise Superseded(f"incident {incident.id} is being changed by another execution by now") from error

    def _step(
        self,
        incident: str,
        step: Step,
        state: StepState,
        note: str,
        documents: dict[str, Document],
        by: str = AUTOMATIC,
        extra: Item | None = None,
        *,
        holder: str | None = None,
    ) -> None:
        """`holder`: only while this execution changes the incident."""
        result = StepResult(state=state, at=self._clock(), note=note)
        attributes: Item = {name: to_attribute(document) for name, document in documents.items()}
        attributes |= {f"steps.{step}": result.model_dump(mode="json"), **(extra or {})}
        became = State(state)
        event = self._event(incident, Stage(step), became, note, by, facts_of(documents, became))
        condition, values = _changed_by(holder) if holder else ("attribute_exists(pk)", {})
        self._records.transact([self._records.setting(meta_key(incident), attributes, condition, values), event])

    def record_policy(self, incident: str, policy: Policy) -> None:
        """What the cluster's tags say now. It replaces the mode that the incident was opened with."""
        note = "; ".join([f"mode {policy.mode}", *policy.notes])
        attributes = {"policy": policy.model_dump_json(), "mode": policy.mode.value}
        event = self._event(incident, Stage.POLICY, State.READ, note, facts=EventDetail(mode=policy.mode))
        self._records.transact([self._records.setting(meta_key(incident), attributes), event])

    def record_subnet(self, incident: str, zone: str, subnet: str) -> dict[str, str]:
        """Notes the subnet made for `zone`; returns all that are made so far, by zone."""
        after = self._records.update(
            meta_key(incident), "SET subnets.#zone = :id", {":id": subnet}, names={"#zone": zone}
        )
        return {str(made): str(id_) for made, id_ in after["subnets"].items()}

    def set_approval(self, incident: str, approval: Approval, shown_as: str = "approval") -> None:
        """Stores a question as the record's field `shown_as`, and writes an entry into the timeline."""
        event = self._event(incident, Stage(shown_as), State(approval.state), approval.why)
        change = self._records.setting(meta_key(incident), {shown_as: approval.model_dump_json()})
        self._records.transact([change, event])

    def claim(self, incident: Incident, execution: str) -> bool:
        """Makes `execution` the one that changes the closed incident, by a rollback or by replacing nodes. False:
        another one did since `incident` was read."""
        condition, values = _changed_by(incident.change_execution)
        claim = {"change_execution": execution}
        claimed = self._records.setting(meta_key(incident.id), claim, condition, values)
        work = self._records.putting({**work_key(incident.id), "since": self._clock().isoformat()})
        try:
            self._records.transact([claimed, work])
        except ConditionFailed:
            return self.get(incident.id).change_execution == execution  # our own write, its answer lost
        return True

    def record_rollback(
        self,
        incident: Incident,
        rollback: Rollback,
        state: StepState,
        note: str,
        failure: Failure | None = None,
        by: str = AUTOMATIC,
    ) -> None:
        """Records where the rollback stands, with the step of its name. Raises Superseded."""
        documents: dict[str, Document] = {"rollback": rollback, **({"failure": failure} if failure else {})}
        self.record_change(incident, Step.ROLLBACK, state, note, documents, by)

    def record_replacement(
        self,
        incident: Incident,
        replacement: Replacement,
        state: StepState,
        note: str,
        by: str = AUTOMATIC,
        zones: dict[str, ZoneReplacement] | None = None,
    ) -> None:
        """`zones`: those that are to be worked on from now on. Raises Superseded."""
        extra = {"replacements": {name: zone.model_dump(mode="json") for name, zone in zones.items()}} if zones else {}
        documents: dict[str, Document] = {"replacement": replacement}
        self.record_change(incident, Step.REPLACE_NODES, state, note, documents, by, extra)

    def record_zone(self, incident: str, zone: str, progress: ZoneReplacement, note: str) -> None:
        """How far the zone's nodes are. Zones are worked on side by side, and only this zone's entry is written."""
        change = self._records.setting(meta_key(incident), {f"replacements.{zone}": progress.model_dump(mode="json")})
        event = self._event(incident, Stage.REPLACE_NODES, State.RUNNING, note)
        self._records.transact([change, event])

    def record_calls_by_others(self, incident: Incident, calls: CallsByOthers) -> None:
        """Stores who else changed what the incident works on; the timeline gets an entry of each call that is new."""
        new = calls.not_in(incident.calls_by_others)
        if new:
            change = self._records.setting(meta_key(incident.id), {"calls_by_others": to_attribute(calls)})
            events = [self._event(incident.id, Stage.CHANGE, State.ATTRIBUTED, str(call), call.caller) for call in new]
            self._records.transact([change, *events])

    def revise(self, incident: Incident, outcome: Outcome) -> None:
        """Changes the outcome of a closed incident, because more of it was cured later."""
        if incident.outcome is outcome:
            return
        change = self._records.setting(
            meta_key(incident.id), {"outcome": outcome.value}, "attribute_exists(pk) AND attribute_exists(outcome)"
        )
        event = self._event(incident.id, Stage.INCIDENT, State.CLOSED, str(outcome), facts=EventDetail(outcome=outcome))
        self._records.transact([change, event])

    def leave_alone(self, incident: Incident, until: datetime) -> None:
        """Keeps the cluster's signals from opening an incident: people rolled this one back, and its pods hang again.

        From `until` on signals open one that people are asked about, whatever the mode.
        """
        values = {":until": until.isoformat(), ":me": incident.id}
        try:
            self._records.update(
                marker_key(incident.cluster), "SET left_alone_until = :until", values, "incident_id = :me"
            )
        except ConditionFailed:
            return  # the cluster has a newer incident

    def restart_cooldown(self, incident: Incident) -> None:
        """Restarts its cluster's cool-down: what pods and nodes signal while moved belongs to this incident."""
        values = {":now": self._clock().isoformat(), ":me": incident.id}
        condition = "incident_id = :me AND attribute_exists(closed_at)"
        try:
            self._records.update(marker_key(incident.cluster), "SET closed_at = :now", values, condition)
        except ConditionFailed:
            return  # the cluster has a newer incident
        self.cool_down(incident.cluster)

    def record_progress(self, incident: str, progress: Progress) -> None:
        """Records how far a step is, for the Slack message; writes no entry of the timeline."""
        self._records.update(meta_key(incident), "SET progress = :now", {":now": progress.model_dump_json()})

    def set_slack_message(self, incident: str, message: SlackMessage) -> None:
        """Stores where the incident's message in Slack is."""
        self._records.update(meta_key(incident), "SET slack = :slack", {":slack": message.model_dump_json()})

    def save_facts(self, incident: str, facts: str) -> None:
        """`facts`: a snapshot as JSON, see `incidents.snapshots`. Stored in parts, because an item holds 400 KB. The
        first part is written last, so the facts are complete if it exists."""
        body = zlib.compress(facts.encode())
        parts = [body[start : start + _PART_BYTES] for start in range(0, len(body), _PART_BYTES)]
        for number in reversed(range(len(parts))):
            part = {**_part(incident, number), "body": parts[number], "parts": len(parts), "schema": SCHEMA}
            self._records.put(part)

    def facts(self, incident: str) -> bytes:
        """The snapshot as JSON. Raises IncidentNotFound when the incident was not diagnosed yet."""
        head = self._records.get(**_part(incident, 0))
        if head is None:
            raise IncidentNotFound(f"incident {incident!r} has no snapshot: it was not diagnosed yet")
        rest = [self._records.get(**_part(incident, number)) or {} for number in range(1, int(head["parts"]))]
        return zlib.decompress(b"".join(bytes(part["body"]) for part in [head, *rest]))

    def timeline(self, incident: str) -> list[dict[str, str]]:
        """The entries in order: `{"at", "by", "what", "detail"}`."""
        entries = [read_entry(item) for item in self._records.query(f"INCIDENT#{incident}", "EVENT#")]
        return [
            {
                "at": entry.at.isoformat(timespec="microseconds"),
                "by": entry.by,
                "what": entry.title,
                "detail": entry.detail,
            }
            for entry in entries
        ]


def _changed_by(execution: str | None) -> tuple[str, Item]:
    """The condition that this execution, or nobody, changes a closed incident, with its values. `rollback_execution` is
    the attribute's name in schema 1."""
    if not execution:
        return "attribute_not_exists(change_execution) AND attribute_not_exists(rollback_execution)", {}
    former = "attribute_not_exists(change_execution) AND rollback_execution = :seen"
    return f"change_execution = :seen OR ({former})", {":seen": execution}


def _part(incident: str, number: int) -> dict[str, str]:
    return {"pk": f"INCIDENT#{incident}", "sk": f"SNAPSHOT#{number}" if number else "SNAPSHOT"}
