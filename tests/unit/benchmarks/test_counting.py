"""What the benchmarks count as what: requests to Kubernetes, reads and writes, the bill, the time line."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from benchmarks import cost, minimum
from benchmarks.cures import NotHealed, Round, _first_event, _phases, _verb, is_write
from benchmarks.results import Results
from benchmarks.usage import Usage, _metrics
from ip_remediator.common.enums import Mode, Outcome
from ip_remediator.incidents.record import Incident, Step, StepResult, StepState

START = datetime(2026, 3, 1, 10, 0, tzinfo=UTC)
USAGE = Usage(
    transitions=17,
    invocations={"diagnose": 1, "notify": 9},
    gb_seconds=10.0,
    write_units=400,
    read_units=100,
    dynamodb={"GetItem": 30},
    log_bytes=20_000,
    events=4,
    stages=12,
    metrics=2,
)


@pytest.mark.parametrize(
    ("method", "path", "watch", "counted"),
    [
        ("GET", "/api/v1/nodes", False, "GET nodes"),
        ("GET", "/api/v1/pods", True, "WATCH pods"),
        ("GET", "/api/v1/namespaces", False, "GET namespaces"),
        ("GET", "/api/v1/namespaces/kube-system", False, "GET namespaces"),
        ("GET", "/api/v1/namespaces/default/pods/nginx-1", False, "GET pods"),
        ("GET", "/apis/apps/v1/namespaces/kube-system/daemonsets/aws-node", False, "GET daemonsets"),
        ("PATCH", "/apis/crd.k8s.amazonaws.com/v1alpha1/eniconfigs/zone-a", False, "PATCH eniconfigs"),
        ("GET", "/apis/crd.k8s.amazonaws.com/v1alpha1", False, "GET discovery"),
        ("GET", "/openapi/v3/apis/crd.k8s.amazonaws.com/v1alpha1", False, "GET discovery"),
        ("GET", "/api", False, "GET discovery"),
    ],
)
def test_a_kubernetes_request_is_counted_by_verb_and_resource(
    method: str, path: str, watch: bool, counted: str
) -> None:
    assert _verb({"method": method, "path": path, "watch": watch}) == counted


def test_the_minimum_is_sorted_into_reads_and_writes_as_the_counts_are() -> None:
    assert all(is_write(*key) for key in minimum.WRITES)
    assert not any(is_write(*key) for key in minimum.READS)


def test_the_phases_are_the_gaps_of_the_record_and_add_up() -> None:
    # given a record whose proof came after the pods
    def at(seconds: float) -> datetime:
        return START + timedelta(seconds=seconds)

    steps = {Step.DIAGNOSE: at(1.5), Step.PLAN: at(2), Step.CONFIGURE_CNI: at(3), Step.VERIFY: at(9)}
    incident = Incident(
        id="i",
        cluster="c",
        region="r",
        mode=Mode.AUTO,
        opened_at=at(1),
        steps={step: StepResult(state=StepState.DONE, at=time) for step, time in steps.items()},
        outcome=Outcome.HEALED,
        closed_at=at(10),
    )

    # when it is split
    phases = dict(_phases(START, incident, at(8)))

    # then every phase is there, in order, and nothing is counted twice
    assert list(phases) == [
        "signal -> incident",
        "diagnose",
        "plan",
        "configure cni",
        "pods running",
        "verify",
        "close",
    ]
    assert phases["pods running"] == 5
    assert sum(phases.values()) == 10


def test_an_incident_that_opened_before_the_measured_event_is_no_measurement() -> None:
    incident = Incident(id="i", cluster="c", region="r", mode=Mode.AUTO, opened_at=START)
    late = [{"action": "PutEvents", "time": (START + timedelta(seconds=1)).isoformat()}]
    with pytest.raises(NotHealed, match="before the shortage"):
        _first_event(late, incident)


def test_the_bill_is_the_sum_of_its_lines() -> None:
    lines = cost.remediation(USAGE)
    transitions = next(line for line in lines if "Step Functions" in line.item)
    assert transitions.dollars == pytest.approx(17 * 0.000025)
    assert cost.total(lines) == pytest.approx(sum(line.amount * line.price for line in lines))


def test_what_announce_puts_on_the_bus_is_billed_there_and_nowhere_else() -> None:
    amounts = {line.item: line.amount for line in cost.remediation(USAGE)}
    assert amounts["EventBridge: signals in, stages out"] == 4 + 12
    assert amounts["SQS: send, receive and delete of each signal"] == 3 * 4


def test_an_idle_month_grows_with_what_is_swept_and_with_the_metrics_of_subnets() -> None:
    nothing = cost.total(cost.idle_month(clusters=0, subnets=0))
    small, large = cost.idle_month(clusters=1, subnets=3), cost.idle_month(clusters=10, subnets=30)
    assert nothing < cost.total(small) < cost.total(large)
    with_subnets = cost.idle_month(subnet_metrics=True)
    assert cost.total(with_subnets) - cost.total(small) == pytest.approx(9 * 0.30)


def test_an_idle_month_of_a_cluster_costs_at_most_a_dollar_at_the_defaults() -> None:
    assert cost.total(cost.idle_month()) <= 1.00


def test_custom_metrics_are_told_apart_by_name_and_dimensions() -> None:
    def line(cause: str) -> str:
        return (
            '{"_aws": {"CloudWatchMetrics": [{"Namespace": "N", "Dimensions": [["cause"]], '
            f'"Metrics": [{{"Name": "Signals"}}]}}]}}, "cause": "{cause}", "Signals": [1.0]}}'
        )

    metrics = {metric for text in (line("full"), line("full"), line("fault"), "START") for metric in _metrics(text)}
    assert len(metrics) == 2


def test_the_report_tells_of_rounds_that_did_not_heal_and_lacks_no_section() -> None:
    # given one healed round and one that was not
    healed = Round("warm", 1.0, 3.0, 4.0, Counter({("ec2", "CreateSubnet"): 2}), {"diagnose": 0.5}, USAGE)
    results = Results(speed=1.0, rounds=[healed], failures=["round 2, warm: incident i ended failed"])

    # when it is written
    text = results.markdown()

    # then both are in it
    assert "not healed, not counted: round 2, warm" in text
    assert "| remediator, warm | 1 | 1.00 (1.00 to 1.00) | 3.00 (3.00 to 3.00) | 4.00 (4.00 to 4.00) |" in text
    for section in ("Heal time", "Phases", "API calls", "Bill", "Cold start", "Ledger"):
        assert f"## {section}" in text
