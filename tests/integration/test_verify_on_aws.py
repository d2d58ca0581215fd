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


def test_given_the_embedded_stack_when_verified_with_writes_then_no_belief_fails_and_nothing_is_left(lab: Lab) -> None:
    with patient(lab) as cluster:
        cluster.settle(running=8, stuck=2)
        ec2 = lab.aws("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
        command = [sys.executable, "-m", "scripts.verify_on_aws", "--cluster", cluster.name, "--write", "--vpc", vpc]
        ran = subprocess.run(
            [*command, "--slack-url", lab.outputs["SlackRequestUrl"]],
            cwd=ROOT,
            env={**os.environ, **lab.stack.servers.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=within(240),
        )
        verdicts = [line.split()[0] for line in ran.stdout.splitlines()]
        assert "FAIL" not in verdicts, ran.stdout + ran.stderr
        assert verdicts.count("PASS") >= 9
        assert ran.returncode == 0
        [result] = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"]
        associated = [
            one["CidrBlock"]
            for one in result["CidrBlockAssociationSet"]
            if one["CidrBlockState"]["State"] == "associated"
        ]
        assert associated == ["10.77.0.0/16"]
        assert ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"] == []
