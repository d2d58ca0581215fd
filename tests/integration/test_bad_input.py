"""What cannot be remedied: unknown clusters, closed and silent ones, exhausted pools, quotas."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from local.stack.deployment import ROOT
from tests.integration.conftest import NO_PODS
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import CGNAT, Patient, patient
from tests.support.waiting import eventually

EVENT = Path("tests/data/signals/event_sandbox.json")
UNDONE = "failed before anything was changed"
NOT_CURABLE = "cannot be cured automatically, nothing was changed"


@pytest.fixture(scope="module")
def quiet(lab: Lab) -> Iterator[Patient]:
    """A cluster whose subnets are full, without pods."""
    with patient(lab, NO_PODS) as cluster:
        yield cluster


def send_events(lab: Lab, cluster: str) -> None:
    """The events of two pods without an address, as kubernetes-event-exporter sends them."""
    event = json.loads((ROOT / EVENT).read_text())
    for pod in ("web-0", "web-1"):
        about = {**event["detail"]["involvedObject"], "name": pod}
        metadata = {**event["detail"]["metadata"], "uid": f"{cluster}-{pod}"}
        detail = {**event["detail"], "clusterName": cluster, "involvedObject": about, "metadata": metadata}
        entry = {"Source": event["source"], "DetailType": event["detail-type"], "Detail": json.dumps(detail)}
        assert lab.aws("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def assert_failed(lab: Lab, ended: Ended, incident: Incident, error: str, *words: str) -> None:
    """The execution failed, nothing is left, and record and message say why."""
    assert (ended.status, ended.error) == ("FAILED", error), ended
    assert incident.outcome is Outcome.UNDONE
    assert incident.failure is not None
    for word in words:
        assert word in incident.failure.message, incident.failure
    lab.message_saying(incident.id, UNDONE, error, words[0])


def test_given_events_of_an_unknown_cluster_when_they_arrive_then_people_are_told_which(lab: Lab) -> None:
    send_events(lab, "nobody-knows-me")
    [arn] = eventually("an execution starts", lambda: lab.executions_of("nobody-knows-me"))
    ended = lab.end_of(arn)
    words = ("EKS knows no cluster 'nobody-knows-me' in ap-northeast-2",)
    assert_failed(lab, ended, lab.incident_of(arn), "ClusterNotFound", *words)
    lab.message_saying(lab.incident_of(arn).id, "was the cluster deleted?")


@pytest.mark.parametrize(
    ("document", "field"),
    [({}, "cluster"), ({"cluster": "a b"}, "cluster"), ({"cluster": "demo", "mode": "fast"}, "mode")],
)
def test_given_a_wrong_input_when_started_by_hand_then_the_error_names_the_field(
    lab: Lab, document: dict[str, Any], field: str
) -> None:
    machine = lab.outputs["RemediationStateMachineArn"]
    started = lab.aws("stepfunctions").start_execution(stateMachineArn=machine, input=json.dumps(document))
    ended = lab.end_of(started["executionArn"])
    assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
    assert f"field '{field}'" in ended.cause


def test_given_no_access_entry_when_diagnosed_then_the_refusal_is_told(lab: Lab, quiet: Patient) -> None:
    eks, role = lab.aws("eks"), lab.outputs["DiagnoseRoleArn"]
    entry = eks.describe_access_entry(clusterName=quiet.name, principalArn=role)["accessEntry"]
    eks.delete_access_entry(clusterName=quiet.name, principalArn=role)
    before = quiet.world()
    ended, incident = lab.remediate(quiet.name)
    assert_failed(lab, ended, incident, "KubernetesDenied", "401")
    assert quiet.world() == before
    eks.create_access_entry(
        clusterName=quiet.name, principalArn=role, kubernetesGroups=entry["kubernetesGroups"], type="STANDARD"
    )
    # API servers remember refused tokens, and one that is signed in the same second is the same token.
    refused = int(time.time())
    eventually("a second with tokens of its own", lambda: int(time.time()) > refused)


def test_given_an_exhausted_pool_when_planned_then_nothing_is_reserved_or_locked(lab: Lab, quiet: Patient) -> None:
    hogs = {f"hog-{index}": block for index, block in enumerate(CGNAT.subnets(new_prefix=16))}
    taken = {reservation.block for reservation in lab.ledger.reserved(CGNAT)}
    hogs = {name: block for name, block in hogs.items() if not any(block.overlaps(other) for other in taken)}
    hogs |= {f"hog-of-{half}": half for half in _free_parts(taken)}
    for name, block in hogs.items():
        lab.ledger.reserve_exactly(name, block)
    try:
        before = quiet.world()
        ended, incident = lab.remediate(quiet.name)
        assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.NOT_CURABLE), incident.failure
        assert incident.failure is not None
        assert "no free /" in incident.failure.message
        assert "100.64.0.0/10" in incident.failure.message
        assert quiet.world() == before
        assert lab.ledger.reservation_of(incident.id) is None
        lab.message_saying(incident.id, NOT_CURABLE, "no free /")
    finally:
        for name in hogs:
            lab.ledger.release(name)


def _free_parts(taken: set[IPv4Network]) -> list[IPv4Network]:
    """What is free in the /16s that are partly taken, in blocks as large as can be."""
    parts = []
    for sixteen in {block.supernet(new_prefix=16) for block in taken}:
        free = [sixteen]
        for block in (block for block in taken if block.subnet_of(sixteen)):
            free = [part for one in free for part in (one.address_exclude(block) if block.subnet_of(one) else [one])]
        parts += free
    return parts


def test_given_a_vpc_at_its_cidr_quota_when_planned_then_the_quota_is_named(lab: Lab, quiet: Patient) -> None:
    ec2 = lab.aws("ec2")
    made = [
        ec2.associate_vpc_cidr_block(VpcId=quiet.vpc_id, CidrBlock=f"10.{number}.0.0/16") for number in range(10, 14)
    ]
    associations = [item["CidrBlockAssociation"]["AssociationId"] for item in made]
    eventually("five CIDRs", quiet.cidrs, lambda cidrs: len(cidrs) == 5)
    before = quiet.world()
    ended, incident = lab.remediate(quiet.name)
    assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.NOT_CURABLE)
    assert incident.failure is not None
    assert "has 5 IPv4 CIDRs and the quota is 5" in incident.failure.message
    assert "L-83CA0A9D" in incident.failure.message
    assert quiet.world() == before
    lab.message_saying(incident.id, NOT_CURABLE, "the quota is 5")
    for association in associations:
        ec2.disassociate_vpc_cidr_block(AssociationId=association)
    eventually("one CIDR", quiet.cidrs, lambda cidrs: len(cidrs) == 1)


@contextmanager
def hanging(cluster: Patient) -> Iterator[None]:
    """The API server accepts connections and answers nothing."""
    pid = cluster.kubernetes._process.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
def test_given_an_api_server_that_hangs_when_diagnosed_then_it_is_told(lab: Lab, quiet: Patient) -> None:
    before = quiet.world()
    with hanging(quiet):
        ended, incident = lab.remediate(quiet.name)
    assert_failed(lab, ended, incident, "KubernetesUnreachable", "no answer from https://localhost")
    assert quiet.world() == before
