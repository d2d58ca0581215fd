"""`ip-remediator signals`: what each record of a file proves, one JSON object per line."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime

from ip_remediator.signals.documents import at, text_at
from ip_remediator.signals.events import parse_message
from ip_remediator.signals.model import Dropped, DropReason, ParsedRecord, UnplacedSignal
from ip_remediator_cli.documents import parse_json, read_text
from ip_remediator_cli.errors import OK, BadInput
from ip_remediator_cli.explain_signals import explain


def run(arguments: Namespace) -> int:
    """Prints what each record of a file proves, one line of JSON each; returns the exit status."""
    received_at = datetime.now(UTC)
    for record in read_records(read_text(arguments.file, "FILE"), arguments.file):
        for outcome in parse_record(record, arguments.cluster, received_at):
            print(json.dumps(to_json(outcome), ensure_ascii=False))
            if arguments.explain:
                print("\n".join(f"  {line}" for line in explain(outcome)))
    return OK


def to_json(outcome: ParsedRecord) -> dict[str, object]:
    """A signal with all of its fields, absent facts null; or `{"dropped": reason}`.

    Where no cluster is named, `cluster` is null and `place` says where it happened.
    """
    if isinstance(outcome, Dropped):
        return {"dropped": outcome.reason.value}
    document = outcome.model_dump(mode="json")
    return {name: document.pop(name) for name in ("source", "cluster")} | document


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
        batch = at(document, messages)
        if isinstance(batch, list) and all(isinstance(message, dict) for message in batch):
            return [_from_body(at(message, body)) if at(message, body) is not None else message for message in batch]
    return [document]


def _from_body(body: object) -> object:
    try:
        return json.loads(body) if isinstance(body, str) else body
    except (ValueError, RecursionError):
        return body  # no event, as any other text


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def parse_record(record: object, cluster: str | None, received_at: datetime) -> Iterator[ParsedRecord]:
    """The signals of one record: what a message of the queue holds, an event or alarm in any envelope, or a CloudWatch
    Logs payload, as Lambda gets it or already unpacked. `cluster` names the cluster of records that name none."""
    for outcome in parse_message(record, received_at=received_at, cluster=cluster):
        yield _placed(outcome, cluster)


def _placed(outcome: ParsedRecord, cluster: str | None) -> ParsedRecord:
    """Without the sweep's knowledge, only what is certainly about some cluster is more than a drop."""
    if not isinstance(outcome, UnplacedSignal):
        return outcome
    if not outcome.place.certain:
        return Dropped(reason=DropReason.NO_CLUSTER)
    return outcome.in_cluster(cluster) if cluster else outcome
