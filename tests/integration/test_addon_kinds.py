"""The managed add-on in every state it may be in: healed and rolled back, or said beforehand why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED, await_rollout, dump, roll_back
from tests.integration.support.strategies import assert_healed_and_rolled_back, stricken
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
NOTED = "# asked for by the platform team\nenv:\n  AWS_VPC_K8S_CNI_LOGLEVEL: INFO\nresources:\n  limits: {cpu: 200m}\n"
WRITTEN = json.dumps({"env": {"AWS_VPC_K8S_CNI_LOGLEVEL": "INFO"}, "resources": {"limits": {"cpu": "200m"}}}, indent=2)
CORDONED = "AWS_MANAGE_ENIS_NON_SCHEDULABLE"
CUSTOM = "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG"


def role(lab: Lab, name: str) -> str:
    """A role that EKS may hand to an add-on."""
    trust = {"Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    return str(lab.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"])


# How people had set the add-on up, as arguments of UpdateAddon, and in which state EKS has it meanwhile.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "JSON": ({"configurationValues": WRITTEN}, {}),
    "YAML with a comment": ({"configurationValues": NOTED}, {}),
    "a role of its own": ({"configurationValues": WRITTEN, "serviceAccountRoleArn": role}, {}),
    "pod identity": ({"podIdentityAssociations": [{"serviceAccount": "aws-node", "roleArn": role}]}, {}),
    "DEGRADED": ({"configurationValues": WRITTEN}, {"addon_status": "DEGRADED"}),
    "slow, and shows the old values meanwhile": (
        {"configurationValues": WRITTEN},
        {"addon_update_seconds": 4.0, "addon_shows_old_values": True},
    ),
    "a schema without the variable for cordoned nodes": ({}, {"addon_schema_lacks": CORDONED}),
}


@contextmanager
def with_addon(lab: Lab, kind: str) -> Iterator[Patient]:
    """A cluster with two pods without addresses, whose add-on is of this kind."""
    arguments, _ = KINDS[kind]
    with patient(lab, Scenario(), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        if arguments:
            given = _with_role(arguments, lambda: role(lab, f"{cluster.name}-cni"))
            lab.aws("eks").update_addon(clusterName=cluster.name, addonName="vpc-cni", **given)
            if "configurationValues" in arguments:
                eventually("aws-node has it", lambda: cluster.cni_environment()["AWS_VPC_K8S_CNI_LOGLEVEL"] == "INFO")
            eventually("the add-on is updated", lambda: _addon(lab, cluster)["status"] == "ACTIVE")
            await_rollout(cluster)
        yield cluster


def _with_role(value: Any, made: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_role(child, made) for name, child in value.items()}
    if isinstance(value, list):
        return [_with_role(child, made) for child in value]
    return made() if value is role else value


def _addon(lab: Lab, cluster: Patient) -> dict[str, Any]:
    addon: dict[str, Any] = lab.aws("eks").describe_addon(clusterName=cluster.name, addonName="vpc-cni")["addon"]
    return addon


@pytest.mark.parametrize("kind", KINDS)
def test_given_an_addon_of_any_kind_when_healed_and_rolled_back_then_it_is_as_people_had_it(
    lab: Lab, kind: str
) -> None:
    with with_addon(lab, kind) as cluster:
        before = dump(cluster)
        with lab.settings(**KINDS[kind][1]):
            ended, incident = lab.remediate(cluster.name)
            assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
            healed = _addon(lab, cluster)
            assert CUSTOM in healed["configurationValues"]
            assert healed.get("serviceAccountRoleArn") == before["addon"].get("serviceAccountRoleArn")

            rolled_back = roll_back(lab, incident.id, confirmed=True, evict=True)

        assert rolled_back.status == "SUCCEEDED", rolled_back
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before


def test_given_a_variable_that_people_set_beside_the_addon_when_healed_and_rolled_back_then_it_is_as_they_had_it(
    lab: Lab,
) -> None:
    """An update of the add-on preserves their value, which a rollback has to lower."""
    with stricken(lab, Scenario()) as cluster:
        lab.stack.kubectl("set", "env", "daemonset/aws-node", "--namespace=kube-system", "WARM_ENI_TARGET=2")
        await_rollout(cluster)
        assert_healed_and_rolled_back(lab, cluster)


def test_given_somebody_elses_update_in_progress_when_healed_then_both_are_in_force(lab: Lab) -> None:
    with patient(lab, Scenario(), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        with lab.settings(addon_update_seconds=6.0):
            lab.aws("eks").update_addon(clusterName=cluster.name, addonName="vpc-cni", configurationValues=WRITTEN)
            ended, incident = lab.remediate(cluster.name)
        assert incident.outcome is Outcome.HEALED, (ended, incident.failure)
        env = json.loads(_addon(lab, cluster)["configurationValues"])["env"]
        assert (env["AWS_VPC_K8S_CNI_LOGLEVEL"], env[CUSTOM]) == ("INFO", "true")


def test_given_an_eks_that_passes_the_role_to_another_service_when_refused_then_everything_is_undone(lab: Lab) -> None:
    """AWS does not document the service that UpdateAddon passes a role to: where it is none that we allow."""
    with with_addon(lab, "a role of its own") as cluster:
        before = dump(cluster)
        with lab.settings(addon_passed_to_service="pods.eks.amazonaws.com"):
            _, incident = lab.remediate(cluster.name)
        assert incident.outcome is Outcome.UNDONE
        assert incident.failure is not None
        assert "iam:PassRole" in incident.failure.message
        cluster.settle(running=8, stuck=2)
        assert dump(cluster) == before


def test_given_an_addon_that_cannot_be_configured_then_it_is_said_before_anything_is_made(lab: Lab) -> None:
    words = f"cannot set {CUSTOM}: its configuration schema has no such variable"
    with patient(lab, Scenario(), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        before = dump(cluster)
        with lab.settings(addon_schema_lacks=CUSTOM):
            ended, incident = lab.remediate(cluster.name)
        assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.NOT_CURABLE)
        assert incident.failure is not None
        assert words in incident.failure.message
        lab.message_saying(incident.id, words)
        assert dump(cluster) == before
