"""A cluster's signals -> its incident -> the one execution of that incident."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ip_remediator.incidents.opening import IncidentOpener
from ip_remediator.intake.window import SignalWindow
from ip_remediator.signals.model import Signal

StartExecution = Callable[[str, str], str]


class IncidentStarter:
    """Raises the errors of `common.errors`."""

    def __init__(self, window: SignalWindow, incidents: IncidentOpener, start: StartExecution) -> None:
        """`start` takes an incident's id and its cluster, and returns the execution's ARN."""
        self._window = window
        self._incidents = incidents
        self._start = start

    def take(self, cluster: str, signals: Sequence[Signal]) -> None:
        """Joins the signals of one cluster, and starts the execution of an incident that has none.

        Repeats start nothing: the execution has the incident's name.
        """
        joined = self._window.join(signals)
        if joined.start and joined.incident_id:
            self._incidents.record_execution(joined.incident_id, self._start(joined.incident_id, cluster))
