"""Every kind of plan from the start to its rollback: what is made, that the pods run, and that all is as before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ip_remediator.domain.incidents import Incident, Outcome, Step
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.integration.support.rollbacks import SPEED, dump, roll_back
from tests.integration.support.strategies import DISCOVERY, LEAKED, POD_SUBNET, ROOMY, leak, tags_of, theirs
from tests.integration.support.waiting import eventually

pytestmark = pytest.mark.slow


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


def held_addresses(cluster: Patient, *subnets: str) -> set[str]:
    return {
        address["PrivateIpAddress"] for eni in cluster.interfaces_in(*subnets) for address in eni["PrivateIpAddresses"]
    }


def test_given_subnet_discovery_when_remediated_then_only_tagged_subnets_are_added_and_all_of_it_goes_again(
    lab: Lab,
) -> None:
    with stricken(lab) as cluster:
        before = dump(cluster)
        settings = cluster.cni_environment()
        _, incident = remediate(lab, cluster, Outcome.HEALED, strategy="subnet-discovery")
        assert len(cluster.moved()) == 2
        assert (cluster.eni_configs(), cluster.cni_environment()) == ({}, settings)
        assert Step.CONFIGURE_CNI not in incident.steps
        assert incident.subnets == cluster.new_subnets()
        for subnet in incident.subnets.values():
            tags = tags_of(cluster, subnet)
            assert tags[DISCOVERY] == "1"
            assert f"cni.networking.k8s.aws/cluster/{cluster.name}" in tags
        assert lab.buttons(lab.message_saying(incident.id, "healed")) == ["rollback"]
        assert_rolled_back(lab, cluster, incident, before)
        cluster.settle(running=8, stuck=2)


def test_given_leaked_enis_when_remediated_then_they_are_deleted_and_nothing_is_left_to_roll_back(lab: Lab) -> None:
    with stricken(lab, ROOMY) as cluster:
        leaked = [eni for subnet in cluster.seeded.network.subnets.values() for eni in leak(cluster, subnet, LEAKED)]
        before = cluster.world()
        _, incident = remediate(lab, cluster, Outcome.HEALED)
        assert incident.plan is not None
        assert incident.plan.strategy == "delete-leaked-enis"
        cluster.settle(running=10, stuck=0)
        assert cluster.world() == before
        left = {eni["NetworkInterfaceId"] for eni in cluster.interfaces_in(*cluster.seeded.network.subnets.values())}
        deleted = set(leaked) - left
        assert deleted == {eni.id for eni in incident.plan.leaked_interfaces}
        assert {change.partition("CHANGE#leaked_eni#")[2] for change in lab.changes(incident.id)} == deleted
        message = lab.message_saying(incident.id, "healed", "leaked ENI")
        assert lab.buttons(message) == []
        ended = roll_back(lab, incident.id, confirmed=True)
        assert (ended.status, ended.error) == ("FAILED", "InvalidInput")
        assert "nothing to roll back" in ended.cause


def test_given_a_plan_for_node_groups_when_remediated_then_the_subnets_are_prepared_and_kept_while_nodes_run_there(
    lab: Lab,
) -> None:
    with stricken(lab) as cluster:
        before = dump(cluster)
        ended, incident = remediate(lab, cluster, Outcome.PREPARED, strategy="node-group")
        assert ended.status == "SUCCEEDED"
        assert ended.output is not None
        assert ended.output["outcome"] == "prepared"
        assert cluster.eni_configs() == {}
        message = lab.message_saying(incident.id, "prepared", *incident.subnets.values())
        assert lab.buttons(message) == ["rollback"]

        ec2, subnet = lab.aws("ec2"), incident.subnets[ZONES[0]]
        [node] = ec2.run_instances(
            ImageId="ami-12345678", InstanceType="t3.medium", MinCount=1, MaxCount=1, SubnetId=subnet
        )["Instances"]
        refused = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert (refused.status, refused.error) == ("FAILED", "RollbackBlocked")
        assert f"{node['InstanceId']} in {subnet}" in refused.cause
        assert cluster.new_subnets() == incident.subnets
        ec2.terminate_instances(InstanceIds=[node["InstanceId"]])
        assert_rolled_back(lab, cluster, incident, before)


def test_given_subnets_that_the_operator_keeps_for_pods_when_remediated_then_they_are_used_and_never_deleted(
    lab: Lab,
) -> None:
    with stricken(lab) as cluster:
        spare = theirs(cluster, **{POD_SUBNET: cluster.name})
        before = dump(cluster)
        _, incident = remediate(lab, cluster, Outcome.HEALED)
        assert incident.plan is not None
        assert (incident.plan.source, incident.plan.block) == ("existing-subnets", None)
        assert incident.subnets == spare
        assert cluster.eni_configs() == {zone: {"subnet": subnet} for zone, subnet in spare.items()}
        assert cluster.new_subnets() == {}
        assert len(set(cluster.addresses().values()) & held_addresses(cluster, *spare.values())) == 2
        ended = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert ended.status == "SUCCEEDED", ended
        after = dump(cluster)
        # Pods and their ENIs stay in a subnet that stays.
        for world in (before, after):
            del world["interfaces"]
            for subnet in spare.values():
                del world["subnets"][subnet]["AvailableIpAddressCount"]
        assert after == before


def test_given_discovery_in_subnets_of_the_operator_when_rolled_back_then_their_tags_are_as_before(lab: Lab) -> None:
    with stricken(lab) as cluster:
        spare = theirs(cluster, **{POD_SUBNET: cluster.name})
        tags = {subnet: tags_of(cluster, subnet) for subnet in spare.values()}
        _, incident = remediate(lab, cluster, Outcome.HEALED, strategy="subnet-discovery")
        assert incident.subnets == spare
        assert all(tags_of(cluster, subnet)[DISCOVERY] == "1" for subnet in spare.values())
        assert len(set(cluster.addresses().values()) & held_addresses(cluster, *spare.values())) == 2
        ended = roll_back(lab, incident.id, confirmed=True)
        assert ended.status == "SUCCEEDED", ended
        assert {subnet: tags_of(cluster, subnet) for subnet in spare.values()} == tags
        assert len(cluster.addresses()) == 10


def test_given_a_pool_of_ipam_when_remediated_then_the_block_comes_from_there_and_goes_back(lab: Lab) -> None:
    ec2 = lab.aws("ec2")
    scope = ec2.create_ipam()["Ipam"]["PrivateDefaultScopeId"]
    pool = ec2.create_ipam_pool(IpamScopeId=scope, AddressFamily="ipv4")["IpamPool"]["IpamPoolId"]
    ec2.provision_ipam_pool_cidr(IpamPoolId=pool, Cidr="100.100.0.0/16")
    lab.stack.redeploy(IpamPoolId=pool)

    def given() -> dict[str, str]:
        found = ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
        return {one["Cidr"]: one["ResourceId"] for one in found}

    try:
        with stricken(lab) as cluster:
            before = dump(cluster)
            _, incident = remediate(lab, cluster, Outcome.HEALED)
            assert incident.plan is not None
            assert (incident.plan.source, incident.plan.ipam_pool) == ("ipam-pool", pool)
            assert given() == {incident.plan.block: cluster.vpc_id}
            assert_rolled_back(lab, cluster, incident, before)
            eventually("the pool has the block again", given, lambda left: left == {})
    finally:
        lab.stack.redeploy(IpamPoolId="none")
