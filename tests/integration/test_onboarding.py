"""A cluster that is heard by its logs alone: onboarding's subscription, the deployed function, queue, state machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "data" / "signals"


@pytest.fixture
def dataplane(lab: Lab, sick: Patient) -> Iterator[str]:
    """The log group of Container Insights, with the subscription of onboarding/cluster.yaml."""
    cloudformation, logs = lab.aws("cloudformation"), lab.aws("logs")
    group, stack = f"/aws/containerinsights/{sick.name}/dataplane", f"onboarding-{sick.name}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="node")
    given = {
        "ClusterName": sick.name,
        "AccessEntries": "no",
        "DataplaneSubscription": "yes",
        "IngestFunctionArn": lab.outputs["IngestFunctionArn"],
    }
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=(ROOT / "onboarding" / "cluster.yaml").read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
    )
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    yield group
    cloudformation.delete_stack(StackName=stack)


def kubelet_lines(cluster: Patient) -> list[str]:
    """What the kubelet logs of each pod that waits for an address."""
    recorded = json.loads((RECORDED / "logs_dataplane.json").read_text())["logEvents"][0]["message"]
    waiting = [pod["metadata"]["name"] for pod in cluster.pods() if pod["status"]["phase"] == "Pending"]
    return [recorded.replace("nginx-7c5ddbdf54-x2x8k", name) for name in waiting]


def test_given_a_log_subscription_when_kubelets_log_pods_without_an_address_then_the_pods_run(
    lab: Lab, sick: Patient, dataplane: str
) -> None:
    # given
    now = int(utc_now().timestamp() * 1000)
    lines = ["I0302 08:14:03 kubelet.go:2412] SyncLoop ADD", *kubelet_lines(sick)]
    # when
    lab.aws("logs").put_log_events(
        logGroupName=dataplane,
        logStreamName="node",
        logEvents=[{"timestamp": now, "message": line} for line in lines],
    )
    # then
    [arn] = eventually("an execution starts", lambda: lab.executions_of(sick.name))
    assert lab.end_of(arn).status == "SUCCEEDED"
    incident = lab.incident_of(arn)
    assert incident.outcome is Outcome.HEALED
    assert len(sick.moved()) == 2
