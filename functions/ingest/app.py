"""Signals in, from the queue and from CloudWatch Logs -> one join per cluster -> one execution per incident."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

from ip_remediator.clients.aws import session
from ip_remediator.clients.aws.step_functions import start_remediation
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode
from ip_remediator.incidents.opening import IncidentOpener
from ip_remediator.intake.execution import IncidentStarter
from ip_remediator.intake.handle import Intake, Placed, forward
from ip_remediator.intake.places import ClusterFinder, SubnetClusters
from ip_remediator.intake.queue import DeadLetterQueue, SignalQueue
from ip_remediator.intake.window import SignalWindow
from ip_remediator.settings import IngestSettings
from ip_remediator.signals.correlation import Rules
from ip_remediator.signals.log_groups import LogGroups
from ip_remediator.signals.model import UnplacedSignal


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """`event`: a batch of SQS messages, or what a CloudWatch Logs subscription sends."""
    settings = IngestSettings.read(os.environ)
    groups = LogGroups.parse(settings.log_group_clusters)
    place = partial(_find_clusters, settings)
    if "Records" not in event:
        queue = SignalQueue(session.client("sqs"), settings.signals_queue_url)
        return forward(event, queue.send, utc_now(), groups, place)
    table = session.table(settings.incidents_table)
    rules = Rules.of(settings.weak_signals_needed, settings.signal_window_minutes, settings.cool_down_minutes)
    window = SignalWindow(table, utc_now, rules, settings.aws_region, Mode(settings.default_mode))
    start = partial(start_remediation, session.client("stepfunctions"), settings.state_machine_arn)
    intake = Intake(
        take=IncidentStarter(window, IncidentOpener(table, utc_now), start).take,
        add_dead_letter=DeadLetterQueue(session.client("sqs"), settings.dead_letter_queue_url).add,
        place=place,
        groups=groups,
    )
    return intake.ingest(event["Records"], utc_now())


def _find_clusters(settings: IngestSettings, signal: UnplacedSignal) -> Sequence[Placed]:
    """Needs a client of DynamoDB, which takes time at a start: most payloads of CloudWatch Logs have no such signal."""
    clusters = SubnetClusters(session.table(settings.incidents_table))
    return ClusterFinder(clusters, lambda: session.client("ec2")).place(signal)
