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

THEIRS = "10.0.9.0/28"
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


def move(cluster: Patient) -> None:
    """As Terraform changes the subnets of a group: it deletes the group and makes another one of its name."""
    zone, name = ZONES[0], group(cluster, ZONES[0])
    ec2, eks, autoscaling = (cluster.lab.aws(service) for service in ("ec2", "eks", "autoscaling"))
    [before] = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    delete(cluster, zone)
    await_nodes(cluster, 1)
    placed = {"VpcId": cluster.vpc_id, "AvailabilityZone": zone}
    subnet = ec2.create_subnet(CidrBlock=THEIRS, **placed)["Subnet"]["SubnetId"]
    ec2.associate_route_table(SubnetId=subnet, RouteTableId=cluster.seeded.network.route_tables[zone])
    role = f"arn:aws:iam::000000000000:role/{cluster.name}"
    named = {"clusterName": cluster.name, "nodegroupName": f"{cluster.name}-{zone[-1]}"}
    eks.create_nodegroup(**named, subnets=[subnet], nodeRole=role)
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        MinSize=1,
        MaxSize=2,
        DesiredCapacity=1,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateName": name, "Version": "$Latest"},
        Tags=[{key: tag[key] for key in ("Key", "Value", "PropagateAtLaunch")} for tag in before["Tags"]],
    )
    await_nodes(cluster, 2)


def update_version(cluster: Patient) -> None:
    """As `aws eks update-nodegroup-version`: EKS replaces each node while the group is UPDATING."""
    before = node_instances(cluster)
    for zone in ZONES:
        named = {"clusterName": cluster.name, "nodegroupName": f"{cluster.name}-{zone[-1]}"}
        cluster.lab.aws("eks").update_nodegroup_version(**named)
    eventually("fresh nodes are there", lambda: node_instances(cluster), lambda now: len(now - before) == 2, seconds=60)


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
    """Where a run is met: once `reached`, or else at a call that `refused` stops for a while."""

    refused: dict[str, Any] | None = None
    reached: Callable[[Lab, str], object] | None = None

    def is_reached(self, lab: Lab, incident: str, calls: list[dict[str, Any]]) -> bool:
        if self.reached:
            return bool(self.reached(lab, incident))
        return bool(self.refused) and any(call["action"] == self.refused["action"] for call in calls)


def change_begun(kind: str) -> Callable[[Lab, str], object]:
    return lambda lab, incident: [change for change in lab.changes(incident) if f"CHANGE#{kind}#" in change]


def step_done(step: Step) -> Callable[[Lab, str], object]:
    return lambda lab, incident: lab.incidents.get(incident).steps.get(step)


SWITCH = At({"service": "eks", "action": "UpdateAddon", **THROTTLED})
REMEDIATION = {
    "CIDR": At({"service": "ec2", "action": "AssociateVpcCidrBlock", **REFUSED}),
    "subnets": At({"service": "ec2", "action": "CreateSubnet", **REFUSED}),
    "switch": SWITCH,
    "verification": At(
        {"service": "ec2", "action": "DescribeNetworkInterfaces", "principal": "VerifyFunction", **REFUSED},
        reached=step_done(Step.CONFIGURE_CNI),
    ),
}
ROLLBACK = {
    "settings": SWITCH,
    "ENIs": At(reached=change_begun("warm_targets")),
    "subnets": At({"service": "ec2", "action": "DeleteSubnet", **REFUSED}),
}
# Every step and every deed once with what is most severe, and the rest where it differs.
MET_IN_REMEDIATION = [
    ("CIDR", delete_all),
    ("CIDR", move),
    ("subnets", empty),
    ("switch", update_version),
    ("switch", delete_all),
    ("switch", delete_one),
    ("switch", renew),
    ("verification", delete_all),
    ("verification", renew),
    ("verification", move),
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


def assert_named(lab: Lab, cluster: Patient, record: Incident, act: Callable[[Patient], None]) -> None:
    """Groups that others deleted are named where something is not healed."""
    groups = record.verification.node_groups if record.verification else ()
    if record.outcome is Outcome.HEALED:
        assert groups == ()
    elif act in (delete_all, delete_one):
        gone = [f"node group {cluster.name}-{zone[-1]} was deleted" for zone in ZONES[: 1 if act is delete_one else 2]]
        assert [str(state) for state in groups] == gone
        lab.message_saying(record.id, *gone)


def without_theirs(world: dict[str, Any]) -> dict[str, Any]:
    subnets = {id_: subnet for id_, subnet in world["subnets"].items() if subnet["cidr"] != THEIRS}
    return {**world, "subnets": subnets}


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
        assert_named(lab, cluster, record, act)

        rolled_back = lab.roll_back(record.id)

        assert rolled_back.status == "SUCCEEDED", rolled_back
        assert without_theirs(cluster.world()) == before


def test_given_groups_that_are_not_well_when_pods_have_no_node_then_they_are_named_with_status_and_issue(
    lab: Lab,
) -> None:
    with patient(lab, replace(Scenario(), provisioner="managed"), speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        names = [f"{cluster.name}-{zone[-1]}" for zone in ZONES]
        degraded = f"{names[0]}=AsgInstanceLaunchFailures"
        with lab.settings(degraded_node_groups=degraded, node_group_update_seconds=600.0):

            def spoil(spoilt: Patient) -> None:
                empty(spoilt)
                lab.aws("eks").update_nodegroup_config(
                    clusterName=spoilt.name, nodegroupName=names[1], scalingConfig={"minSize": 0}
                )

            execution = interfere(lab, cluster, REMEDIATION["subnets"], spoil, lambda: lab.start(cluster.name))
            lab.end_of(execution)
        record = lab.incident_of(execution)
        assert record.outcome is not Outcome.HEALED, record.verification
        assert record.verification
        states = [
            f"node group {names[0]} is DEGRADED (AsgInstanceLaunchFailures)",
            f"node group {names[1]} is UPDATING",
        ]
        assert [str(state) for state in record.verification.node_groups] == states
        lab.message_saying(record.id, *states)
        assert lab.roll_back(record.id).status == "SUCCEEDED"


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
