"""Closes incidents that no execution works on any more, or makes them resumable, however their execution ended.

It changes no VPC or cluster itself: the function `cluster` reverts temporary changes there.
Every part is safe to repeat, and an incident stays on the list until nothing remains to be done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.incidents.record import Incident, Step
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.node_replacement.workflow import REPLACEMENT
from ip_remediator.observability import logger
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.caught import Caught
from ip_remediator.remediation.change_workflow import ChangeWorkflow
from ip_remediator.remediation.close import Lifecycle
from ip_remediator.rollback.workflow import ROLLBACK
from ip_remediator.watchdog.callers import Callers, is_asked_about
from ip_remediator.watchdog.rules import (
    Ending,
    Looked,
    interrupted_change,
    is_starting,
    leaves_nodes_waiting,
    step_under_way,
    temporary,
)

# Of an execution that refused to begin: another one works on the incident, or there was nothing to do.
_NOT_BEGUN = ("InvalidInput", "IncidentNotFound", "RollbackRunning", "ReplacementRunning")
_GIVING_BACK = ("uncordon", "restore_warm_targets")


@dataclass(frozen=True)
class Watchdog:
    """`ending`: how an execution, named by its ARN, ended; None while it runs. `start`: starts the remediation of an
    incident and returns its ARN; the same one however often it is asked. `give_back`: has the function that talks to
    clusters perform an action for an incident, in the place of an execution that has ended. `callers`: finds out who
    else changed what an incident works on; None where the stack does not ask that.

    Raises what these and DynamoDB raise (`common.errors`): the next look tries again.
    """

    lifecycle: Lifecycle
    ending: Callable[[str], Ending | None]
    start: Callable[[str, str], str]
    give_back: Callable[[str, str, str | None], None]
    callers: Callers | None = None

    def sweep(self) -> dict[str, Looked]:
        """Looks at every incident that is on the list, and sends those to Slack again that it does not show yet.

        One that cannot be looked at keeps no other from it.
        """
        results: dict[str, Looked] = {}
        failures: list[Exception] = []
        for incident in list(self.lifecycle.incidents.worked_on()):
            try:
                results[incident] = self.look(incident)
            except Exception as error:
                logger.exception("not looked at", extra={"incident": incident})
                failures.append(error)
        for incident in list(self.lifecycle.incidents.undelivered()):
            self.lifecycle.incidents.redeliver(incident)
        self._name_callers(results)
        if failures:
            raise ExceptionGroup("some incidents could not be looked at", failures)
        return results

    def ended(self, execution: Ending, document: Any) -> Looked | None:
        """Looks at the incident of an execution that has just ended; `document` is its input.

        A rollback or replacement that failed before it could even note that it began is noted now, so that people can
        ask for it again. None: no incident is known for it.
        """
        incident_id = self._incident_of(execution.execution, document)
        if incident_id is None:
            return None
        try:
            incident = self.lifecycle.incidents.get(incident_id)
        except IncidentNotFound:
            return None
        changes = not incident.open and incident.execution != execution.execution
        if changes and execution.status != "SUCCEEDED" and execution.error not in _NOT_BEGUN:
            self._note_failed_begin(incident, execution)
        return self.look(incident_id)

    def look(self, incident_id: str) -> Looked:
        """Brings one incident into a state in which its record claims no work that nobody does."""
        incidents = self.lifecycle.incidents
        incident = incidents.get(incident_id)
        if incident.open:
            result = self._look_at_open(incident)
            if result is not Looked.SETTLED:
                return result
            incident = incidents.get(incident_id)
        ended = self.ending(incident.change_execution) if incident.change_execution else None
        if incident.change_execution and ended is None:
            return Looked.WORKING
        self._free(incident)
        self._start_next(incident)
        given_back = self._give_back(incident)
        if ended is not None and (interrupted_change(incident) or given_back):
            self._interrupt(incident, ended, given_back)
        if self._is_unfinished(incident):
            return Looked.LEFT
        return Looked.SETTLED if incidents.strike_off(incident) else Looked.WORKING

    def _is_unfinished(self, incident: Incident) -> bool:
        """Whether the next look has something to do, although no execution works on the incident."""
        owed = bool(temporary(self._log(incident).made()))
        return owed or self._may_still_write(incident) or self._asks_about(incident)

    def _asks_about(self, incident: Incident) -> bool:
        return self.callers is not None and is_asked_about(incident, self.lifecycle.clock())

    def _name_callers(self, looked: Iterable[str]) -> None:
        """Records who else changed what the stopped incidents work on, as far as CloudTrail has it by now. That is for
        people only: without an answer the next look asks again, and nothing else depends on it."""
        incidents = self.lifecycle.incidents
        try:
            stopped = [incident for incident in map(incidents.get, looked) if self._asks_about(incident)]
            if self.callers and stopped:
                for incident, calls in zip(stopped, self.callers.of(stopped), strict=True):
                    incidents.record_calls_by_others(incident, calls)
        except Exception as error:
            logger.warning("callers not named", extra={"why": str(error)})

    def _may_still_write(self, incident: Incident) -> bool:
        executions = [execution for execution in (incident.execution, incident.change_execution) if execution]
        endings = [ended for ended in map(self.ending, executions) if ended]
        return any(ended.may_still_write(self.lifecycle.clock()) for ended in endings)

    def _look_at_open(self, incident: Incident) -> Looked:
        """Closes an open incident whose execution has ended, and starts one that never had any."""
        execution = incident.execution
        if execution is None:
            if is_starting(incident, self.lifecycle.clock()):
                return Looked.STARTING
            execution = self.start(incident.id, incident.cluster)
            self.lifecycle.incidents.record_execution(incident.id, execution)
            if self.ending(execution) is None:
                return Looked.STARTED
        ended = self.ending(execution)
        if ended is None:
            return Looked.WORKING
        # First the lock, so that a function which still runs records, and so makes, no further change.
        self._unlock(incident)
        step = step_under_way(incident)
        caught = Caught(error="ExecutionEnded", cause=ended.summary, step=step)
        self.lifecycle.close(incident.id, Outcome.FAILED, caught)
        return Looked.SETTLED

    def _free(self, incident: Incident) -> None:
        """Releases lock, marker and block of a closed incident that no execution works on; each may have been released
        already."""
        self._unlock(incident)
        self.lifecycle.incidents.close_marker(incident)
        self.lifecycle.release_blocks(incident)

    def _start_next(self, incident: Incident) -> None:
        """The run for nodes, once. If this is interrupted before the start, the incident is on the list as well."""
        if not leaves_nodes_waiting(incident) or incident.next_incident:
            return
        incidents, reason = self.lifecycle.incidents, f"nodes lack addresses, too: after {incident.id}"
        opened = incidents.open_next(incident.id, incident.cluster, incident.region, incident.mode, reason)
        if opened:
            incidents.record_execution(opened, self.start(opened, incident.cluster))

    def _unlock(self, incident: Incident) -> None:
        if incident.plan:
            lock = VpcLock(self.lifecycle.table, self.lifecycle.clock)
            lock.release(incident.plan.vpc_id, incident.id, self.lifecycle.incidents.not_claimed_since(incident))

    def _give_back(self, incident: Incident) -> bool:
        """Whether something temporary was given back. What cannot be stays in the record, and is named by it."""
        before = temporary(self._log(incident).made())
        if not before:
            return False
        for action in _GIVING_BACK:
            try:
                self.give_back(action, incident.id, incident.change_execution)
            except Exception as error:
                logger.warning("not given back", extra={"incident": incident.id, "action": action, "why": str(error)})
        return len(temporary(self._log(incident).made())) < len(before)

    def _interrupt(self, incident: Incident, ended: Ending, given_back: bool) -> None:
        step = interrupted_change(incident) or (Step.ROLLBACK if incident.rollback else Step.REPLACE_NODES)
        message = (
            f"{ended.summary}; what it had changed for the time being is given back" if given_back else ended.summary
        )
        caught = Caught(error="ExecutionEnded", cause=message, step=step)
        self._workflow(step).interrupt(incident.id, caught, ended.execution)

    def _note_failed_begin(self, incident: Incident, ended: Ending) -> None:
        holder = incident.change_execution
        if holder == ended.execution or (holder and self.ending(holder) is None):
            return
        if self.lifecycle.incidents.claim(incident, ended.execution):
            step = Step.REPLACE_NODES if "Replacement" in ended.execution else Step.ROLLBACK
            caught = Caught(error=ended.error or "ExecutionEnded", cause=ended.summary, step=step)
            self._workflow(step).interrupt(incident.id, caught, ended.execution)

    def _workflow(self, step: Step) -> ChangeWorkflow[Any]:
        change: Any = ROLLBACK if step is Step.ROLLBACK else REPLACEMENT
        return ChangeWorkflow(change, self.lifecycle, lambda execution: self.ending(execution) is None, 0)

    def _log(self, incident: Incident) -> ChangeLog:
        return ChangeLog(self.lifecycle.table, self.lifecycle.clock, incident.id)

    def _incident_of(self, execution: str, document: Any) -> str | None:
        """Signals start an execution of the incident's name; people name an incident, or a cluster."""
        given = document if isinstance(document, dict) else {}
        if incident := given.get("incident"):
            return str(incident)
        cluster = given.get("cluster")
        marked = self.lifecycle.incidents.marked_incident(str(cluster)) if cluster else None
        return marked if marked and self._is_of(marked, execution) else None

    def _is_of(self, incident_id: str, execution: str) -> bool:
        return self.lifecycle.incidents.get(incident_id).execution == execution
