"""The rules of template.yaml let the recorded events through that become signals, and hold back what they can."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from ip_remediator.signals.events import Signal, Source, parse_eventbridge
from tests.stack.aws.conftest import Inbox, subscribe, unique

if TYPE_CHECKING:
    from local.aws.client import LocalAws

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "signals"
HELD_BACK = {"alarm_back_to_ok", "alarm_composite", "alarm_of_other_service", "event_unrelated"}


@pytest.fixture(scope="module")
def patterns() -> list[dict[str, Any]]:
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"]
    return [resources[name]["Properties"]["EventPattern"] for name in ("AlarmsRule", "KubernetesEventsRule")]


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("[ae]*.json")), ids=lambda path: path.stem)
def test_given_a_recorded_event_when_it_is_put_then_a_rule_lets_it_through_or_not(
    aws: LocalAws, patterns: list[dict[str, Any]], path: Path
) -> None:
    events = aws.client("events")
    matched = [
        events.test_event_pattern(EventPattern=json.dumps(pattern), Event=path.read_text())["Result"]
        for pattern in patterns
    ]
    assert sum(matched) == (path.stem not in HELD_BACK)


def test_given_a_composite_alarm_whose_description_names_a_cluster_when_it_goes_off_then_it_is_a_signal_of_it(
    aws: LocalAws, patterns: list[dict[str, Any]]
) -> None:
    cloudwatch, inbox = aws.client("cloudwatch"), Inbox(aws)
    child, composite, cluster = unique("waiting"), unique("unwell"), unique("shop")
    subscribe(aws, inbox, patterns[0])
    cloudwatch.put_metric_alarm(
        AlarmName=child,
        Namespace="Shop",
        MetricName=child,
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    described = f"The shop is unwell. eks-ip-remediator:cluster={cluster}"
    cloudwatch.put_composite_alarm(AlarmName=composite, AlarmRule=f"ALARM({child})", AlarmDescription=described)
    cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": child, "Value": 3}])
    event = inbox.next()
    assert event["detail"]["configuration"] == {"description": described, "alarmRule": f"ALARM({child})"}
    signal = parse_eventbridge(event, received_at=datetime.now(UTC))
    assert isinstance(signal, Signal)
    assert (signal.source, signal.cluster) == (Source.ALARM, cluster)


def test_given_a_composite_alarm_whose_name_names_a_cluster_when_it_goes_off_then_the_rule_lets_it_through(
    aws: LocalAws, patterns: list[dict[str, Any]]
) -> None:
    event = json.loads((SAMPLES / "alarm_composite.json").read_text())
    event["detail"]["alarmName"] = "unwell eks-ip-remediator:cluster=shop-prod"
    answer = aws.client("events").test_event_pattern(EventPattern=json.dumps(patterns[0]), Event=json.dumps(event))
    assert answer["Result"]
