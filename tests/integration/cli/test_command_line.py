"""The command line against a deployed stack and a cluster: access given and taken, facts read, runs followed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.snapshot.model import Snapshot
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient
from tests.integration.support.rollbacks import SPEED
from tests.integration.support.terminal import typed

pytestmark = pytest.mark.slow

ROLES = {
    "DiagnoseRoleArn": "eks-ip-remediator:readers",
    "VerifyRoleArn": "eks-ip-remediator:readers",
    "SweepRoleArn": "eks-ip-remediator:readers",
    "ClusterRoleArn": "eks-ip-remediator:writers",
}
_ADMINISTRATORS = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: { name: platform-admins }
roleRef: { apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin }
subjects: [{ apiGroup: rbac.authorization.k8s.io, kind: Group, name: platform-admins }]
"""


@dataclass(frozen=True)
class Caller:
    """A person at a terminal, who administers the cluster."""

    lab: Lab
    cluster: Patient

    def run(self, *arguments: str, status: int = 0) -> str:
        """Output of `ip-remediator`; the error line when another `status` is expected."""
        return typed(self.lab, *arguments, status=status)

    def access_entries(self) -> dict[str, list[str]]:
        """Groups by role ARN, of the stack's roles."""
        eks = self.lab.aws("eks")
        names = eks.list_access_entries(clusterName=self.cluster.name)["accessEntries"]
        result = {}
        for name in set(names) & {self.lab.outputs[role] for role in ROLES}:
            entry = eks.describe_access_entry(clusterName=self.cluster.name, principalArn=name)["accessEntry"]
            result[name] = entry["kubernetesGroups"]
        return result

    def rbac(self) -> list[str]:
        """The project's ClusterRoles and bindings."""
        label = "app.kubernetes.io/managed-by=eks-ip-remediator"
        listed = self.lab.stack.kubectl(
            "get", "clusterroles,clusterrolebindings", "--output=name", f"--selector={label}"
        )
        return sorted(listed.split())

    def strip(self) -> None:
        """Takes the access away that the lab gave."""
        eks = self.lab.aws("eks")
        for arn in self.access_entries():
            eks.delete_access_entry(clusterName=self.cluster.name, principalArn=arn)
        self.run("offboard", "--cluster", self.cluster.name)


