"""What the plan relied on goes away between the decision and the writes: the cluster, or the room in a quota."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from tests.integration.conftest import NO_PODS
from tests.integration.support.lab import Lab
from tests.integration.support.patient import Patient, patient, remove_cluster
from tests.integration.support.rollbacks import roll_back
from tests.integration.support.strategies import remediate, stricken
from tests.integration.support.terminal import typed
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def delete(cluster: Patient) -> None:
    remove_cluster(cluster.lab, cluster.name)


def kill_api_server(cluster: Patient) -> None:
    cluster.kubernetes._process.kill()


@pytest.mark.parametrize(
    ("go_away", "error", "words"),
    [
        (delete, "ClusterNotFound", "EKS knows no cluster"),
        (kill_api_server, "KubernetesUnreachable", "no answer from https://localhost"),
    ],
)
def test_given_a_cluster_that_goes_away_after_the_approval_when_undone_then_the_vpc_is_as_before(
    lab: Lab, go_away: Callable[[Patient], None], error: str, words: str
) -> None:
    with patient(lab, NO_PODS) as doomed:
        before = vpc_of(doomed)
        execution = lab.start(doomed.name, mode="approve")
        message = lab.message_saying(lab.incident_when_known(execution).id, "If nobody answers")
        # Throttled subnets leave time to take the cluster away between two writes.
        throttled = {"service": "ec2", "action": "CreateSubnet", "error": "RequestLimitExceeded", "times": 10}
        with lab.faults(throttled):
            lab.click(message, "approve")
            eventually("the CIDR is added", doomed.cidrs, lambda cidrs: len(cidrs) == 2)
            go_away(doomed)
        ended, incident = lab.end_of(execution), lab.incident_of(execution)
        assert (ended.status, ended.error) == ("FAILED", error), ended
        assert incident.outcome is Outcome.UNDONE
        assert incident.failure is not None
        assert words in incident.failure.message
        assert "undo failed" not in incident.failure.message
        assert vpc_of(doomed) == before
        assert lab.changes(incident.id) == []
        lab.message_saying(incident.id, "failed, all changes were undone", error, words)


def vpc_of(cluster: Patient) -> dict[str, Any]:
    """What can be seen of `Patient.world` without the cluster."""
    return {
        "cidrs": cluster.cidrs(),
        "subnets": cluster.subnets(),
        "ledger": cluster.lab.ledger_items(),
        "lock": cluster.lab.lock_holder(cluster.vpc_id),
    }


def test_given_a_cluster_that_is_deleted_after_the_heal_when_rolled_back_then_vpc_and_ledger_are_as_before(
    lab: Lab,
) -> None:
    with stricken(lab) as doomed:
        before = vpc_of(doomed)
        _, incident = remediate(lab, doomed, Outcome.HEALED)
        # As `eksctl delete cluster` does it: the nodes go with their ENIs, then the cluster.
        doomed.simulator._process.kill()
        for eni in doomed.interfaces_in(*doomed.new_subnets().values()):
            delete_interface(doomed, eni)
        delete(doomed)

        ended = roll_back(lab, incident.id, confirmed=True)

        assert ended.status == "SUCCEEDED", ended
        assert vpc_of(doomed) == before
        assert lab.changes(incident.id) == []
        assert lab.incidents.get(incident.id).outcome is Outcome.ROLLED_BACK


def test_given_others_use_up_the_quota_of_cidrs_before_ours_then_nothing_is_left_and_the_next_plan_names_it(
    lab: Lab,
) -> None:
    with patient(lab, NO_PODS) as cluster:
        ec2 = lab.aws("ec2")
        throttled = {"service": "ec2", "action": "AssociateVpcCidrBlock", "error": "RequestLimitExceeded", "times": 6}
        with lab.faults({**throttled, "principal": "NetworkFunction"}):
            execution = lab.start(cluster.name)
            incident = lab.incident_when_known(execution).id
            eventually("the CIDR is being added", lambda: lab.changes(incident), seconds=60)
            for number in range(10, 14):
                ec2.associate_vpc_cidr_block(VpcId=cluster.vpc_id, CidrBlock=f"10.{number}.0.0/16")
            theirs = vpc_of(cluster)["cidrs"]
            ended = lab.end_of(execution)
        record = lab.incidents.get(incident)
        assert (ended.error, record.outcome) == ("QuotaReached", Outcome.UNDONE), (ended, record.failure)
        assert vpc_of(cluster)["cidrs"] == theirs
        assert (vpc_of(cluster)["lock"], lab.changes(incident)) == (None, [])
        assert lab.ledger.reservation_of(incident) is None
        lab.message_saying(incident, "failed, all changes were undone", "CidrLimitExceeded", "--callers")
        with lab.settings(cloudtrail_delay_seconds=0):
            shown = typed(lab, "status", incident, "--callers")
        for number in range(10, 14):
            assert re.search(rf"AssociateVpcCidrBlock\s+10\.{number}\.0\.0/16 of {cluster.vpc_id}", shown), shown

        again, next_one = lab.remediate(cluster.name)

        assert (again.status, next_one.outcome) == ("SUCCEEDED", Outcome.NOT_CURABLE), again
        lab.message_saying(next_one.id, "the quota is 5")


def delete_interface(cluster: Patient, eni: dict[str, Any]) -> None:
    ec2 = cluster.lab.aws("ec2")
    if attachment := eni.get("Attachment"):
        ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"], Force=True)
    ec2.delete_network_interface(NetworkInterfaceId=eni["NetworkInterfaceId"])
