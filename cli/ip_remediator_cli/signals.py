"""`ip-remediator signals`: what each record of a file proves, one JSON object per line."""

from __future__ import annotations

import base64
import gzip
import json
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime

from ip_remediator.domain.log_signals import parse_logs
from ip_remediator.domain.signals import (
    Dropped,
    Signal,
    at,
    is_kubernetes_event,
    parse_eventbridge,
    parse_kubernetes_event,
)
from ip_remediator_cli.documents import parse_json, read_text
from ip_remediator_cli.errors import OK, BadInput


def run(arguments: Namespace) -> int:
    received_at = datetime.now(UTC)
    for record in read_records(read_text(arguments.file, "FILE"), arguments.file):
        for found in parse_record(record, arguments.cluster, received_at):
            print(json.dumps(to_json(found), ensure_ascii=False))
    return OK


def to_json(found: Signal | Dropped) -> dict[str, object]:
    """A signal with all of its fields, absent facts null; or `{"dropped": reason}`."""
    if isinstance(found, Dropped):
        return {"dropped": found.reason.value}
    return found.model_dump(mode="json")


def read_records(text: str, name: str) -> list[object]:
    """The records of one JSON document, a list of them, or JSON lines.

    Raises:
        BadInput: not JSON; of JSON lines, nothing is read when one line is wrong.
    """
    where = f"FILE {name}"
    if not text.strip():
        raise BadInput(f"{where} is empty; give a JSON document, a list, or JSON lines")
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    try:
        document = parse_json(text, where)
    except BadInput:
        if len(lines) == 1 or not _is_json(lines[0][1]):
            raise
        return [parse_json(line, f"{where} line {number}") for number, line in lines]
    return _records_of(document)


def _records_of(document: object) -> list[object]:
    if isinstance(document, list):
        return document
    items = at(document, "items")  # `kubectl get events -o json`
    return items if isinstance(items, list) else [document]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def parse_record(record: object, cluster: str | None, received_at: datetime) -> Iterator[Signal | Dropped]:
    """The signals of one record: an EventBridge event, a bare Kubernetes Event, or a CloudWatch Logs payload, as
    Lambda gets it or already unpacked. `cluster` names the cluster of bare Events."""
    if at(record, "awslogs") is not None:
        yield from parse_logs(record, received_at=received_at)
    elif isinstance(at(record, "logEvents"), list) or at(record, "messageType") == "CONTROL_MESSAGE":
        yield from parse_logs(_packed(record), received_at=received_at)
    elif is_kubernetes_event(record):
        yield parse_kubernetes_event(record, cluster=cluster, received_at=received_at)
    else:
        yield parse_eventbridge(record, received_at=received_at)


def _packed(batch: object) -> dict[str, dict[str, str]]:
    """The payload that Lambda would get for a batch of log events."""
    data = gzip.compress(json.dumps(batch).encode(), compresslevel=1)
    return {"awslogs": {"data": base64.b64encode(data).decode()}}
