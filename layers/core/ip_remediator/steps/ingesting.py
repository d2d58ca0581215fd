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
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from ip_remediator.domain.correlation import by_cluster
from ip_remediator.domain.log_signals import fold, parse_logs
from ip_remediator.domain.signals import Cause, Dropped, Signal, at, parse_eventbridge
from ip_remediator.observability import NAMESPACE, logger

Outcome = Signal | Dropped


def ingest(records: list[Any], remediate: Callable[[str, Sequence[Signal]], None], now: datetime) -> dict[str, Any]:
    """The partial batch response: a body that is not JSON fails alone, the records of one cluster together."""
    batch = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
    with batch(records, lambda record: _read(record, now)):
        read = [(record["messageId"], found) for status, found, record in batch.process() if status == "success"]
    failures = [failure["itemIdentifier"] for failure in batch.response()["batchItemFailures"]]
    signals = [(message, one) for message, found in read for one in found if isinstance(one, Signal)]
    for cluster, observed in by_cluster(signal for _, signal in signals).items():
        try:
            remediate(cluster, observed)
        except (
            Exception
        ) as error:  # the batch's other clusters go on; SQS delivers these records again, then to the DLQ
            messages = sorted({message for message, signal in signals if signal.cluster == cluster})
            reason = f"{type(error).__name__}: {error}"
            logger.exception("signals not joined", cluster=cluster, message_ids=messages, reason=reason)
            failures += messages
    count(one for _, found in read for one in found)
    # A message may hold signals of several clusters, but fails once.
    return {"batchItemFailures": [{"itemIdentifier": message} for message in dict.fromkeys(failures)]}


def forward(payload: object, send: Callable[[Sequence[Signal]], None], now: datetime) -> dict[str, int]:
    """The signals of a CloudWatch Logs payload, put into the queue; how many there were, of how many lines."""
    found = list(parse_logs(payload, received_at=now))
    signals = fold(one for one in found if isinstance(one, Signal))
    if signals:
        send(signals)
    count(one for one in found if isinstance(one, Dropped))
    return {"lines": len(found), "signals": len(signals)}


def _read(record: SQSRecord, now: datetime) -> list[Outcome]:
    """What a message holds: an event, or a payload of CloudWatch Logs of which Lambda gave up, come from the DLQ."""
    try:
        body = json.loads(record.body)
    except (ValueError, RecursionError) as error:
        reason = f"the body is not JSON: {type(error).__name__}: {error}"
        logger.error("message not read", message_id=record.message_id, reason=reason, body=record.body[:200])
        raise
    payload = at(body, "requestPayload")
    if at(payload, "awslogs") is not None:
        return list(parse_logs(payload, received_at=now))
    return [parse_eventbridge(body, received_at=now)]


def count(outcomes: Iterable[Outcome]) -> None:
    """Metrics of what was read, and the words that nobody knew, in the log."""
    found = list(outcomes)
    if unknown := {one.excerpt for one in found if isinstance(one, Signal) and one.cause is Cause.OTHER}:
        logger.info("unknown wordings", excerpts=sorted(unknown)[:5])
    for (name, dimension, value), number in Counter(one.tally for one in found).items():
        with single_metric(name, MetricUnit.Count, number, namespace=NAMESPACE) as metric:
            metric.add_dimension(dimension, value)
