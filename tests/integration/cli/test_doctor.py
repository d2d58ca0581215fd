"""`doctor` on a stack that works, and on one in which things are broken one by one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.support.patience import within

pytestmark = pytest.mark.slow


def examine(lab: Lab, *arguments: str) -> dict[str, tuple[str, str]]:
    """Health and remedy by check."""
    command = [str(Path(sys.executable).parent / "ip-remediator"), "doctor", "--output", "json", *arguments]
    command += ["--slack-url", lab.outputs["SlackRequestUrl"]]  # its host name exists on AWS only
    env = {**os.environ, **lab.stack.servers.environment}
    ran = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=within(180))
    checks = json.loads(ran.stdout)
    assert ran.returncode == int(any(one["health"] == "broken" for one in checks)), ran
    return {one["name"]: (one["health"], one["remedy"] or one["detail"]) for one in checks}


def test_given_a_working_stack_and_cluster_then_nothing_is_broken_and_nothing_is_changed(lab: Lab) -> None:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        before = cluster.world()
        checks = examine(lab, "--cluster", cluster.name)
        assert {name: one for name, one in checks.items() if one[0] in ("broken", "unknown")} == {}
        assert cluster.world() == before
        assert lab.executions_of(cluster.name) == []

        eks, role = lab.aws("eks"), lab.outputs["VerifyRoleArn"]
        entry = eks.describe_access_entry(clusterName=cluster.name, principalArn=role)["accessEntry"]
        eks.delete_access_entry(clusterName=cluster.name, principalArn=role)
        health, remedy = examine(lab, "--cluster", cluster.name)["access entries"]
        assert (health, remedy) == ("broken", f"ip-remediator onboard --cluster {cluster.name}")
        eks.create_access_entry(
            clusterName=cluster.name, principalArn=role, kubernetesGroups=entry["kubernetesGroups"], type="STANDARD"
        )


def test_given_a_cluster_that_does_not_exist_then_it_says_so_once_and_offers_no_onboarding(lab: Lab) -> None:
    checks = examine(lab, "--cluster", "no-such-cluster")
    health, text = checks["cluster"]
    assert (health, "EKS knows no cluster 'no-such-cluster'" in text) == ("broken", True)
    assert not {"access entries", "rbac", "facts"} & set(checks)


def test_given_a_wrong_slack_secret_then_token_and_endpoint_are_said_to_be_broken(lab: Lab) -> None:
    ssm, name = lab.aws("ssm"), "/eks-ip-remediator/slack"
    kept = ssm.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
    try:
        wrong = json.dumps({"bot_token": "xoxb-wrong", "signing_secret": "wrong-too"})
        ssm.put_parameter(Name=name, Value=wrong, Type="SecureString", Overwrite=True)
        checks = examine(lab)
        assert checks["slack secret"][0] == "ok"
        assert checks["slack token"][0] == "broken"
        assert "bot token" in checks["slack token"][1]
    finally:
        ssm.put_parameter(Name=name, Value=kept, Type="SecureString", Overwrite=True)
