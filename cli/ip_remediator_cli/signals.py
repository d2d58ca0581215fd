"""`ip-remediator signals`: what each record of a file proves, one JSON object per line."""

from __future__ import annotations

import base64
import gzip
import json
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime

from ip_remediator.signals.events import Dropped, Signal, at, is_kubernetes_event, parse_kubernetes_event, text_at
from ip_remediator.signals.logs import parse_logs, parse_message
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


def read_records(text: str, name: str, option: str = "FILE") -> list[object]:
    """The records of one JSON document, a list of them, or JSON lines; each may hold others (`_unwrapped`).

    `option` is what errors name.

    Raises:
        BadInput: not JSON; of JSON lines, nothing is read when one line is wrong.
    """
    where = f"{option} {name}"
    if not text.strip():
        raise BadInput(f"{where} is empty; give a JSON document, a list, or JSON lines")
    # JSON lets U+2028 and its like stand in a string, so they end no line.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    try:
        document = parse_json(text, where)
    except BadInput:
        if len(lines) == 1 or not _is_json(lines[0][1]):
            raise
        documents = [parse_json(line, f"{where} line {number}") for number, line in lines]
    else:
        documents = document if isinstance(document, list) else [document]
    return [record for document in documents for record in _unwrapped(document)]


def _unwrapped(document: object) -> list[object]:
    """The items of a Kubernetes list; the bodies of SQS messages, as Lambda or `aws sqs receive-message` gets them."""
    items = at(document, "items")
    if (text_at(document, "kind") or "").endswith("List") and isinstance(items, list):
        return items
    for messages, body in (("Records", "body"), ("Messages", "Body")):
        found = at(document, messages)
        if isinstance(found, list):
            return [_from_body(text_at(message, body) or "") for message in found]
    return [document]


def _from_body(body: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body  # no event, as any other text


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def parse_record(record: object, cluster: str | None, received_at: datetime) -> Iterator[Signal | Dropped]:
    """The signals of one record: what a message of the queue holds, a bare Kubernetes Event, or a CloudWatch Logs
    payload, as Lambda gets it or already unpacked. `cluster` names the cluster of bare Events."""
    if at(record, "awslogs") is not None:
        yield from parse_logs(record, received_at=received_at)
    elif isinstance(at(record, "logEvents"), list) or at(record, "messageType") == "CONTROL_MESSAGE":
        yield from parse_logs(_packed(record), received_at=received_at)
    elif is_kubernetes_event(record):
        yield parse_kubernetes_event(record, cluster=cluster, received_at=received_at)
    else:
        yield from parse_message(record, received_at=received_at)


def _packed(batch: object) -> dict[str, dict[str, str]]:
    """The payload that Lambda would get for a batch of log events."""
    data = gzip.compress(json.dumps(batch).encode(), compresslevel=1)
    return {"awslogs": {"data": base64.b64encode(data).decode()}}
