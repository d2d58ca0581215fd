"""Signals in: what arrives is read, joined cluster by cluster, and starts one execution for each incident.

Log lines take the way of everything else: CloudWatch Logs invokes the function, which puts the signals of a payload
into the queue. So one place bounds how many invocations work at the same time, whatever the number of log streams.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric

from ip_remediator.observability import NAMESPACE, logger
from ip_remediator.signals.correlation import by_cluster
from ip_remediator.signals.error_catalogue import Cause
from ip_remediator.signals.events import Dropped, Signal
from ip_remediator.signals.logs import fold, parse_logs, parse_message

Outcome = Signal | Dropped


def ingest(
    records: list[Any],
    remediate: Callable[[str, Sequence[Signal]], None],
    add_dead_letter: Callable[[str, str], None],
    now: datetime,
) -> dict[str, Any]:
    """The partial batch response: the records of a cluster that could not be joined fail together.

    Retrying can't fix a body that isn't JSON, so it goes to the dead-letter queue; it is reported as failed only if
    that send fails.

    Powertools' BatchProcessor does the first half as well, but imports as long as everything else here together.
    """
    read: list[tuple[str, Outcome]] = []
    failures: list[str] = []
    for record in records:
        try:
            document = json.loads(record["body"])
            read += [(record["messageId"], found) for found in parse_message(document, received_at=now)]
        except Exception as error:  # whatever is in a message, the others of its batch go on
            about = {"message_id": record["messageId"], "body": record["body"][:200]}
            logger.error("message not read", reason=_reason(error), **about)
            failures += _dead_letter(record, _reason(error), add_dead_letter)
    signals = [(message, found) for message, found in read if isinstance(found, Signal)]
    for cluster, observed in by_cluster(signal for _, signal in signals).items():
        try:
            remediate(cluster, observed)
        except Exception as error:  # the other clusters go on; SQS delivers these again, and then to the dead letters
            messages = list(dict.fromkeys(message for message, signal in signals if signal.cluster == cluster))
            logger.exception("signals not joined", cluster=cluster, message_ids=messages, reason=_reason(error))
            failures += messages
    count(found for _, found in read)
    # A message may hold signals of several clusters, but fails once.
    return {"batchItemFailures": [{"itemIdentifier": message} for message in dict.fromkeys(failures)]}


def _dead_letter(record: Any, reason: str, add_dead_letter: Callable[[str, str], None]) -> list[str]:
    """Nothing, or the message's id when it could not be buried: SQS delivers it again, and buries it itself."""
    try:
        add_dead_letter(record["body"], reason)
    except Exception as error:
        logger.error("message not buried", message_id=record["messageId"], reason=_reason(error))
        return [record["messageId"]]
    return []


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def forward(payload: object, send: Callable[[Sequence[Signal]], None], now: datetime) -> dict[str, int]:
    """The signals of a CloudWatch Logs payload, put into the queue; how many there were, of how many lines."""
    found = list(parse_logs(payload, received_at=now))
    signals = fold(one for one in found if isinstance(one, Signal))
    if signals:
        send(signals)
    count(one for one in found if isinstance(one, Dropped))
    return {"lines": len(found), "signals": len(signals)}


def count(outcomes: Iterable[Outcome]) -> None:
    """Metrics of what was read, and the words that nobody knew, in the log."""
    found = list(outcomes)
    if unknown := {one.excerpt for one in found if isinstance(one, Signal) and one.cause is Cause.OTHER}:
        logger.info("unknown wordings", excerpts=sorted(unknown)[:5])
    for (name, dimension, value), number in Counter(one.tally for one in found).items():
        with single_metric(name, MetricUnit.Count, number, namespace=NAMESPACE) as metric:
            metric.add_dimension(dimension, value)
