"""`aws` and `kubectl` as people type them, on a cluster of the local EKS."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from local.cluster import scenario_aws
from local.cluster.scenario import seed, wait_settled
from local.cluster.scenario_spec import Scenario
from tests.stack.cluster.stack import Stack
from tests.support.patience import within
from tests.support.waiting import eventually

BIN = Path(sys.executable).parent
Run = Callable[..., str]


@pytest.fixture
def run(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a shell that knows the local AWS and nothing of the administrator's kubeconfig."""
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def command(*words: str, check: bool = True, **env: str) -> str:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            timeout=within(60),
            check=False,
            env={**os.environ, "HOME": "/nowhere", **env},
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout if check else done.stdout + done.stderr

    return command


@pytest.fixture
def kubeconfig(stack: Stack, run: Run, tmp_path: Path) -> Path:
    """What `aws eks update-kubeconfig` writes for a cluster of its caller."""
    scenario = Scenario()
    network = scenario_aws.seed_network(stack.aws("ec2"), scenario)
    role = scenario_aws.ensure_cluster_role(stack.aws("iam"), scenario.cluster)
    scenario_aws.seed_cluster(stack.aws("eks"), scenario, network, role)
    path = tmp_path / "of-its-own"
    run("aws", "eks", "update-kubeconfig", "--name", scenario.cluster, "--kubeconfig", str(path))
    return path


def test_kubectl_reaches_the_cluster_through_the_kubeconfig_that_the_aws_command_writes(run: Run, kubeconfig: Path):
    namespaces = run("kubectl", f"--kubeconfig={kubeconfig}", "get", "namespaces", "--output=name")
    user = run("kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", "delete", "nodes")

    assert "namespace/kube-system" in namespaces.splitlines()
    assert user.strip() == "yes"


def test_a_stranger_is_refused_until_an_access_entry_names_them(stack: Stack, run: Run, kubeconfig: Path):
    iam = stack.aws("iam")
    arn = iam.create_user(UserName="bob")["User"]["Arn"]
    key = iam.create_access_key(UserName="bob")["AccessKey"]
    as_bob = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    can_i = ("kubectl", f"--kubeconfig={kubeconfig}", "auth", "can-i", "--list")

    refused = run(*can_i, check=False, **as_bob)
    stack.aws("eks").create_access_entry(clusterName="demo", principalArn=arn, kubernetesGroups=["developers"])

    assert "Unauthorized" in refused
    eventually(
        "bob is let in", lambda: run(*can_i, check=False, **as_bob), lambda output: "selfsubjectreviews" in output
    )
    forged = {**as_bob, "AWS_SECRET_ACCESS_KEY": "wrong"}
    assert "Unauthorized" in run(*can_i, check=False, **forged)


@pytest.mark.slow
@pytest.mark.parametrize("provisioner", [None, "managed", "karpenter"])
def test_what_nodes_name_exists_and_each_has_a_lease(stack: Stack, provisioner):
    stack.start_simulator()
    seed(stack.api(), stack.session(), Scenario(provisioner=provisioner))
    wait_settled(stack.api(), running=8, stuck=2)

    nodes = {node["metadata"]["name"]: node for node in stack.api().get("/api/v1/nodes")["items"]}
    named = {node["metadata"]["labels"].get("eks.amazonaws.com/nodegroup") for node in nodes.values()} - {None}
    eks = stack.aws("eks")
    assert set(eks.list_nodegroups(clusterName="demo")["nodegroups"]) == named
    for name in named:
        group = eks.describe_nodegroup(clusterName="demo", nodegroupName=name)["nodegroup"]
        assert (group["status"], group["instanceTypes"]) == ("ACTIVE", ["t3.medium"])

    def leased() -> set[str]:
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        return {lease["spec"]["holderIdentity"] for lease in stack.api().get(path)["items"]}

    eventually("every node has a lease", leased, lambda holders: holders == set(nodes))
