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


@dataclass(frozen=True)
class Line:
    """One position of the bill: amount of `unit` at `price` dollars each."""

    what: str
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
        Line("Lambda requests", invocations, "requests", 0.20 / MILLION),
        Line("Lambda duration, arm64, with less CPU", usage.gb_seconds * SLOWER, "GB-seconds", 0.0000133334),
        Line("DynamoDB writes, on demand", usage.write_units, "write request units", 0.625 / MILLION),
        Line("DynamoDB reads, on demand", usage.read_units, "read request units", 0.125 / MILLION),
        Line("EventBridge, custom events", usage.events, "events", 1.0 / MILLION),
        Line("SQS: send, receive and delete of each event", 3 * usage.events, "requests", 0.40 / MILLION),
        Line("CloudWatch custom metrics, an hour of each", usage.metrics, "metric-hours", 0.30 / _HOURS_PER_MONTH),
        Line("CloudWatch Logs", usage.log_bytes / 1e9, "GB", 0.50),
        # By default only the first trace of a second and 5 % of the others are recorded; here every one counts.
        Line("X-Ray, every trace recorded", invocations, "traces", 5.0 / MILLION),
    ]


def idle_month() -> list[Line]:
    """What the deployed stack costs when nothing happens, however many clusters it serves."""
    polls = _POLLERS * _HOURS_PER_MONTH * 3600 / _POLL_SECONDS
    return [Line("SQS: Lambda's polls of the empty queue", polls, "requests", 0.40 / MILLION)]


def total(lines: list[Line]) -> float:
    return sum(line.dollars for line in lines)
