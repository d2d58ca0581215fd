"""A cluster whose aws-node is no EKS add-on and which has no ENIConfig CRD; an alarm and a pod's event tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ip_remediator.common.clock import utc_now
from ip_remediator.common.enums import Outcome
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.test_signals import put, remembered
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bare(lab: Lab) -> Iterator[Patient]:
    with patient(lab, replace(Scenario(), managed_addon=False, eniconfig_crd=False)) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def go_off(lab: Lab, cluster: str) -> None:
    """An alarm on pending pods, as onboarding makes it, changes to ALARM."""
    cloudwatch = lab.aws("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=f"{cluster}-pods-pending",
        Namespace="ContainerInsights",
        MetricName="pod_status_pending",
        Dimensions=[{"Name": "ClusterName", "Value": cluster}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="ignore",
    )
    cloudwatch.set_alarm_state(AlarmName=f"{cluster}-pods-pending", StateValue="ALARM", StateReason="pods are pending")


def test_given_an_alarm_and_a_pod_that_fails_then_the_daemonset_is_switched_and_the_pods_run(
    lab: Lab, bare: Patient
) -> None:
    before = bare.world()
    assert before["eni_configs"] is None
    go_off(lab, bare.name)
    eventually("the alarm is heard", lambda: remembered(lab, bare.name))
    now = utc_now().isoformat()
    put(lab, "event_layout", cluster=bare.name, firstSeen=now, lastSeen=now)
    [arn] = eventually("an execution starts", lambda: lab.executions_of(bare.name), seconds=60)
    assert lab.end_of(arn).status == "SUCCEEDED"
    incident = lab.incident_of(arn)
    assert incident.outcome is Outcome.HEALED
    assert incident.signals.count == 2
    assert len(bare.moved()) == 2
    assert bare.eni_configs() == {zone: {"subnet": subnet} for zone, subnet in incident.subnets.items()}
    assert bare.cni_environment()["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"] == "true"
    owners = [entry["manager"] for entry in bare.aws_node()["metadata"]["managedFields"]]
    assert "eks-ip-remediator" in owners
