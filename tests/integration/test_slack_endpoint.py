"""What Slack's buttons reach, by the parameter SlackEndpoint, in a Region that has no function URLs: an HTTP API, or
nothing. Function URLs are the default, which every other test here uses."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest
import urllib3
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]

from ip_remediator.common.enums import Outcome
from local.stack.deployment import ROOT, STACK_NAME
from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.conftest import SPEED, WAIT_SCALE
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient, scenario_in
from tests.integration.support.terminal import typed
from tests.support.patience import within
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
REGION = "ap-southeast-5"
TOPIC = f"arn:aws:sns:{REGION}:000000000000:health"
ON_CALL = "U0000ONCALL"


@pytest.fixture(params=["http-api", "none"])
def endpoint(request: pytest.FixtureRequest, tmp_path: pytest.TempPathFactory) -> Iterator[tuple[str, Lab]]:
    parameters = {
        "SlackEndpoint": request.param,
        "SlackReservedConcurrency": "5",
        "HealthTopicArn": TOPIC,
        "Dashboard": "yes",
    }
    with Stack(
        tmp_path, Ports.free(), parameters, speed=SPEED, wait_scale=WAIT_SCALE, slack_seconds=within(3), region=REGION
    ) as stack:
        stack.start()
        yield request.param, Lab(stack)


def test_given_an_endpoint_of_each_kind_when_a_plan_waits_then_it_is_answered_the_way_that_there_is(
    endpoint: tuple[str, Lab],
) -> None:
    kind, lab = endpoint
    assert_own_health_is_watched(lab)
    assert_the_public_function_alone_has_a_reserve(lab)
    with patient(lab, scenario_in(REGION)) as cluster:
        cluster.settle(running=8, stuck=2)
        execution = lab.start(cluster.name, mode="approve")
        incident = lab.incident_when_known(execution)
        message = lab.message_saying(incident.id, "If nobody answers")
        if kind == "none":
            assert "SlackRequestUrl" not in lab.outputs
            assert lab.buttons(message) == []
            assert f"ip-remediator approve {incident.id}" in json.dumps(message["blocks"])
            typed(lab, "approve", incident.id, "--yes")
        else:
            assert "execute-api" in lab.outputs["SlackRequestUrl"]
            assert _unsigned(lab) == 401
            lab.click(message, "details")
            plan = lab.incidents.get(incident.id).plan
            assert plan is not None
            eventually("the plan is in a modal", lambda: str(plan.block) in json.dumps(_views(lab)))
            lab.click(message, "approve")
        assert lab.end_of(execution).status == "SUCCEEDED"
        assert lab.incidents.get(incident.id).outcome is Outcome.HEALED


def assert_the_public_function_alone_has_a_reserve(lab: Lab) -> None:
    functions, reserved = lab.aws("lambda"), {}
    for page in functions.get_paginator("list_functions").paginate():
        for name in (one["FunctionName"] for one in page["Functions"]):
            reserved[name] = functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions")
    assert {name: number for name, number in reserved.items() if number} == {f"{STACK_NAME}-slack": 5}


def _views(lab: Lab) -> list[dict[str, object]]:
    """The modals that are open before the person who clicks."""
    views: list[dict[str, object]] = lab.slack("GET", f"/_page/state?user={ON_CALL}")["views"]
    return views


def assert_own_health_is_watched(lab: Lab) -> None:
    """The options made every alarm of the template, which rings at the topic, and a dashboard that can be read."""
    resources = yaml_parse((ROOT / "template.yaml").read_text())["Resources"].values()
    planned = [resource for resource in resources if resource["Type"] == "AWS::CloudWatch::Alarm"]
    alarms = lab.aws("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == len(planned) > 10
    assert all(alarm["AlarmActions"] == [TOPIC] for alarm in alarms)
    [dashboard] = lab.aws("cloudwatch").list_dashboards()["DashboardEntries"]
    body = lab.aws("cloudwatch").get_dashboard(DashboardName=dashboard["DashboardName"])["DashboardBody"]
    assert len(json.loads(body)["widgets"]) >= 4


def _unsigned(lab: Lab) -> int:
    headers = {"X-Slack-Request-Timestamp": str(int(time.time())), "X-Slack-Signature": "v0=00"}
    body = urlencode({"payload": "{}"})
    return urllib3.request("POST", lab.outputs["SlackRequestUrl"], body=body, headers=headers).status
