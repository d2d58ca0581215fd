"""What an operator ends by hand: an incident that nobody works on, the lock of a VPC, the marker of a cluster.

The watchdog does the same by itself every five minutes; this is for when it cannot. An execution that runs is never
passed over: stop it first, and its functions write nothing more once the lock is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ip_remediator.common.enums import Outcome
from ip_remediator.common.errors import IncidentNotFound
from ip_remediator.incidents.record import ChangeMade, Incident
from ip_remediator.incidents.vpc_lock import VpcLock
from ip_remediator.provisioning.change_log import ChangeLog
from ip_remediator.remediation.caught import Caught
from ip_remediator.watchdog.rules import is_starting, step_under_way, temporary
from ip_remediator.watchdog.watch import Watchdog

CLOSED_BY_OPERATOR = "ClosedByOperator"


class StillWorkedOn(Exception):
    """An execution works on the incident, or is about to; `execution` is its ARN, None while it is only starting."""

    def __init__(self, message: str, execution: str | None = None) -> None:
        super().__init__(message)
        self.execution = execution


@dataclass(frozen=True)
class Closed:
    """`standing`: what the incident made and what is still there. `owed`: cordons and warm targets that the cluster
    did not take back. `was_open`: this call closed it."""

    incident: Incident
    was_open: bool
    standing: Sequence[ChangeMade]
    owed: Sequence[ChangeMade]


@dataclass(frozen=True)
class Holder:
    """Who holds a lock or a marker. `works`: why it must be taken for alive; "" when it is proven to be dead."""

    incident: str
    works: str
    proof: str


@dataclass(frozen=True)
class OperatorActions:
    """Raises the errors of `common.errors`."""

    watchdog: Watchdog

    def close(self, incident_id: str, by: str, reason: str) -> Closed:
        """Closes the incident as failed, unless it is closed, and gives back its lock, its marker, what is temporary in
        the cluster, and its block if nothing stands in the VPC.

        Raises:
            StillWorkedOn, IncidentNotFound
        """
        lifecycle = self.watchdog.lifecycle
        incident = lifecycle.incidents.get(incident_id)
        if works := self._works_on(incident):
            raise StillWorkedOn(works, self._running(incident))
        if incident.open:
            self._unlock(incident)
            caught = Caught(error=CLOSED_BY_OPERATOR, cause=f"{reason} ({by})", step=step_under_way(incident))
            lifecycle.close(incident_id, Outcome.FAILED, caught)
        self.watchdog.look(incident_id)
        made = ChangeLog(lifecycle.table, lifecycle.clock, incident_id).made()
        owed = temporary(made)
        standing = [change for change in made if change.kind.outstanding and change not in owed]
        return Closed(lifecycle.incidents.get(incident_id), incident.open, standing, owed)

    def lock_holder(self, vpc_id: str) -> Holder | None:
        """None: nobody holds the lock."""
        owner = self._lock.holder(vpc_id)
        return self._holder(owner) if owner else None

    def unlock_vpc(self, vpc_id: str, holder: Holder) -> None:
        """Takes the lock away from `holder`; from nobody else."""
        self._lock.release(vpc_id, holder.incident)

    def marker_holder(self, cluster: str) -> Holder | None:
        """None: the cluster has no open incident."""
        marked = self.watchdog.lifecycle.incidents.open_incident(cluster)
        return self._holder(marked) if marked else None

    def unlock_cluster(self, cluster: str, holder: Holder) -> None:
        """Lets the cluster's next incident be opened; a no-op when the marker names another one by now."""
        incidents = self.watchdog.lifecycle.incidents
        incidents.cool_down(cluster)
        incidents.free_marker(cluster, holder.incident)
        incidents.strike_off_missing(holder.incident)

    def _holder(self, incident_id: str) -> Holder:
        try:
            incident = self.watchdog.lifecycle.incidents.get(incident_id)
        except IncidentNotFound:
            return Holder(incident_id, "", "there is no record of it")
        if works := self._works_on(incident):
            return Holder(incident_id, works, "")
        if incident.open:
            return Holder(incident_id, "", "it is open, but its execution has ended")
        return Holder(incident_id, "", f"it ended as {incident.outcome}, and no execution changes it")

    def _works_on(self, incident: Incident) -> str:
        running = self._running(incident)
        if running:
            return f"execution {running.rpartition(':')[2]} runs"
        if incident.open and incident.execution is None and is_starting(incident, self.watchdog.lifecycle.clock()):
            return "it was opened less than two minutes ago, and its execution is about to start"
        return ""

    def _running(self, incident: Incident) -> str | None:
        ending: Callable[[str], object] = self.watchdog.ending
        executions = (incident.execution, incident.change_execution)
        return next((execution for execution in executions if execution and ending(execution) is None), None)

    def _unlock(self, incident: Incident) -> None:
        # Before the incident is closed: a function that still runs then records, and so makes, no further change.
        if incident.plan:
            self._lock.release(incident.plan.vpc_id, incident.id)

    @property
    def _lock(self) -> VpcLock:
        return VpcLock(self.watchdog.lifecycle.table, self.watchdog.lifecycle.clock)
