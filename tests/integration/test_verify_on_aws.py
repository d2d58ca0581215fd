"""scripts/verify_on_aws.py against the embedded stack: what it can check there passes, and what it made is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from local.stack.deployment import ROOT
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient
from tests.support.patience import within

pytestmark = pytest.mark.slow


def verified(lab: Lab, cluster: str, *more: str) -> list[str]:
    """PASS, FAIL or SKIP of each belief, in their order."""
    command = [sys.executable, "-m", "scripts.verify_on_aws", "--cluster", cluster, *more]
    ran = subprocess.run(
        [*command, "--slack-url", lab.outputs["SlackRequestUrl"]],
        cwd=ROOT,
        env={**os.environ, **lab.stack.servers.environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=within(240),
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return [line.split()[0] for line in ran.stdout.splitlines()]


def test_given_the_embedded_stack_when_verified_then_no_belief_fails_and_nothing_is_left(lab: Lab) -> None:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        ec2 = lab.aws("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]

        def cidrs() -> list[tuple[str, str]]:
            [described] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
            blocks = described["CidrBlockAssociationSet"]
            return [(block["CidrBlock"], block["CidrBlockState"]["State"]) for block in blocks]

        # without --write it reads, whatever VPC is named
        assert verified(lab, cluster.name, "--vpc", vpc) == ["PASS"] * 7 + ["SKIP"] * 3
        assert cidrs() == [("10.77.0.0/16", "associated")]

        # with it, all ten are tried, and what it made is removed
        assert verified(lab, cluster.name, "--vpc", vpc, "--write") == ["PASS"] * 10
        assert [cidr for cidr, state in cidrs() if state == "associated"] == ["10.77.0.0/16"]
        assert ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"] == []
