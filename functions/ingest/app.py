"""Signals in: a batch of EventBridge events from SQS -> one join per cluster -> one execution per incident."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from aws_lambda_powertools.metrics import MetricUnit, single_metric
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType

from ip_remediator.adapters import aws
from ip_remediator.adapters.clock import utc_now
from ip_remediator.adapters.executions import start_remediation
from ip_remediator.adapters.incidents import Incidents
from ip_remediator.domain.correlation import COOLDOWN, by_cluster
from ip_remediator.domain.incidents import Mode
from ip_remediator.domain.signals import Cause, Signal, parse_eventbridge
from ip_remediator.observability import NAMESPACE, logger
from ip_remediator.settings import IngestSettings


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    settings = IngestSettings.read(os.environ)
    incidents = Incidents(aws.table(settings.incidents_table), utc_now)
    sfn, machine = aws.client("stepfunctions"), settings.state_machine_arn

    def remediate(cluster: str, signals: Sequence[Signal]) -> None:
        joined = incidents.join(signals, settings.aws_region, Mode(settings.default_mode), COOLDOWN)
        if joined.execution is None:
            execution = start_remediation(sfn, machine, joined.incident_id, cluster)
            incidents.record_execution(joined.incident_id, execution)

    return ingest(event["Records"], remediate, utc_now())


def ingest(records: list[Any], remediate: Callable[[str, Sequence[Signal]], None], now: datetime) -> dict[str, Any]:
    """The partial batch response: a body that is not JSON fails alone, the records of one cluster together."""
    # Powertools' own Logger has the methods of logging.Logger, but is no subclass.
    batch = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False, logger=logger)  # type: ignore[arg-type]
    with batch(records, lambda record: parse_eventbridge(json.loads(record.body), received_at=now)):
        read = [(record["messageId"], outcome) for status, outcome, record in batch.process() if status == "success"]
    failures = list(batch.response()["batchItemFailures"])
    signals = [(message, outcome) for message, outcome in read if isinstance(outcome, Signal)]
    for cluster, observed in by_cluster(signal for _, signal in signals).items():
        try:
            remediate(cluster, observed)
        except Exception:  # the batch's other clusters go on; SQS delivers these records again, then to the DLQ
            logger.exception("signals not joined", cluster=cluster)
            failures += [{"itemIdentifier": message} for message, signal in signals if signal.cluster == cluster]
    if unknown := {signal.excerpt for _, signal in signals if signal.cause is Cause.OTHER}:
        logger.info("unknown wordings", excerpts=sorted(unknown)[:5])
    for (name, dimension, value), number in Counter(outcome.tally for _, outcome in read).items():
        with single_metric(name, MetricUnit.Count, number, namespace=NAMESPACE) as metric:
            metric.add_dimension(dimension, value)
    return {"batchItemFailures": failures}
