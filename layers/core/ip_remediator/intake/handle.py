"""Signals in: records are read, joined to the incident of their cluster, and start one execution for each incident.

Log lines take the same way: CloudWatch Logs invokes the function, which puts the signals of a payload into the
queue. So one place limits how many invocations work at the same time, whatever the number of log streams.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from ip_remediator.observability import NAMESPACE, logger
from ip_remediator.signals.correlation import by_cluster
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.signals.events import parse_message
from ip_remediator.signals.log_groups import LogGroups
from ip_remediator.signals.logs import fold, parse_logs
from ip_remediator.signals.model import Dropped, DropReason, ParsedRecord, Signal, UnplacedSignal

Placed = Signal | Dropped
FindClusters = Callable[[UnplacedSignal], Sequence[Placed]]
_NO_GROUPS = LogGroups()


def leave_unplaced(_signal: UnplacedSignal) -> Sequence[Placed]:
    """The default: no cluster is found, because no cluster's subnets are known."""
    return [Dropped(reason=DropReason.NO_CLUSTER)]


@dataclass(frozen=True)
class Intake:
    """What ingest does with what it read.

    `take`: joins the signals of one cluster. `add_dead_letter`: a body and the reason. `place`: finds the clusters of
    a signal that names none. `groups`: clusters of log groups with names of their owners' own.
    """

    take: Callable[[str, Sequence[Signal]], None]
    add_dead_letter: Callable[[str, str], None]
    place: FindClusters = leave_unplaced
    groups: LogGroups = field(default_factory=LogGroups)

    def ingest(self, records: list[Any], now: datetime) -> dict[str, Any]:
        """The partial batch response: the records of a cluster that could not be joined fail together.

        Retrying can't fix a body that isn't JSON, so it goes to the dead-letter queue; it is reported as failed only
        if that send fails.

        Powertools' BatchProcessor does the first half as well, but imports as long as everything else here together.
        """
        outcomes: list[tuple[str, Placed]] = []
        failures: list[str] = []
        for record in records:
            message = record["messageId"]
            try:
                document = json.loads(record["body"])
                read = list(parse_message(document, received_at=now, groups=self.groups))
            except Exception as error:  # a bad message does not stop the others of its batch
                logger.error("message not read", reason=_reason(error), message_id=message, body=record["body"][:200])
                failures += self._dead_letter(record, _reason(error))
                continue
            try:
                outcomes += [(message, placed) for outcome in read for placed in _placed(outcome, self.place)]
            except Exception as error:  # SQS delivers it again
                logger.exception("cluster not found", message_ids=[message], reason=_reason(error))
                failures.append(message)
        failures += self._join(outcomes)
        count(outcome for _, outcome in outcomes)
        # A message may hold signals of several clusters, but fails once.
        return {"batchItemFailures": [{"itemIdentifier": message} for message in dict.fromkeys(failures)]}

    def _join(self, outcomes: Sequence[tuple[str, Placed]]) -> list[str]:
        """The ids of the messages whose signals could not be joined."""
        signals = [(message, outcome) for message, outcome in outcomes if isinstance(outcome, Signal)]
        failures: list[str] = []
        for cluster, observed in by_cluster(signal for _, signal in signals).items():
            try:
                self.take(cluster, observed)
            except Exception as error:  # the other clusters go on; SQS delivers these again, then to the dead letters
                messages = list(dict.fromkeys(message for message, signal in signals if signal.cluster == cluster))
                logger.exception("signals not joined", cluster=cluster, message_ids=messages, reason=_reason(error))
                failures += messages
        return failures

    def _dead_letter(self, record: Any, reason: str) -> list[str]:
        """Sends the message to the dead-letter queue; returns its id if that queue did not take it, so that SQS
        delivers it again."""
        try:
            self.add_dead_letter(record["body"], reason)
        except Exception as error:
            logger.error("message not buried", message_id=record["messageId"], reason=_reason(error))
            return [record["messageId"]]
        return []


def _placed(outcome: ParsedRecord, place: FindClusters) -> Sequence[Placed]:
    return place(outcome) if isinstance(outcome, UnplacedSignal) else [outcome]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def forward(
    payload: object,
    send: Callable[[Sequence[Signal]], None],
    now: datetime,
    groups: LogGroups = _NO_GROUPS,
    place: FindClusters = leave_unplaced,
) -> dict[str, int]:
    """Puts the signals of a CloudWatch Logs payload into the queue; how many there were, of how many lines."""
    read = list(parse_logs(payload, received_at=now, groups=groups))
    outcomes = [placed for outcome in read for placed in _placed(outcome, place)]
    signals = fold(outcome for outcome in outcomes if isinstance(outcome, Signal))
    if signals:
        send(signals)
    count(outcome for outcome in outcomes if isinstance(outcome, Dropped))
    return {"lines": len(read), "signals": len(signals)}


def count(outcomes: Iterable[ParsedRecord]) -> None:
    """Counts metrics of what was read, and logs the unknown wordings."""
    read = list(outcomes)
    unknown = {outcome.excerpt for outcome in read if isinstance(outcome, Signal) and outcome.cause is Cause.OTHER}
    if unknown:
        logger.info("unknown wordings", excerpts=sorted(unknown)[:5])
    for (name, dimension, value), number in Counter(outcome.tally for outcome in read).items():
        with single_metric(name, MetricUnit.Count, number, namespace=NAMESPACE) as metric:
            metric.add_dimension(dimension, value)
