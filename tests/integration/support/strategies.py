"""Plans other than a new CIDR with custom networking: their worlds, and what holds after each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from local.cluster.scenario_spec import Scenario, Zone
from tests.integration.support.lab import PERMANENT, Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back

DISCOVERY = "kubernetes.io/role/cni"
POD_SUBNET = "eks-ip-remediator:pod-subnet"
# Room for the leaked ENIs: a new ENI of a t3.medium takes six addresses at once.
ROOMY = Scenario(zones=(Zone(ZONES[0], "10.0.0.0/27"), Zone(ZONES[1], "10.0.1.0/27")))
LEAKED = 8


def tags_of(cluster: Patient, subnet: str) -> dict[str, str]:
    tags: dict[str, str] = cluster.subnets()[subnet]["tags"]
    return tags


def theirs(cluster: Patient, **tags: str) -> dict[str, str]:
    """A roomy subnet in each zone, made by the operator; id by zone."""
    ec2 = cluster.lab.aws("ec2")
    made = {}
    for number, zone in enumerate(ZONES):
        listed = [{"Key": key, "Value": value} for key, value in {"Name": f"spare-{zone}", **tags}.items()]
        made[zone] = ec2.create_subnet(
            VpcId=cluster.vpc_id,
            CidrBlock=f"10.0.{16 + number}.0/24",
            AvailabilityZone=zone,
            TagSpecifications=[{"ResourceType": "subnet", "Tags": listed}],
        )["Subnet"]["SubnetId"]
    return made


def leak(cluster: Patient, subnet: str, count: int) -> list[str]:
    """ENIs that others hold become such that the CNI left behind; nothing else gets their addresses meanwhile."""
    ec2 = cluster.lab.aws("ec2")
    fillers = [
        eni["NetworkInterfaceId"]
        for eni in cluster.interfaces_in(subnet)
        if eni["Status"] == "available" and len(eni["PrivateIpAddresses"]) == 1
    ][:count]
    for eni in fillers:
        ec2.modify_network_interface_attribute(NetworkInterfaceId=eni, Description={"Value": "aws-K8S-i-0123456789"})
    ec2.create_tags(Resources=fillers, Tags=[{"Key": "cluster.k8s.amazonaws.com/name", "Value": cluster.name}])
    return fillers


@contextmanager
def stricken(lab: Lab, scenario: Scenario | None = None) -> Iterator[Patient]:
    """Eight pods run and two have no address."""
    with patient(lab, scenario, speed=SPEED) as cluster:
        cluster.settle(running=8, stuck=2)
        yield cluster


def remediate(lab: Lab, cluster: Patient, outcome: Outcome, **more: str) -> tuple[Ended, Incident]:
    ended, incident = lab.remediate(cluster.name, **more)
    assert incident.outcome is outcome, (ended, incident.failure)
    return ended, incident


def assert_rolled_back(lab: Lab, cluster: Patient, incident: Incident, before: dict[str, Any]) -> None:
    ended = roll_back(lab, incident.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    assert dump(cluster) == before
    assert lab.changes(incident.id) == []
    assert lab.incidents.get(incident.id).outcome is Outcome.ROLLED_BACK


def assert_healed_and_rolled_back(lab: Lab, cluster: Patient) -> None:
    """A cluster as `stricken` has it is healed, and after a rollback with evictions it is as before."""
    before = dump(cluster)
    _, incident = remediate(lab, cluster, Outcome.HEALED)
    ended = roll_back(lab, incident.id, confirmed=True, evict=True)
    assert ended.status == "SUCCEEDED", ended
    cluster.settle(running=8, stuck=2)
    assert dump(cluster) == before


def refusal(action: str, error: str = "OperationNotPermitted") -> dict[str, Any]:
    fault = {"service": "ec2", "action": action, "error": error, "status": 400, "times": PERMANENT}
    return {**fault, "principal": "NetworkFunction"}


def assert_undone(lab: Lab, cluster: Patient, before: dict[str, Any], ended: Ended, incident: Incident) -> None:
    assert (ended.status, incident.outcome) == ("FAILED", Outcome.UNDONE), (ended, incident.failure)
    assert incident.failure is not None
    assert incident.failure.outstanding == "nothing that was made is left"
    assert dump(cluster) == before
    assert lab.changes(incident.id) == []
    assert lab.buttons(lab.message_saying(incident.id, "failed, all changes were undone")) == ["run_again"]
