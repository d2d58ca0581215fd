"""Storms of events through `ingest`: what they make it write, and what a million of them costs.

The real code of the function reads batches as Lambda hands them over, on as many threads as the template lets Lambda
run it side by side, against the embedded DynamoDB and Step Functions.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.cost import MILLION, SLOWER, Line, total
from benchmarks.metered_table import Meter, MeteredTable
from benchmarks.reservations import make_table
from benchmarks.stage import Stage
from ip_remediator.clients.aws.step_functions import start_remediation
from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Mode
from ip_remediator.incidents.repository import Incidents
from ip_remediator.intake.handle import Intake
from ip_remediator.intake.window import SignalWindow
from ip_remediator.signals.correlation import Rules
from ip_remediator.signals.events import Signal

# As in template.yaml: BatchSize, MaximumConcurrency, MemorySize; the parameters' defaults.
BATCH, CONCURRENCY, GIGABYTES = 100, 10, 0.5
# DynamoDB answers "in single-digit milliseconds"; Lambda's time is billed while a function waits.
ANSWER_SECONDS = 0.01
RULES = Rules.of("2", "15", "15")
_MESSAGE = (
    "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "
    '"2585244756197a04982514cc97947f5b7f702492df9776871fa3d7d3b3cba718": plugin type="aws-cni" name="aws-cni" '
    "failed (add): add cmd: failed to assign an IP address to container"
)


@dataclass(frozen=True)
class Storm:
    """What `events` of `clusters` took. cpu_seconds: of this machine. failed: records given back to the queue."""

    events: int
    clusters: int
    invocations: int
    executions: int
    failed: int
    meter: Meter
    cpu_seconds: float
    log_bytes: int

    def bill(self) -> list[Line]:
        """For a million such events."""
        per_event = MILLION / self.events
        # Lambda receives ten messages with a request (SQS's limit) and deletes as many with another.
        requests = MILLION * (1 + 2 / 10)
        waiting = sum(self.meter.requests.values()) + 2 * self.executions
        seconds = (self.cpu_seconds * SLOWER + waiting * ANSWER_SECONDS) * per_event
        return [
            Line("EventBridge, custom events", MILLION, "events", 1.0 / MILLION),
            Line("SQS: send one, receive and delete ten", requests, "requests", 0.40 / MILLION),
            Line("Lambda requests", self.invocations * per_event, "requests", 0.20 / MILLION),
            Line("Lambda duration, arm64, less CPU, and waiting", seconds * GIGABYTES, "GB-seconds", 0.0000133334),
            Line(
                "DynamoDB writes, on demand", self.meter.write_units * per_event, "write request units", 0.625 / MILLION
            ),
            Line("DynamoDB reads, on demand", self.meter.read_units * per_event, "read request units", 0.125 / MILLION),
            Line("CloudWatch Logs", self.log_bytes * per_event / 1e9, "GB", 0.50),
        ]


def one_cluster(number: int, name: str) -> list[dict[str, Any]]:
    """`number` events of one cluster: nine of each pod, as client-go sends them before it folds."""
    return [_event(name, f"web-{index // 9}", f"node-{index % 300}", f"{name}-{index}") for index in range(number)]


def many_clusters(number: int, name: str) -> list[dict[str, Any]]:
    """Events of two pods in each of `number` clusters, all mixed up."""
    events = [
        _event(f"{name}-{cluster}", f"web-{pod}", "node-1", f"{name}-{cluster}-{pod}")
        for cluster in range(number)
        for pod in range(2)
    ]
    random.Random(number).shuffle(events)  # noqa: S311 - the same order in every run
    return events


def _unread(_body: str, reason: str) -> None:
    raise AssertionError(reason)


def run(table: Any, sfn: Any, machine: str, events: Sequence[dict[str, Any]]) -> Storm:
    """`table`: with the keys of the Incidents table. `machine`: ARN of a state machine to start."""
    meter = Meter()
    metered: Any = MeteredTable(table, meter)
    window = SignalWindow(metered, utc_now, RULES, "eu-west-1", Mode.OBSERVE)
    started: list[str] = []
    cpu: list[float] = []

    def remediate(cluster: str, signals: Sequence[Signal]) -> None:
        joined = window.join(signals)
        if joined.start and joined.incident_id:
            execution = start_remediation(sfn, machine, joined.incident_id, cluster)
            Incidents(metered, utc_now).record_execution(joined.incident_id, execution)
            started.append(execution)

    def invoke(batch: Sequence[dict[str, Any]]) -> int:
        records = [{"messageId": event["id"], "body": json.dumps(event)} for event in batch]
        begun = time.thread_time()
        failures = Intake(remediate, _unread).ingest(records, utc_now())["batchItemFailures"]
        cpu.append(time.thread_time() - begun)
        return len(failures)

    batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    printed = _Counted()
    with contextlib.redirect_stdout(printed), ThreadPoolExecutor(CONCURRENCY) as pool:
        failed = sum(pool.map(invoke, batches))
    clusters = len({event["detail"]["clusterName"] for event in events})
    # A second start of an execution gives the same ARN.
    return Storm(len(events), clusters, len(batches), len(set(started)), failed, meter, sum(cpu), printed.bytes)


def measured(stage: Stage, events: int, clusters: int) -> Iterator[Storm]:
    """A storm of one cluster, and one of many at once."""
    sfn, machine = stage.client("stepfunctions"), _machine(stage)
    for number, storm in enumerate((one_cluster(events, "storm"), many_clusters(clusters, "storm"))):
        yield run(make_table(stage, f"bench-storm-{number}"), sfn, machine, storm)


def _machine(stage: Stage) -> str:
    """A state machine that ends at once."""
    trust = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = stage.client("iam").create_role(RoleName="bench-storm", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    made = stage.client("stepfunctions").create_state_machine(name="bench-storm", definition=definition, roleArn=role)
    return str(made["stateMachineArn"])


def _event(cluster: str, pod: str, node: str, uid: str) -> dict[str, Any]:
    """As kubernetes-event-exporter puts it on EventBridge."""
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    detail = {
        "metadata": {"name": f"{pod}.{uid}", "namespace": "shop", "uid": uid, "creationTimestamp": now},
        "involvedObject": {"kind": "Pod", "namespace": "shop", "name": pod, "apiVersion": "v1"},
        "reason": "FailedCreatePodSandBox",
        "message": _MESSAGE,
        "source": {"component": "kubelet", "host": f"{node}.eu-west-1.compute.internal"},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "type": "Warning",
        "clusterName": cluster,
    }
    return {"id": uid, "source": "kubernetes", "detail-type": "Kubernetes Event", "time": now, "detail": detail}


class _Counted(io.TextIOBase):
    """Counts what is printed and keeps none of it."""

    def __init__(self) -> None:
        self.bytes = 0
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        with self._lock:
            self.bytes += len(text.encode())
        return len(text)


def markdown(storms: Sequence[Storm]) -> str:
    """The section of the results."""
    rows = [
        [
            f"{storm.events:,} of {storm.clusters:,} cluster{'s' * (storm.clusters > 1)}",
            f"{storm.invocations:,}",
            f"{storm.executions:,}",
            f"{storm.failed:,}",
            f"{sum(storm.meter.requests.values()) - storm.meter.requests['GetItem']:,} ({storm.meter.refused:,})",
            f"{storm.meter.write_units:,}",
            f"{storm.meter.requests['GetItem']:,}",
            f"{storm.meter.read_units:,}",
            f"{total(storm.bill()):.2f}",
        ]
        for storm in storms
    ]
    heads = (
        "events",
        "invocations",
        "executions",
        "records failed",
        "DynamoDB writes (of them refused)",
        "write units",
        "reads",
        "read units",
        "dollars per million events",
    )
    bills = [
        [lines[0].item, *(f"{line.dollars:.4f}" for line in lines)]
        for lines in zip(*(storm.bill() for storm in storms), strict=True)
    ]
    titles = [row[0] for row in rows]
    return f"""## Storms

Events in batches of {BATCH}, {CONCURRENCY} at a time, through the code of `ingest`. A refused write is one that found
that another invocation had written first, and looked again. Executions, their remediation and their messages are not
in the bill.

{_table(heads, rows)}

Dollars for a million events:

{_table(("", *titles), bills)}"""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))
