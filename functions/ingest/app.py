"""Signals in, from the queue and from CloudWatch Logs -> one join per cluster -> one execution per incident."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.step_functions import start_remediation
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode
from ip_remediator.incidents.opening import IncidentOpener
from ip_remediator.intake.handle import forward, ingest
from ip_remediator.intake.queue import DeadLetterQueue, SignalQueue
from ip_remediator.intake.window import SignalWindow
from ip_remediator.settings import IngestSettings
from ip_remediator.signals.correlation import Rules
from ip_remediator.signals.events import Signal


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """`event`: a batch of SQS messages, or what a CloudWatch Logs subscription sends."""
    settings = IngestSettings.read(os.environ)
    if "Records" not in event:
        return forward(event, SignalQueue(session.client("sqs"), settings.signals_queue_url).send, utc_now())
    table, sfn = session.table(settings.incidents_table), session.client("stepfunctions")
    rules = Rules.of(settings.weak_signals_needed, settings.signal_window_minutes, settings.cool_down_minutes)
    window = SignalWindow(table, utc_now, rules, settings.aws_region, Mode(settings.default_mode))

    def remediate(cluster: str, signals: Sequence[Signal]) -> None:
        joined = window.join(signals)
        if joined.start and joined.incident_id:
            execution = start_remediation(sfn, settings.state_machine_arn, joined.incident_id, cluster)
            IncidentOpener(table, utc_now).record_execution(joined.incident_id, execution)

    dead_letters = DeadLetterQueue(session.client("sqs"), settings.dead_letter_queue_url)
    return ingest(event["Records"], remediate, dead_letters.add, utc_now())
