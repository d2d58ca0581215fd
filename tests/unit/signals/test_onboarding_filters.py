"""onboarding/: filters pass what the classification knows and little else, alarms name their cluster."""

from __future__ import annotations

import base64
import gzip
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from ip_remediator.signals.causes import SaidBy
from ip_remediator.signals.error_catalogue import WORDINGS, Cause
from ip_remediator.signals.events import EVENT_REASONS, Signal, parse_eventbridge
from ip_remediator.signals.logs import parse_logs

ROOT = Path(__file__).parents[3]
SAMPLES = ROOT / "tests" / "data" / "signals"
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_TERM = re.compile(r'(\??)(?:"([^"]+)"|(\S+))\s*')


class _ShortForms(yaml.SafeLoader):
    """CloudFormation's YAML; what the short forms would give is of no interest here."""


_ShortForms.add_multi_constructor("!", lambda _loader, suffix, node: f"{suffix} {node.value}")
RESOURCES = yaml.load((ROOT / "onboarding" / "cluster.yaml").read_text(), _ShortForms)["Resources"]


def pattern(resource: str) -> str:
    return str(RESOURCES[resource]["Properties"]["FilterPattern"])


def passes(resource: str, message: str) -> bool:
    """CloudWatch Logs' matching of unstructured text: a phrase stands in the message as it is, ?a ?b is a or b."""
    terms = _TERM.findall(pattern(resource))
    assert {optional for optional, _, _ in terms} in ({"?"}, {""}), "mixed terms mean something else"
    result = [(phrase or word) in message for _, phrase, word in terms]
    return any(result) if terms[0][0] else all(result)


@pytest.mark.parametrize("resource", ["PodsWithoutAddress", "DataplaneLines", "ApplicationLines", "ExportedEvents"])
def test_a_filter_pattern_is_within_the_limit_of_cloudwatch_logs(resource: str):
    assert len(pattern(resource)) <= 1024


KNOWN = [wording for wording in WORDINGS if wording.cause is not Cause.OTHER and not wording.harmless]


@pytest.mark.parametrize("wording", KNOWN, ids=lambda wording: wording.example[:40])
def test_given_words_of_the_classification_when_the_dataplane_logs_them_then_they_reach_ingest(wording):
    # given as in a JSON line of Fluent Bit
    line = json.dumps({"message": wording.example, "hostname": "ip-10-0-0-5"})
    assert passes("DataplaneLines", line)


@pytest.mark.parametrize("wording", KNOWN, ids=lambda wording: wording.example[:40])
def test_given_words_that_count_whoever_says_them_when_a_controller_logs_them_then_they_reach_ingest(wording):
    line = json.dumps({"log": wording.example, "kubernetes": {"container_name": "controller"}})
    assert passes("ApplicationLines", line) == (wording.said_by is SaidBy.ANYONE)


def lines_of(name: str) -> list[str]:
    return [event["message"] for event in json.loads((SAMPLES / f"{name}.json").read_text())["logEvents"]]


def test_given_the_recorded_line_of_ipamd_when_filtered_then_it_reaches_ingest():
    assert [passes("DataplaneLines", line) for line in lines_of("logs_dataplane_aws_node")] == [True]


def test_given_the_recorded_dataplane_when_filtered_then_no_signal_is_lost_and_noise_stays_behind():
    # given
    batch = json.loads((SAMPLES / "logs_dataplane.json").read_text())
    data = base64.b64encode(gzip.compress(json.dumps(batch).encode())).decode()
    result = list(parse_logs({"awslogs": {"data": data}}, received_at=NOW))
    # when
    passed = [passes("DataplaneLines", event["message"]) for event in batch["logEvents"]]
    # then
    assert passed == [isinstance(item, Signal) for item in result]
    assert len(set(passed)) == 2


@pytest.mark.parametrize(
    "line",
    [
        'time="2026-03-02T08:14:03Z" level=info msg="RunPodSandbox for &PodSandboxMetadata{Name:web-0} returns"',
        'I0302 08:14:03.000000 3412 kubelet.go:2412] "SyncLoop ADD" source="api" pods=["default/web-0"]',
        "I0302 3412 request.go:697] Waited for 1.2s due to client-side throttling, not priority and fairness",
        'E0302 "Back-off pulling image" err="pull rate limit exceeded"',
        "AddNetwork: Assigned IP 10.0.0.12 to container",
    ],
)
def test_given_ordinary_lines_of_a_node_when_filtered_then_they_invoke_nothing(line: str):
    assert not passes("DataplaneLines", json.dumps({"message": line}))
    assert not passes("PodsWithoutAddress", json.dumps({"message": line}))


