"""Somebody deletes what a run works on: Slack, the timeline and the command line name them once CloudTrail does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from local.stack.ports import Ports
from local.stack.stack import Stack
from tests.integration.conftest import NO_PODS, SPEED, WAIT_SCALE
from tests.integration.support.lab import Lab
from tests.integration.support.patient import patient, remove_cluster
from tests.integration.support.terminal import typed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WATCHDOG = "eks-ip-remediator-watchdog"
ASK = "some minutes later AWS has a record"


@pytest.fixture(scope="module", params=["true", "false"], ids=["named", "not named"])
def naming(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, bool]]:
    """A stack of its own, whose watchdog may ask CloudTrail, or may not."""
    parameters = {"DefaultMode": "auto", "NameCallers": request.param}
    folder = tmp_path_factory.mktemp("naming")
    with Stack(folder, Ports.free(), parameters, speed=SPEED, wait_scale=WAIT_SCALE) as stack:
        stack.start()
        yield Lab(stack), request.param == "true"


def as_terraform(lab: Lab) -> tuple[Lab, str]:
    """The lab as a role sees it that another tool runs under, and the ARN of its session."""
    iam, name = lab.aws("iam"), "Terraform"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    allowed = {"Effect": "Allow", "Action": "eks:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName=name, PolicyName="eks", PolicyDocument=policy)
    assumed = lab.aws("sts").assume_role(RoleArn=role, RoleSessionName="ci")
    keys, servers = assumed["Credentials"], lab.stack.servers
    session = boto3.session.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name=servers.region
    )
    theirs = Lab.__new__(Lab)
    theirs._clients = {"eks": session.client("eks", endpoint_url=servers.aws_url)}
    return theirs, str(assumed["AssumedRoleUser"]["Arn"])


def look(lab: Lab) -> Any:
    """What the watchdog's schedule does every five minutes."""
    answer = lab.aws("lambda").invoke(FunctionName=WATCHDOG, Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())["looked"]


def asked_cloudtrail(lab: Lab) -> list[Any]:
    return [call for call in lab.calls() if call["service"] == "cloudtrail" and WATCHDOG in call["principal"]]


def test_given_somebody_deletes_the_cluster_in_mid_run_then_they_are_named_once_cloudtrail_has_it(
    naming: tuple[Lab, bool],
) -> None:
    lab, allowed = naming
    terraform, arn = as_terraform(lab)
    with patient(lab, NO_PODS) as doomed:
        execution = lab.start(doomed.name, mode="approve")
        incident = lab.incident_when_known(execution).id
        message = lab.message_saying(incident, "If nobody answers")
        remove_cluster(terraform, doomed.name)
        lab.click(message, "approve")
        assert lab.end_of(execution).error == "ClusterNotFound"
        lab.message_saying(incident, "failed", f"{ASK}: `ip-remediator status {incident} --callers`")

        look(lab)  # CloudTrail has nothing yet

        assert lab.incidents.get(incident).calls_by_others is None
        assert "has no call by others" in typed(lab, "status", incident, "--callers")
        with lab.settings(cloudtrail_delay_seconds=0):
            looked = look(lab)
            shown = typed(lab, "status", incident, "--callers")
        assert re.search(rf"DeleteCluster\s+{doomed.name}\s+{arn}", shown), shown
        if allowed:
            assert looked == {incident: "left"}
            message = lab.message_saying(incident, f"`{arn}`: DeleteCluster of `{doomed.name}`")
            assert ASK not in message["text"]
            assert arn in typed(lab, "status", incident)
        else:
            assert (looked, asked_cloudtrail(lab)) == ({}, [])
            lab.message_saying(incident, ASK)
