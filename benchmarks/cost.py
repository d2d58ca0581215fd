"""What a remediation and an idle month cost, from what was used and AWS's list prices.

Prices of US East (N. Virginia) as published by PRICED_ON; free tiers are left out. They are not looked up again by
the command. Sources: the pages aws.amazon.com/<service>/pricing/ of Step Functions, Lambda (arm64), DynamoDB (on
demand, after the cut of November 2024), EventBridge, SQS, CloudWatch and X-Ray.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.usage import Usage

REGION, PRICED_ON = "us-east-1", "2026-11"
MILLION = 1_000_000
# Lambda gives a function of 512 or 1,024 MB this part of a CPU or more (a full one at 1,769 MB), so its time on a CPU
# is at most that much longer than here.
SLOWER = 1769 / 512
_HOURS_PER_MONTH = 730
# Lambda reads a quiet queue with five long polls of 20 seconds (Lambda Developer Guide, "Using Lambda with SQS").
_POLLERS, _POLL_SECONDS = 5, 20
# SweepMinutes of the template. The seconds that a look takes are an assumption, as in docs/costs.md.
_SWEEPS, _SWEEP_GB, _SWEEP_SECONDS = 12 * _HOURS_PER_MONTH, 1.0, 3.0
# The watchdog's look at its two lists; the seconds are an assumption, too.
_LOOKS, _LOOK_GB, _LOOK_SECONDS, _LOOK_READS, _LOOK_LOG_BYTES = 12 * _HOURS_PER_MONTH, 0.5, 0.2, 2, 700
_GB_SECOND, _REQUEST, _READ, _WRITE = 0.0000133334, 0.20 / MILLION, 0.125 / MILLION, 0.625 / MILLION
_METRIC, _TRACE, _LOG_GB = 0.30, 5.0 / MILLION, 0.50


@dataclass(frozen=True)
class Line:
    """One position of the bill: amount of `unit` at `price` dollars each."""

    item: str
    amount: float
    unit: str
    price: float

    @property
    def dollars(self) -> float:
        return self.amount * self.price


def remediation(usage: Usage) -> list[Line]:
    """The bill of one incident."""
    invocations = sum(usage.invocations.values())
    return [
        Line("Step Functions, standard", usage.transitions, "state transitions", 25.0 / MILLION),
        Line("Lambda requests", invocations, "requests", _REQUEST),
        Line("Lambda duration, arm64, with less CPU", usage.gb_seconds * SLOWER, "GB-seconds", _GB_SECOND),
        Line("DynamoDB writes, on demand", usage.write_units, "write request units", _WRITE),
        Line("DynamoDB reads, on demand", usage.read_units, "read request units", _READ),
        Line("EventBridge: signals in, stages out", usage.events + usage.stages, "events", 1.0 / MILLION),
        Line("SQS: send, receive and delete of each signal", 3 * usage.events, "requests", 0.40 / MILLION),
        Line("CloudWatch custom metrics, an hour of each", usage.metrics, "metric-hours", _METRIC / _HOURS_PER_MONTH),
        Line("CloudWatch Logs", usage.log_bytes / 1e9, "GB", _LOG_GB),
        # By default only the first trace of a second and 5 % of the others are recorded; here every one counts.
        Line("X-Ray, every trace recorded", invocations, "traces", _TRACE),
    ]


def idle_month(clusters: int = 1, subnets: int = 3, *, subnet_metrics: bool = False) -> list[Line]:
    """What the deployed stack costs when nothing happens: the polls, the watchdog, and the sweep of so many clusters,
    whose nodes use so many subnets in all. `subnet_metrics`: as with SweepMetrics=subnets; the default is clusters.

    `notify`, `announce` and log subscriptions are not in it: Lambda reads a table's stream for nothing, and no line
    matches a subscription's filter.
    """
    polls = _POLLERS * _HOURS_PER_MONTH * 3600 / _POLL_SECONDS
    metrics = clusters + (3 * subnets if subnet_metrics else 0)
    log_bytes = _SWEEPS * (500 * subnets + 300 * clusters)
    look_seconds = _LOOKS * _LOOK_GB * _LOOK_SECONDS
    return [
        Line("SQS: Lambda's polls of the empty queue", polls, "requests", 0.40 / MILLION),
        Line("sweep: CloudWatch custom metrics", metrics, "metrics", _METRIC),
        Line("sweep: Lambda requests", _SWEEPS, "requests", _REQUEST),
        Line("sweep: Lambda duration (assumption)", _SWEEPS * _SWEEP_GB * _SWEEP_SECONDS, "GB-seconds", _GB_SECOND),
        Line("sweep: DynamoDB reads", _SWEEPS * subnets, "read request units", _READ),
        Line("sweep: DynamoDB writes, at most", _SWEEPS * subnets, "write request units", _WRITE),
        Line("sweep: CloudWatch Logs", log_bytes / 1e9, "GB", _LOG_GB),
        Line("watchdog: Lambda requests", _LOOKS, "requests", _REQUEST),
        Line("watchdog: Lambda duration (assumption)", look_seconds, "GB-seconds", _GB_SECOND),
        Line("watchdog: DynamoDB reads", _LOOKS * _LOOK_READS, "read request units", _READ),
        Line("watchdog: CloudWatch Logs", _LOOKS * _LOOK_LOG_BYTES / 1e9, "GB", _LOG_GB),
    ]


def total(lines: list[Line]) -> float:
    return sum(line.dollars for line in lines)
