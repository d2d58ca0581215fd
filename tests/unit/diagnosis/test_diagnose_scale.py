"""Diagnosis and plan of a large cluster: the work grows with the cluster, and not with its square."""

from __future__ import annotations

import sys
import time
import tracemalloc
from types import FrameType
from typing import Any

import pytest

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.commands.plan import make_plan

ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
PODS_PER_NODE = 17
MESSAGE = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox "{:064x}": '
    'plugin type="aws-cni" name="aws-cni" failed (add): add cmd: failed to assign an IP address to container'
)
CUSTOM = {"AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": "true", "ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"}


def cluster_of(nodes: int, subnets: int = 60, env: dict[str, str] | None = None, pods: int = PODS_PER_NODE) -> Snapshot:
    """Full subnets, some of them tagged for discovery, and pods that hang on every node."""
    tagged = {"kubernetes.io/role/cni": "1"}
    document: dict[str, Any] = {
        "cluster": {"name": "shop"},
        "cni": {"version": "v1.19.2", "env": env or {}},
        "eni_configs": [{"name": zone, "subnet": f"subnet-{index}"} for index, zone in enumerate(ZONES)],
        "nodes": [
            {
                "name": f"ip-{index}",
                "zone": ZONES[index % 3],
                "instance_id": f"i-{index}",
                "max_enis": 3,
                "addresses_per_eni": 6,
                "eni_config": ZONES[index % 3],
                "interfaces": [
                    {"id": f"eni-{index}", "subnet_id": f"subnet-{index % subnets}", "primary": True, "addresses": 6}
                ],
            }
            for index in range(nodes)
        ],
        "stuck_pods": [
            {"namespace": "shop", "name": f"web-{pod}", "node": f"ip-{pod % nodes}", "message": MESSAGE.format(pod)}
            for pod in range(nodes * pods)
        ],
        "subnets": [
            {
                "id": f"subnet-{index}",
                "zone": ZONES[index % 3],
                "cidr": f"10.{index // 256}.{index % 256}.0/24",
                "free": 0,
                "tags": tagged if index < 6 else {},
            }
            for index in range(subnets)
        ],
        "quotas": {"interfaces_per_zone": 100_000},
        "vpc": {"id": "vpc-1", "cidrs": [{"cidr": "10.0.0.0/8"}]},
    }
    return Snapshot.model_validate(document)


def judged(snapshot: Snapshot) -> Plan:
    result = diagnose(snapshot)
    assert result.verdict is Verdict.SUBNET_EXHAUSTED
    return make_plan(snapshot, result, PlanningOptions())


def steps_of(snapshot: Snapshot) -> int:
    """How many instructions of Python are executed: the same on every machine, however busy."""
    executed = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal executed
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        executed += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        judged(snapshot)
    finally:
        sys.settrace(before)
    return executed


@pytest.mark.parametrize("nodes", [40, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("env", [{}, CUSTOM], ids=["discovery", "custom-networking"])
def test_given_twice_as_many_nodes_pods_and_subnets_when_judged_then_it_takes_about_twice_the_steps(
    env: dict[str, str], nodes: int
) -> None:
    judged(cluster_of(3, env=env))  # what is made once, is made
    twice = steps_of(cluster_of(2 * nodes, 2 * nodes, env, pods=1))
    assert twice < 2.5 * steps_of(cluster_of(nodes, nodes, env, pods=1))


def test_given_twice_as_many_nodes_and_pods_when_judged_then_it_takes_about_twice_the_memory() -> None:
    peaks = []
    for nodes in (60, 120):
        snapshot = cluster_of(nodes)
        tracemalloc.start()
        judged(snapshot)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 3 * peaks[0]  # dictionaries grow by doubling


@pytest.mark.slow
def test_given_5000_nodes_with_17_stuck_pods_each_when_judged_then_it_takes_seconds_and_little_is_told() -> None:
    snapshot = cluster_of(5000)
    before = time.process_time()
    result = diagnose(snapshot)
    plan = make_plan(snapshot, result, PlanningOptions())
    took = time.process_time() - before
    sys.stderr.write(f"{took:.1f} s\n")
    assert took < 20
    assert len(result.summary) < 2_000
    assert sum(map(len, (*result.evidence, *result.unknown))) < 20_000
    assert len(plan.model_dump_json()) < 200_000