def test_given_exported_events_when_filtered_then_those_of_known_reasons_pass():
    for name in ("event_sandbox", "event_node_monitoring_agent", "event_missing_iam_permissions"):
        assert passes("ExportedEvents", json.dumps(json.loads((SAMPLES / f"{name}.json").read_text())["detail"]))
    assert all(passes("ExportedEvents", json.dumps({"reason": reason})) for reason in EVENT_REASONS)
    unrelated = json.loads((SAMPLES / "event_unrelated.json").read_text())["detail"]
    assert not passes("ExportedEvents", json.dumps(unrelated))


def test_given_a_pod_without_an_address_when_the_kubelet_logs_it_then_the_metric_counts_it():
    kubelet, *_ = lines_of("logs_dataplane")
    (ipamd,) = lines_of("logs_dataplane_aws_node")
    assert passes("PodsWithoutAddress", kubelet)
    assert not passes("PodsWithoutAddress", ipamd)


def test_the_forwarding_rule_passes_the_reasons_that_the_stack_listens_to():
    stack = yaml.load((ROOT / "template.yaml").read_text(), _ShortForms)["Resources"]["KubernetesEventsRule"]
    heard = stack["Properties"]["EventPattern"]["detail"]["reason"]
    assert RESOURCES["ForwardEvents"]["Properties"]["EventPattern"]["detail"]["reason"] == heard


def _event_of(alarm: dict[str, Any]) -> dict[str, Any]:
    """The EventBridge event of an alarm of the template that goes off (cloudwatch-and-eventbridge.html)."""

    def metric(stated: dict[str, Any]) -> dict[str, Any]:
        dimensions = {one["Name"]: one["Value"].replace("Ref ClusterName", "shop-prod") for one in stated["Dimensions"]}
        return {"namespace": stated["Namespace"], "name": stated["MetricName"], "dimensions": dimensions}

    entries = [
        {"id": one["Id"], "metricStat": {"metric": metric(one["MetricStat"]["Metric"])}}
        if "MetricStat" in one
        else {"id": one["Id"], "expression": one["Expression"]}
        for one in alarm.get("Metrics", [])
    ]
    entries = entries or [{"id": "m1", "metricStat": {"metric": metric({"Dimensions": [], **alarm})}}]
    description = alarm["AlarmDescription"].replace("${ClusterName}", "shop-prod")
    return {
        "source": "aws.cloudwatch",
        "id": "1",
        "detail": {
            "alarmName": "an alarm",
            "state": {"value": "ALARM", "reason": "Threshold Crossed"},
            "configuration": {"description": description, "metrics": entries},
        },
    }


@pytest.mark.parametrize(
    "name", [name for name, resource in RESOURCES.items() if resource["Type"] == "AWS::CloudWatch::Alarm"]
)
def test_an_alarm_of_the_template_names_its_cluster_when_it_goes_off(name: str):
    result = parse_eventbridge(_event_of(RESOURCES[name]["Properties"]), received_at=NOW)
    assert isinstance(result, Signal)
    assert result.cluster == "shop-prod"


@pytest.mark.parametrize(
    ("name", "exported"),
    [
        ("event_sandbox", True),
        ("event_sandbox_folded", True),
        ("event_node_monitoring_agent", True),
        ("event_node_monitoring_agent_condition", True),
        ("event_missing_iam_permissions", True),
        ("event_unrelated", False),
    ],
)
def test_the_exporters_routes_pass_what_becomes_a_signal(name: str, exported: bool):
    values = yaml.safe_load((ROOT / "onboarding" / "event-exporter-values.yaml").read_text())
    event = json.loads((SAMPLES / f"{name}.json").read_text())["detail"]
    about = {"reason": event["reason"], "message": event["message"], "kind": event["involvedObject"]["kind"]}
    (route,) = values["config"]["route"]["routes"]
    rules = [{key: rule[key] for key in rule if key != "receiver"} for rule in route["match"]]
    assert any(all(re.search(rule[key], about[key]) for key in rule) for rule in rules) == exported


def test_the_exporters_layout_has_the_fields_of_the_recorded_events():
    values = yaml.safe_load((ROOT / "onboarding" / "event-exporter-layout.yaml").read_text())
    (receiver,) = values["config"]["receivers"]
    recorded = json.loads((SAMPLES / "event_layout.json").read_text())["detail"]
    details = receiver["eventbridge"]["details"]
    assert list(details) == list(recorded)
    assert details["format"] == recorded["format"]
