"""What one remediation used of the services that bill by use, read back from the services themselves."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.conditions import Key
from boto3.dynamodb.types import Binary

from ip_remediator.incidents.record import Incident
from local.demo.watching import incidents_of
from local.stack.deployment import STACK_NAME

if TYPE_CHECKING:
    from benchmarks.stage import Stage

_REPORT = re.compile(r"REPORT .*\bDuration: ([0-9.]+) ms.*\bMemory Size: ([0-9]+) MB")
# Strings are counted as UTF-8 plus their attributes' names (DynamoDB Developer Guide, "item sizes and formats").
_WRITE_UNIT, _READ_UNIT = 1024, 4096


@dataclass(frozen=True)
class Usage:
    """transitions: of Step Functions, retries included. invocations: by function. gb_seconds: of all functions.
    events: signals on the bus. stages: entries of the timeline, of which `announce` makes events that go to no queue.
    metrics: different custom metrics that the functions' logs carry.

    write_units, read_units: upper bounds for DynamoDB, as if every access were to the whole record at its final size.
    """

    transitions: int
    invocations: Mapping[str, int]
    gb_seconds: float
    write_units: int
    read_units: int
    dynamodb: Mapping[str, int]
    log_bytes: int
    events: int
    stages: int
    metrics: int


def usage_of(stage: Stage, incident: Incident, calls: list[dict[str, Any]]) -> Usage:
    """`calls`: those recorded since before the incident began."""
    logs = _logs(stage, incident)
    reports = {name: [match for line in lines if (match := _REPORT.search(line))] for name, lines in logs.items()}
    dynamodb = Counter(
        call["action"] for call in calls if call["service"] == "dynamodb" and "FunctionRole" in call["principal"]
    )
    record = _record_bytes(stage, incident)
    return Usage(
        transitions=_transitions(stage, incident),
        invocations={name: len(matches) for name, matches in reports.items() if matches},
        gb_seconds=sum(_gb_seconds(match) for matches in reports.values() for match in matches),
        write_units=_write_units(dynamodb, record),
        read_units=_read_units(dynamodb, record),
        dynamodb=dynamodb,
        log_bytes=sum(len(line.encode()) for lines in logs.values() for line in lines),
        events=sum(call["action"] == "PutEvents" and "FunctionRole" not in call["principal"] for call in calls),
        stages=len(incidents_of(stage.stack).timeline(incident.id)),
        metrics=len({metric for lines in logs.values() for line in lines for metric in _metrics(line)}),
    )


def _transitions(stage: Stage, incident: Incident) -> int:
    """States entered and their retries: "a state transition each time a step is executed, including retries"."""
    pages = (
        stage.client("stepfunctions").get_paginator("get_execution_history").paginate(executionArn=incident.execution)
    )
    kinds = Counter(event["type"] for page in pages for event in page["events"])
    entered = sum(count for kind, count in kinds.items() if kind.endswith("StateEntered"))
    return entered + max(0, kinds["TaskScheduled"] - kinds["TaskStateEntered"])


def _logs(stage: Stage, incident: Incident) -> dict[str, list[str]]:
    """Lines that each function logged since the incident opened."""
    logs = stage.client("logs")
    lines: dict[str, list[str]] = {}
    # A margin for ingest, which runs before the record exists.
    since = int(incident.opened_at.timestamp() * 1000) - 3000
    for function in stage.functions():
        name = function.removeprefix(f"{STACK_NAME}-")
        try:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=f"/aws/lambda/{function}", startTime=since
            )
            lines[name] = [event["message"] for page in pages for event in page["events"]]
        except logs.exceptions.ResourceNotFoundException:
            continue  # never invoked
    return lines


def _gb_seconds(report: re.Match[str]) -> float:
    return float(report[1]) / 1000 * float(report[2]) / 1024


def _metrics(line: str) -> set[tuple[str, str]]:
    """Custom metrics of a line in CloudWatch's embedded metric format; a metric is a name with values of dimensions."""
    if '"CloudWatchMetrics"' not in line:
        return set()
    document = json.loads(line)
    return {
        (metric["Name"], json.dumps([document.get(name) for name in dimensions]))
        for directive in document["_aws"]["CloudWatchMetrics"]
        for dimensions in directive["Dimensions"]
        for metric in directive["Metrics"]
    }


def _record_bytes(stage: Stage, incident: Incident) -> int:
    """Bytes of the incident's largest item when all is done."""
    resource: Any = stage.servers.session.resource("dynamodb", endpoint_url=stage.servers.aws_url)
    table = resource.Table(stage.stack.outputs["IncidentsTableName"])
    items = table.query(KeyConditionExpression=Key("pk").eq(f"INCIDENT#{incident.id}"))["Items"]
    return max(sum(len(name) + _size(value) for name, value in item.items()) for item in items)


def _size(value: Any) -> int:
    """About: a number or boolean is less than its JSON text."""
    if isinstance(value, Binary):
        return len(value.__bytes__())
    return len(json.dumps(value, default=str).encode())


def _write_units(dynamodb: Mapping[str, int], record: int) -> int:
    """A transaction bills each item twice; ours write the record and an item of the timeline, or up to seven small
    items of the ledger, which is less."""
    whole = math.ceil(record / _WRITE_UNIT)
    singly = dynamodb.get("PutItem", 0) + dynamodb.get("UpdateItem", 0) + dynamodb.get("DeleteItem", 0)
    return singly * whole + dynamodb.get("TransactWriteItems", 0) * 2 * (whole + 1)


def _read_units(dynamodb: Mapping[str, int], record: int) -> int:
    """All reads are consistent ones of the whole record."""
    whole = math.ceil(record / _READ_UNIT)
    singly = dynamodb.get("GetItem", 0) + dynamodb.get("Query", 0)
    return (singly + 2 * dynamodb.get("TransactGetItems", 0)) * whole
