"""Others delete, empty or renew node groups at each step of a remediation and of its rollback.

Whatever they do and when: no run says that it healed what has no node, and a rollback takes back all that it made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident, RollbackState, Step
from local.cluster.kube import NODES
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.rollbacks import SPEED, start_rollback
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

THROTTLED = {"error": "ThrottlingException", "status": 400, "times": 6}
REFUSED = {"error": "RequestLimitExceeded", "status": 503, "times": 6}


def group(cluster: Patient, zone: str) -> str:
    return f"eks-{cluster.name}-{zone[-1]}"


def instances(cluster: Patient, zone: str) -> list[str]:
    named = {"AutoScalingGroupNames": [group(cluster, zone)]}
    groups = cluster.lab.aws("autoscaling").describe_auto_scaling_groups(**named)["AutoScalingGroups"]
    return [instance["InstanceId"] for listed in groups for instance in listed["Instances"]]


def delete(cluster: Patient, *zones: str) -> None:
    """As DeleteNodegroup does it: the group goes with its instances."""
    eks, autoscaling = cluster.lab.aws("eks"), cluster.lab.aws("autoscaling")
    for zone in zones:
        if cluster.seeded.scenario.provisioner == "managed":
            eks.delete_nodegroup(clusterName=cluster.name, nodegroupName=f"{cluster.name}-{zone[-1]}")
        autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group(cluster, zone), ForceDelete=True)


def delete_all(cluster: Patient) -> None:
    delete(cluster, *ZONES)
    await_nodes(cluster, 0)


def delete_one(cluster: Patient) -> None:
    delete(cluster, ZONES[0])
    await_nodes(cluster, 1)


def empty(cluster: Patient) -> None:
    """As `aws eks update-nodegroup-config --scaling-config minSize=0,desiredSize=0`."""
    for zone in ZONES:
        sizes = {"MinSize": 0, "DesiredCapacity": 0}
        cluster.lab.aws("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group(cluster, zone), **sizes)
    await_nodes(cluster, 0)


def renew(cluster: Patient) -> None:
    """As an update of a node group ends: each instance is terminated, and the group launches another."""
    autoscaling, before = cluster.lab.aws("autoscaling"), node_instances(cluster)
    for zone in ZONES:
        for instance in instances(cluster, zone):
            autoscaling.terminate_instance_in_auto_scaling_group(
                InstanceId=instance, ShouldDecrementDesiredCapacity=False
            )
    eventually("fresh nodes are there", lambda: node_instances(cluster), lambda now: len(now - before) == 2, seconds=60)


def node_instances(cluster: Patient) -> set[str]:
    return {node["spec"]["providerID"].rpartition("/")[2] for node in cluster.api.get(NODES.path())["items"]}


def await_nodes(cluster: Patient, number: int) -> None:
    eventually(f"{number} nodes", lambda: len(node_instances(cluster)), lambda count: count == number, seconds=60)


@dataclass(frozen=True)
class At:
    """Where a run is met: at a call that `refused` stops for a while, or once `reached`."""

    refused: dict[str, Any] | None = None
    reached: Callable[[Lab, str], object] | None = None

    def is_reached(self, lab: Lab, incident: str, calls: list[dict[str, Any]]) -> bool:
        if self.refused:
            return any(call["action"] == self.refused["action"] for call in calls)
        return bool(self.reached and self.reached(lab, incident))


def change_begun(kind: str) -> Callable[[Lab, str], object]:
    return lambda lab, incident: [change for change in lab.changes(incident) if f"CHANGE#{kind}#" in change]


def step_done(step: Step) -> Callable[[Lab, str], object]:
    return lambda lab, incident: lab.incidents.get(incident).steps.get(step)


SWITCH = At({"service": "eks", "action": "UpdateAddon", **THROTTLED})
REMEDIATION = {
    "CIDR": At({"service": "ec2", "action": "AssociateVpcCidrBlock", **REFUSED}),
    "subnets": At({"service": "ec2", "action": "CreateSubnet", **REFUSED}),
    "switch": SWITCH,
    "verification": At(reached=step_done(Step.CONFIGURE_CNI)),
}
ROLLBACK = {
    "settings": SWITCH,
    "ENIs": At(reached=change_begun("warm_targets")),
    "subnets": At({"service": "ec2", "action": "DeleteSubnet", **REFUSED}),
}
# Every step and every deed once with what is most severe, and the rest where it differs.
MET_IN_REMEDIATION = [
    ("CIDR", delete_all),
    ("subnets", empty),
    ("switch", delete_all),
    ("switch", delete_one),
    ("switch", renew),
    ("verification", delete_all),
    ("verification", renew),
]
MET_IN_ROLLBACK = [
    ("settings", delete_all, "managed"),
    ("ENIs", delete_one, "managed"),
    ("ENIs", delete_one, "self-managed"),
    ("ENIs", renew, "managed"),
    ("subnets", empty, "managed"),
]


def interfere(lab: Lab, cluster: Patient, at: At, act: Callable[[Patient], None], start: Callable[[], str]) -> str:
    """Starts an execution, acts where `at` says, and returns the execution."""
    already_made = len(lab.calls())
    with lab.faults(*([at.refused] if at.refused else [])):
        execution = start()
        incident = lab.incident_when_known(execution).id if "Remediation" in execution else latest(lab, cluster)
        eventually("the step is reached", lambda: at.is_reached(lab, incident, lab.calls()[already_made:]), seconds=60)
        act(cluster)
    return execution


def latest(lab: Lab, cluster: Patient) -> str:
    marked = lab.incidents.marked_incident(cluster.name)
    assert marked
    return marked


def without_address(cluster: Patient) -> list[str]:
    return [pod["metadata"]["name"] for pod in cluster.pods() if not pod["status"].get("podIP")]


def assert_true(lab: Lab, cluster: Patient, record: Incident) -> None:
    """What the record and Slack say is so: healed means that every pod has an address."""
    assert lab.lock_holder(cluster.vpc_id) is None
    if record.outcome is Outcome.HEALED:
        assert without_address(cluster) == []
        lab.message_saying(record.id, "healed")
    else:
        proof = record.verification
        assert proof is not None
        assert set(proof.still_stuck) >= {f"default/{name}" for name in without_address(cluster)}
        lab.message_saying(record.id, "no node has" if proof.without_node else "still wait")


@pytest.mark.parametrize(("step", "act"), MET_IN_REMEDIATION, ids=lambda value: getattr(value, "__name__", value))
def test_given_others_change_node_groups_in_a_remediation_then_what_it_says_is_true_and_a_rollback_ends_it(
    lab: Lab, step: str, act: Callable[[Patient], None]
) -> None:
    with patient(lab, replace(Scenario(), provisioner="managed"), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        before = cluster.world()
        execution = interfere(lab, cluster, REMEDIATION[step], act, lambda: lab.start(cluster.name))
        lab.end_of(execution)
        record = lab.incident_of(execution)
        if act in (delete_all, empty):
            assert record.outcome is not Outcome.HEALED, record.verification
        assert_true(lab, cluster, record)

        rolled_back = lab.roll_back(record.id)

        assert rolled_back.status == "SUCCEEDED", rolled_back
        assert cluster.world() == before


@pytest.mark.parametrize(
    ("step", "act", "provisioner"), MET_IN_ROLLBACK, ids=lambda value: getattr(value, "__name__", value)
)
def test_given_others_change_node_groups_in_a_rollback_then_it_ends_with_everything_as_before(
    lab: Lab, step: str, act: Callable[[Patient], None], provisioner: Any
) -> None:
    with patient(lab, replace(Scenario(), provisioner=provisioner), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        before = cluster.world()
        _, record = lab.remediate(cluster.name)
        assert record.outcome is Outcome.HEALED, record.failure

        def start() -> str:
            return start_rollback(lab, record.id, confirmed=True, evict=True)

        ended = lab.end_of(interfere(lab, cluster, ROLLBACK[step], act, start), seconds=240)
        if ended.status != "SUCCEEDED":  # stopped, and says why: the next one goes on from there
            paused = lab.incidents.get(record.id)
            assert paused.rollback
            assert paused.rollback.state is RollbackState.PAUSED
            lab.message_saying(record.id, "What happened")
            ended = lab.roll_back(record.id)
        assert ended.status == "SUCCEEDED", ended
        assert cluster.world() == before
        assert not any(node["spec"].get("unschedulable") for node in cluster.api.get(NODES.path())["items"])
        assert lab.incidents.get(record.id).outcome is Outcome.ROLLED_BACK
