"""Every kind of plan from the start to its rollback: what is made, that the pods run, and that all is as before."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Step
from ip_remediator.planning.model import handover_of
from local.cluster.kube import DAEMONSETS
from local.cluster.scenario_spec import Scenario
from tests.integration.support.lab import Lab
from tests.integration.support.patient import ZONES
from tests.integration.support.rollbacks import CUSTOM_NETWORKING, STRATEGIC, dump, roll_back
from tests.integration.support.strategies import DISCOVERY, assert_rolled_back, remediate, stricken, tags_of
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


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


def test_given_an_aws_node_of_argo_cd_when_approved_then_people_get_commands_that_work(lab: Lab) -> None:
    with stricken(lab, replace(Scenario(), managed_addon=False)) as cluster:
        mark = {
            "metadata": {"annotations": {"argocd.argoproj.io/tracking-id": "cni:apps/DaemonSet:kube-system/aws-node"}}
        }
        cluster.api.patch(DAEMONSETS.path("kube-system", "aws-node"), mark, STRATEGIC)
        settings = cluster.cni_environment()
        execution = lab.start(cluster.name, mode="approve")
        question = lab.message_saying(lab.incident_when_known(execution).id, "If nobody answers", "manual steps remain")
        lab.click(question, "approve")
        ended = lab.end_of(execution)
        incident = lab.incident_of(execution)
        assert (ended.status, incident.outcome) == ("SUCCEEDED", Outcome.PREPARED), incident.failure
        assert (cluster.eni_configs(), cluster.cni_environment()) == ({}, settings)
        assert incident.subnets == cluster.new_subnets()

        assert incident.plan is not None
        for command in handover_of(incident.plan, incident.subnets):
            if command.startswith("kubectl"):
                run_as_administrator(lab, command)
        cluster.settle(running=10, stuck=0)
        assert len(cluster.moved()) == 2

        refused = roll_back(lab, incident.id, confirmed=True, evict=True)
        assert (refused.status, refused.error) == ("FAILED", "RollbackBlocked")
        assert f"ENIConfig {ZONES[0]}, which this incident did not make" in refused.cause
        assert cluster.cni_environment().items() >= CUSTOM_NETWORKING.items()


def run_as_administrator(lab: Lab, command: str) -> None:
    """A command line that was handed over, as an operator pastes it."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, **lab.stack._kubectl_environment, "PATH": path}
    subprocess.run(["bash", "-c", command], check=True, capture_output=True, env=environment)


def test_given_a_pool_of_ipam_when_remediated_then_the_block_comes_from_there_and_goes_back(lab: Lab) -> None:
    ec2 = lab.aws("ec2")
    scope = ec2.create_ipam()["Ipam"]["PrivateDefaultScopeId"]
    pool = ec2.create_ipam_pool(IpamScopeId=scope, AddressFamily="ipv4")["IpamPool"]["IpamPoolId"]
    ec2.provision_ipam_pool_cidr(IpamPoolId=pool, Cidr="100.100.0.0/16")
    lab.stack.redeploy(IpamPoolId=pool)

    def given() -> dict[str, str]:
        result = ec2.get_ipam_pool_allocations(IpamPoolId=pool)["IpamPoolAllocations"]
        return {one["Cidr"]: one["ResourceId"] for one in result}

    try:
        with stricken(lab) as cluster:
            before = dump(cluster)
            _, incident = remediate(lab, cluster, Outcome.HEALED)
            assert incident.plan is not None
            assert (incident.plan.source, incident.plan.ipam_pool) == ("ipam-pool", pool)
            assert given() == {incident.plan.block: cluster.vpc_id}
            assert_rolled_back(lab, cluster, incident, before)
            eventually("the pool has the block again", given, lambda reservations: reservations == {})
    finally:
        lab.stack.redeploy(IpamPoolId="none")