@pytest.fixture(scope="module")
def caller(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Two pods hang, and nothing starts by itself."""
    with patient(lab, replace(Scenario(), cluster="typed"), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        manifest = tmp_path_factory.mktemp("admins") / "admins.yaml"
        manifest.write_text(_ADMINISTRATORS)
        lab.stack.kubectl("apply", "--filename", str(manifest))
        account = lab.aws("sts").get_caller_identity()["Arn"]
        lab.aws("eks").update_access_entry(
            clusterName=cluster.name, principalArn=account, kubernetesGroups=["platform-admins"]
        )
        yield Caller(lab, cluster)


@pytest.fixture
def onboarded(caller: Caller) -> Caller:
    caller.run("onboard", "--cluster", caller.cluster.name)
    return caller


def test_given_a_cluster_without_access_when_onboarded_twice_then_the_second_time_changes_nothing(
    caller: Caller,
) -> None:
    caller.strip()
    assert (caller.access_entries(), caller.rbac()) == ({}, [])
    first = caller.run("onboard", "--cluster", caller.cluster.name)
    assert caller.access_entries() == {caller.lab.outputs[role]: [group] for role, group in ROLES.items()}
    assert len(caller.rbac()) == 4
    assert [line.split()[0] for line in first.splitlines()[:8]] == ["created"] * 8
    second = caller.run("onboard", "--cluster", caller.cluster.name)
    assert [line.split()[0] for line in second.splitlines()[:8]] == ["unchanged"] * 8


def test_given_a_dry_run_then_it_says_what_it_would_do_and_does_nothing(caller: Caller) -> None:
    caller.strip()
    output = caller.run("onboard", "--cluster", caller.cluster.name, "--dry-run")
    assert output.count("created") == 8
    assert (caller.access_entries(), caller.rbac()) == ({}, [])


def test_given_an_onboarded_cluster_when_offboarded_then_only_what_the_command_made_goes(onboarded: Caller) -> None:
    eks, foreign = onboarded.lab.aws("eks"), onboarded.lab.outputs["VerifyRoleArn"]
    eks.delete_access_entry(clusterName=onboarded.cluster.name, principalArn=foreign)
    eks.create_access_entry(
        clusterName=onboarded.cluster.name, principalArn=foreign, kubernetesGroups=[ROLES["VerifyRoleArn"]]
    )
    assert onboarded.run("offboard", "--cluster", onboarded.cluster.name, "--dry-run").count("deleted") == 7
    assert len(onboarded.rbac()) == 4
    output = onboarded.run("offboard", "--cluster", onboarded.cluster.name)
    assert output.count("deleted") == 7
    assert f"kept       access entry {foreign}" in output
    assert onboarded.access_entries() == {foreign: ["eks-ip-remediator:readers"]}
    assert onboarded.rbac() == []
    assert "deleted" not in onboarded.run("offboard", "--cluster", onboarded.cluster.name)


def test_given_a_foreign_access_entry_without_the_group_when_onboarded_then_it_is_left_and_named(
    caller: Caller,
) -> None:
    caller.strip()
    eks, foreign = caller.lab.aws("eks"), caller.lab.outputs["DiagnoseRoleArn"]
    eks.create_access_entry(clusterName=caller.cluster.name, principalArn=foreign, kubernetesGroups=["others"])
    assert foreign in caller.run("onboard", "--cluster", caller.cluster.name, status=1)
    assert caller.access_entries()[foreign] == ["others"]
    eks.delete_access_entry(clusterName=caller.cluster.name, principalArn=foreign)


def test_given_the_cloudformation_template_when_deployed_then_the_command_finds_nothing_to_create(
    caller: Caller,
) -> None:
    caller.strip()
    body = (Path(__file__).parents[3] / "onboarding" / "cluster.yaml").read_text()
    given = {"ClusterName": caller.cluster.name, **{role: caller.lab.outputs[role] for role in ROLES}}
    cloudformation = caller.lab.aws("cloudformation")
    cloudformation.create_stack(
        StackName="onboarding",
        TemplateBody=body,
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()],
    )
    try:
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName="onboarding", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
        )
        assert caller.access_entries() == {caller.lab.outputs[role]: [group] for role, group in ROLES.items()}
        assert caller.run("onboard", "--cluster", caller.cluster.name).count("unchanged  access entry") == len(ROLES)
        assert caller.run("offboard", "--cluster", caller.cluster.name).count("kept       access entry") == len(ROLES)
    finally:
        cloudformation.delete_stack(StackName="onboarding")


def test_given_a_shortage_when_its_snapshot_is_taken_then_it_can_be_planned_off_line(
    onboarded: Caller, tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    onboarded.run("snapshot", "--cluster", onboarded.cluster.name, "--output", str(file))
    snapshot = Snapshot.model_validate_json(file.read_text())
    assert len(snapshot.stuck_pods) == 2
    assert snapshot.vpc is not None
    assert snapshot.vpc.id == onboarded.cluster.vpc_id
    plan: dict[str, Any] = json.loads(onboarded.run("plan", "--snapshot", str(file), "--json"))
    assert plan["curable"] is True
    assert plan["expectation"] == "heals 2 of 2 pods now"


def test_given_a_run_started_by_hand_when_waited_for_then_its_story_and_status_agree(onboarded: Caller) -> None:
    name = onboarded.cluster.name
    output = onboarded.run("start", "--cluster", name, "--mode", "observe", "--reason", "a look", "--wait")
    shown = json.loads(onboarded.run("status", "--cluster", name, "--json"))
    incident = shown["incident"]
    assert f"incident  {incident['id']}" in output
    assert (incident["outcome"], incident["mode"], incident["reason"]) == ("observed", "observe", "a look")
    assert [event["what"] for event in shown["timeline"]][-1] == "incident closed"
    assert all(event["what"].replace("_", " ") in output for event in shown["timeline"])
    assert incident["id"] in onboarded.run("status")
    assert incident["diagnosis"]["summary"] in onboarded.run("status", "--incident", incident["id"])


def test_given_what_is_not_there_then_one_line_says_what_to_correct(onboarded: Caller) -> None:
    cases = {
        ("snapshot", "--cluster", "missing"): "--cluster",
        ("status", "--incident", "missing"): "check the id",
        ("rollback", "--incident", "missing"): "check the id",
        ("status", "--cluster", "missing"): "--cluster",
        ("onboard", "--cluster", onboarded.cluster.name, "--stack", "missing"): "--stack",
        ("start", "--cluster", "a/b"): "--cluster",
        ("close", "missing", "--reason", "a test"): "check the id",
    }
    for arguments, named in cases.items():
        [line] = onboarded.run(*arguments, status=2).splitlines()
        assert line.startswith("error: ")
        assert named in line


def test_given_a_cluster_that_eks_does_not_know_when_a_run_is_started_then_no_incident_is_opened(
    onboarded: Caller,
) -> None:
    output = onboarded.run("start", "--cluster", "gone-for-good", "--wait", status=2)
    assert "EKS knows no cluster 'gone-for-good'" in output
    assert "--cluster" in output
    assert "has had no incident" in onboarded.run("status", "--cluster", "gone-for-good", status=2)


def test_given_a_shortage_when_healed_and_rolled_back_by_hand_then_the_commands_tell_and_the_cluster_is_as_before(
    onboarded: Caller,
) -> None:
    name = onboarded.cluster.name
    before = onboarded.cluster.world()
    output = onboarded.run("start", "--cluster", name, "--mode", "auto", "--wait")
    assert "outcome   healed" in output
    assert len(onboarded.cluster.moved()) == 2
    incident = json.loads(onboarded.run("status", "--cluster", name, "--json"))["incident"]["id"]
    onboarded.cluster.scale(8)
    output = onboarded.run("rollback", "--incident", incident, "--yes", "--evict", "--wait")
    assert f"{incident} is rolled back" in output
    assert onboarded.cluster.world() == before
    assert "rolled back already" in onboarded.run("rollback", "--incident", incident)
