"""Nodes without a free slot for an ENI are replaced: after a click, by whoever made them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ip_remediator.common.enums import Outcome
from ip_remediator.incidents.record import Incident
from ip_remediator.incidents.replacement_record import NodeState, ReplacementState
from local.cluster.controllers.disruption import budget_resource
from local.cluster.kube import NODES
from local.cluster.nodes.karpenter import NODECLAIMS
from local.cluster.nodes.runtime import instance_id
from local.cluster.objects import is_ready
from local.cluster.scenario_spec import NodeSpec, Scenario, Zone
from tests.integration.support.lab import Ended, Lab
from tests.integration.support.patient import ZONES, Patient, patient
from tests.support.patience import within
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow
SPEED = 30
KILL_SWITCH_PARAMETER = "/eks-ip-remediator/kill-switch"
# One of the two nodes takes an ENI in the new subnet at once, the other one has no slot for it.
ONE_IS_FULL = replace(
    Scenario(), provisioner="managed", nodes=(NodeSpec(ZONES[0], free_eni_slots=False), NodeSpec(ZONES[1]))
)
# Two full nodes in each zone: 10 pods run, and on each node one waits. Few enough for any two fresh nodes: Kubernetes
# does not spread pods anew when nodes come.
ALL_ARE_FULL = replace(
    Scenario(),
    provisioner="managed",
    zones=(Zone(ZONES[0], "10.0.0.0/27"), Zone(ZONES[1], "10.0.1.0/27")),
    nodes=tuple(NodeSpec(zone, pod_addresses=3) for zone in ZONES for _ in range(2)),
    free_eni_slots=False,
    nginx_replicas=14,
)


def remediated(lab: Lab, cluster: Patient, running: int = 8, stuck: int = 2) -> Incident:
    cluster.settle(running, stuck)
    return lab.remediate(cluster.name)[1]


def to_replace(incident: Incident) -> list[str]:
    assert incident.verification is not None
    return list(incident.verification.nodes_to_replace)


def instances(cluster: Patient) -> dict[str, str]:
    """Zone by instance of the nodes."""
    nodes = cluster.api.get(NODES.path())["items"]
    return {instance_id(node): node["metadata"]["labels"]["topology.kubernetes.io/zone"] for node in nodes}


def cordoned(cluster: Patient) -> list[str]:
    nodes = cluster.api.get(NODES.path())["items"]
    return [node["metadata"]["name"] for node in nodes if node["spec"].get("unschedulable")]


def start(lab: Lab, incident: str, **more: Any) -> str:
    """An execution by hand; its ARN."""
    machine, document = lab.outputs["ReplacementStateMachineArn"], json.dumps({"incident": incident, **more})
    return str(lab.aws("stepfunctions").start_execution(stateMachineArn=machine, input=document)["executionArn"])


def run(lab: Lab, incident: str, **more: Any) -> Ended:
    return lab.end_of(start(lab, incident, confirmed=True, **more), seconds=240)


def ended(lab: Lab, incident: str, state: ReplacementState, seconds: float = 120) -> Incident:
    return eventually(
        f"the replacement is {state}",
        lambda: lab.incidents.get(incident),
        lambda record: record.replacement is not None and record.replacement.state is state,
        seconds,
    )


def assert_healed(incident: Incident) -> None:
    assert incident.outcome is Outcome.HEALED
    assert incident.verification is not None
    assert (incident.verification.still_stuck, incident.verification.nodes_to_replace) == ((), ())


def test_given_a_full_node_of_a_managed_group_when_replace_is_clicked_then_a_fresh_node_heals_the_rest(
    lab: Lab,
) -> None:
    with patient(lab, ONE_IS_FULL, speed=SPEED) as cluster:
        incident = remediated(lab, cluster)
        [full] = to_replace(incident)
        assert incident.outcome is Outcome.PARTLY
        message = lab.message_saying(incident.id, "partly healed", "press Replace", full)
        assert lab.buttons(message) == ["replace", "rollback"]
        before = instances(cluster)

        lab.click(message, "replace")

        after = ended(lab, incident.id, ReplacementState.DONE)
        assert_healed(after)
        assert len(cluster.addresses()) == 10
        [gone] = before.keys() - instances(cluster).keys()
        [fresh] = instances(cluster).keys() - before.keys()
        assert before[gone] == instances(cluster)[fresh] == ZONES[0]
        shown = lab.message_saying(incident.id, "healed", "Nodes replaced", fresh)
        assert lab.buttons(shown) == ["rollback"]
        assert len(lab.messages(incident.id)) == 1
        details = [event["detail"] for event in lab.events_of(incident.id)]
        assert [item["outcome"] for item in details if item["stage"] == "incident" and "outcome" in item][
            -1
        ] == "healed"
        assert lab.lock_holder(cluster.vpc_id) is None


def test_given_karpenters_node_when_the_command_is_confirmed_then_its_node_claim_goes_and_another_one_comes(
    lab: Lab,
) -> None:
    one_node = replace(
        Scenario(),
        provisioner="karpenter",
        zones=(Zone(ZONES[0], "10.0.0.0/28"),),
        nodes=(NodeSpec(ZONES[0], free_eni_slots=False),),
        nginx_replicas=5,
    )
    with patient(lab, one_node, speed=SPEED) as cluster:
        incident = remediated(lab, cluster, running=3, stuck=2)
        [before] = cluster.api.get(NODECLAIMS.path())["items"]

        command = [str(Path(sys.executable).parent / "ip-remediator"), "replace", "--incident", incident.id]
        env = {**os.environ, **lab.stack.servers.environment}
        ran = subprocess.run(
            [*command, "--yes", "--wait"], env=env, capture_output=True, text=True, check=False, timeout=240
        )

        assert (ran.returncode, ran.stdout.splitlines()[-1:]) == (0, [f"{incident.id} is healed"]), ran
        [after] = cluster.api.get(NODECLAIMS.path())["items"]
        assert after["metadata"]["uid"] != before["metadata"]["uid"]
        assert len(cluster.moved()) == 5
        assert_healed(lab.incidents.get(incident.id))
        again = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=within(60))
        assert again.returncode == 2
        assert "names no node to replace" in again.stderr


def test_given_a_budget_that_allows_nothing_when_replaced_then_it_gives_up_by_its_name_and_the_next_click_goes_on(
    lab: Lab,
) -> None:
    with patient(lab, ONE_IS_FULL, speed=SPEED) as cluster:
        incident = remediated(lab, cluster)
        budgets = budget_resource(cluster.api)
        spec = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "nginx"}}}
        metadata = {"name": "nginx-stays", "namespace": "default"}
        budget = {"apiVersion": f"policy/{budgets.version}", "kind": "PodDisruptionBudget", "metadata": metadata}
        cluster.api.create(budgets, {**budget, "spec": spec})
        before = instances(cluster)

        lab.click(lab.message_saying(incident.id, "press Replace"), "replace")

        stopped = ended(lab, incident.id, ReplacementState.STOPPED, seconds=200)
        assert stopped.replacement is not None
        assert "PodDisruptionBudget default/nginx-stays" in stopped.replacement.stopped[0]
        assert instances(cluster) == before
        assert cordoned(cluster) == []
        assert [change for change in lab.changes(incident.id) if "cordon" in change] == []
        assert lab.lock_holder(cluster.vpc_id) is None
        message = lab.message_saying(incident.id, "the replacement of nodes stopped", "nginx-stays")
        assert lab.buttons(message) == ["replace", "rollback"]

        cluster.api.delete(budgets.path("default", "nginx-stays"))
        lab.click(message, "replace")

        assert_healed(ended(lab, incident.id, ReplacementState.DONE))
        assert len(instances(cluster).keys() - before.keys()) == 1


def test_given_two_zones_when_replaced_then_side_by_side_and_never_two_nodes_of_a_zone_at_once(lab: Lab) -> None:
    with patient(lab, ALL_ARE_FULL, speed=SPEED) as cluster:
        incident = remediated(lab, cluster, running=10, stuck=4)
        assert len(to_replace(incident)) == 4
        before = instances(cluster)
        version = cluster.api.get(NODES.path())["metadata"]["resourceVersion"]

        result = run(lab, incident.id)

        assert result.status == "SUCCEEDED", result
        assert_healed(lab.incidents.get(incident.id))
        assert not before.keys() & instances(cluster).keys()
        away = _away(cluster, version, before)
        assert max(max(zones.values()) for zones in away) == 1
        assert any(sum(zones.values()) == 2 for zones in away)


def _away(cluster: Patient, version: str, before: dict[str, str]) -> list[Counter[str]]:
    """From the API server's log of events: after each, how many nodes of each zone are cordoned or gone while no Ready
    successor has their place."""
    out: set[tuple[str, str]] = set()
    ready: set[tuple[str, str]] = set()
    changes = []
    for event in cluster.api.watch(NODES.path(), version, 2):
        if event["type"] not in ("ADDED", "MODIFIED", "DELETED"):
            continue
        node = event["object"]
        place = (node["metadata"]["labels"]["topology.kubernetes.io/zone"], instance_id(node))
        if place[1] not in before and is_ready(node):
            ready.add(place)
        elif place[1] in before and (event["type"] == "DELETED" or node["spec"].get("unschedulable")):
            out.add(place)
        changes.append(Counter(zone for zone, _ in out) - Counter(zone for zone, _ in ready))
    return [zones for zones in changes if zones]


def test_given_the_kill_switch_between_two_nodes_when_replaced_then_the_second_one_is_left_alone(lab: Lab) -> None:
    one_zone = replace(ALL_ARE_FULL, zones=ALL_ARE_FULL.zones[:1], nodes=ALL_ARE_FULL.nodes[:2], nginx_replicas=7)
    with patient(lab, one_zone, speed=SPEED) as cluster:
        incident = remediated(lab, cluster, running=4, stuck=3)
        _, second = to_replace(incident)
        execution = start(lab, incident.id, confirmed=True)

        def states() -> list[NodeState]:
            zone = lab.incidents.get(incident.id).replacements.get(ZONES[0])
            return [node.state for node in zone.nodes] if zone else []

        eventually(
            "the first one is being ended", states, lambda node_states: node_states[:1] == [NodeState.TERMINATING], 60
        )
        lab.aws("ssm").put_parameter(Name=KILL_SWITCH_PARAMETER, Type="String", Value="on")
        try:
            result = lab.end_of(execution, seconds=240)
        finally:
            lab.aws("ssm").delete_parameter(Name=KILL_SWITCH_PARAMETER)

        assert (result.status, result.error) == ("FAILED", "KillSwitchOn"), result
        assert states() == [NodeState.REPLACED, NodeState.WAITING]
        assert cordoned(cluster) == []
        assert to_replace(lab.incidents.get(incident.id)) == [second]
        assert run(lab, incident.id, nodes=[second]).status == "SUCCEEDED"
        assert_healed(lab.incidents.get(incident.id))


def test_given_nothing_or_nobody_to_replace_when_asked_for_then_it_is_refused_with_the_reason(lab: Lab) -> None:
    with patient(lab, replace(ONE_IS_FULL, provisioner=None), speed=SPEED) as cluster:
        incident = remediated(lab, cluster)
        [full] = to_replace(incident)

        unknown = run(lab, incident.id, nodes=["ip-1-2-3-4.ec2.internal"])
        nobody = run(lab, incident.id)

        assert (unknown.status, unknown.error) == ("FAILED", "InvalidInput"), unknown
        assert full in unknown.cause
        assert (nobody.status, nobody.error) == ("FAILED", "ReplacementBlocked"), nobody
        assert "is in no Auto Scaling group" in nobody.cause
        assert cordoned(cluster) == []
        lab.message_saying(incident.id, "the replacement of nodes stopped", "is in no Auto Scaling group")


def test_given_a_run_by_hand_when_it_is_cancelled_in_slack_then_nothing_was_changed(lab: Lab) -> None:
    with patient(lab, ONE_IS_FULL, speed=SPEED) as cluster:
        incident = remediated(lab, cluster)
        before = instances(cluster)
        execution = start(lab, incident.id, requested_by="somebody at a terminal")
        asked = "Replace nodes? It waits for your confirmation"
        question = lab.message_saying(incident.id, asked, "6 pods to be moved")
        assert lab.buttons(question) == ["replace_cancel", "replace_confirm"]

        lab.click(question, "replace_cancel")

        assert lab.end_of(execution).status == "SUCCEEDED"
        message = lab.message_saying(incident.id, "Replacement of nodes cancelled, nothing was changed")
        assert lab.buttons(message) == ["replace", "rollback"]
        assert instances(cluster) == before
        assert lab.lock_holder(cluster.vpc_id) is None
