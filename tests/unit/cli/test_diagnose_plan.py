"""diagnose and plan: the contract of their exit status and JSON, whatever a snapshot leaves out."""

from __future__ import annotations

import contextlib
import io
import json
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.model import REQUESTED_STRATEGIES, Plan, digest
from ip_remediator.snapshot.model import Snapshot
from ip_remediator_cli.main import main
from tests.unit.cli.conftest import Run, one_error_line

PLAN_FIELDS = {
    "curable", "strategy", "block", "source", "subnets", "changes", "options", "risks", "expectation", "alternatives",
    "hash",
}  # fmt: skip
IPV6 = {"cluster": {"name": "shop", "ip_family": "ipv6"}}
CALM = {"cluster": {"name": "shop"}}


def test_given_a_shortage_when_diagnosed_as_json_then_the_document_is_the_functions_own(
    run: Run, shortage: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "snapshot.json"
    file.write_text(json.dumps(shortage))
    ran = run("diagnose", "--snapshot", str(file), "--json")
    assert ran.status == 0
    assert ran.json == diagnose(Snapshot.model_validate(shortage)).model_dump(mode="json")
    assert ran.json["verdict"] == "subnet_exhausted"
    zone, _ = ran.json["zones"]
    assert zone.items() >= {"zone": "eu-west-1a", "free": 0, "nodes": 1, "stuck_pods": 1}.items()
    assert {"name", "relieved_now", "reason"} <= ran.json["nodes"][0].keys()
    assert ran.json["evidence"]


@pytest.mark.parametrize(("document", "status"), [(IPV6, 4), (CALM, 3)])
@pytest.mark.parametrize("command", ["diagnose", "plan"])
def test_given_what_addresses_do_not_cure_or_nothing_wrong_then_the_exit_status_tells(
    run: Run, command: str, document: dict[str, Any], status: int
) -> None:
    assert run(command, "--snapshot", "-", stdin=document).status == status
    assert run(command, "--snapshot", "-", "--json", stdin=document).status == status


def test_given_a_minimal_snapshot_when_diagnosed_then_what_is_unknown_is_said(
    run: Run, shortage: dict[str, Any]
) -> None:
    ran = run("diagnose", "--snapshot", "-", stdin=shortage)
    assert ran.status == 0
    assert "shop: subnet_exhausted (more addresses cure it)" in ran.out
    assert "Unknown" in ran.out
    assert "ENI slots of n2" in ran.out
    assert "What else would help\n" in ran.out
    assert "an IPv6 cluster" in ran.out


def test_given_a_shortage_when_planned_as_json_then_the_plan_is_complete_and_bears_its_hash(
    run: Run, shortage: dict[str, Any]
) -> None:
    ran = run("plan", "--snapshot", "-", "--json", stdin=shortage)
    assert ran.status == 0
    assert ran.json.keys() >= PLAN_FIELDS
    plan = Plan.model_validate(ran.json)
    assert plan.hash == digest(plan)
    block = IPv4Network(plan.block)
    assert block.network_address == IPv4Network("100.64.0.0/10").network_address
    assert {subnet.zone for subnet in plan.subnets} == {"eu-west-1a", "eu-west-1b"}
    assert all(IPv4Network(subnet.cidr).subnet_of(block) for subnet in plan.subnets)
    assert ran.json["subnets"][0].keys() >= {"zone", "cidr", "route_table", "network_acl"}
    assert ran.json["options"][0].keys() == {"option", "taken", "reason", "advice"}
    assert ran.json["risks"][0].keys() == {"id", "severity", "found", "breaks", "remedy"}


def test_given_a_shortage_when_planned_for_people_then_every_change_and_risk_is_named(
    run: Run, shortage: dict[str, Any]
) -> None:
    plan = run("plan", "--snapshot", "-", "--json", stdin=shortage).json
    ran = run("plan", "--snapshot", "-", stdin=shortage)
    assert ran.status == 0
    texts = [change["description"] for change in plan["changes"]]
    texts += [text for risk in plan["risks"] for text in (risk["remedy"], f"docs/risks.md#{risk['id']}")]
    for text in texts:
        assert text in ran.out
    assert plan["hash"] in ran.out


def test_given_the_example_of_the_documentation_then_it_has_a_plan(run: Run) -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()
    example = text.partition("```json\n")[2].partition("```")[0]
    assert run("plan", "--snapshot", "-", stdin=example).status == 0


def test_given_exclusions_and_pools_when_planned_then_the_block_is_the_first_that_keeps_clear(
    run: Run, shortage: dict[str, Any]
) -> None:
    options = ("--exclude", "100.64.0.0/16", "--exclude", "100.65.0.0/16")
    ran = run("plan", "--snapshot", "-", "--json", *options, stdin=shortage)
    assert ran.json["block"].startswith("100.66.0.0/")
    ran = run("plan", "--snapshot", "-", "--json", "--pool", "100.100.0.0/16", stdin=shortage)
    assert ran.json["block"].startswith("100.100.0.0/")


def test_given_a_first_pool_that_is_used_up_when_planned_then_the_second_one_is_taken(
    run: Run, shortage: dict[str, Any]
) -> None:
    pools = ("--pool", "100.70.0.0/16", "--pool", "100.80.0.0/16", "--exclude", "100.70.0.0/16")
    ran = run("plan", "--snapshot", "-", "--json", *pools, stdin=shortage)
    assert ran.json["block"].startswith("100.80.0.0/")


def test_given_no_free_block_when_planned_then_the_same_fields_say_why_there_is_no_plan(
    run: Run, shortage: dict[str, Any]
) -> None:
    ran = run("plan", "--snapshot", "-", "--json", "--exclude", "100.64.0.0/10", stdin=shortage)
    assert ran.status == 4
    assert ran.json.keys() >= PLAN_FIELDS
    assert ran.json["curable"] is False
    assert ran.json["block"] is None
    assert "(100.64.0.0/10 is the range excluded by the settings)" in ran.json["expectation"]
    assert ran.json["alternatives"]


def test_given_a_strategy_that_the_cluster_cannot_have_when_planned_then_it_says_why_and_what_to_do(
    run: Run, shortage: dict[str, Any]
) -> None:
    shortage["cni"] = {"version": "v1.16.4"}
    ran = run("plan", "--snapshot", "-", "--strategy", "subnet-discovery", stdin=shortage)
    assert ran.status == 4
    assert "strategy subnet-discovery is not possible: the VPC CNI v1.16.4 does not discover subnets" in ran.out
    assert "update it, or use custom-networking" in ran.out


def test_given_an_aws_node_of_others_when_planned_then_what_is_by_hand_is_marked_and_told(
    run: Run, shortage: dict[str, Any]
) -> None:
    shortage["cni"] = {"version": "v1.23.1", "owner": "gitops", "owned_by": "Argo CD"}
    ran = run("plan", "--snapshot", "-", stdin=shortage)
    assert ran.status == 0
    assert "point ENIConfig eu-west-1a at the new subnet of eu-west-1a (by hand)" in ran.out
    assert "Then, by hand" in ran.out
    assert "kubectl -n kube-system set env daemonset/aws-node" in ran.out


def test_given_no_vpc_when_planned_then_it_says_that_the_vpc_is_unknown(run: Run, shortage: dict[str, Any]) -> None:
    del shortage["vpc"]
    ran = run("plan", "--snapshot", "-", stdin=shortage)
    assert ran.status == 4
    assert "no vpc" in ran.out


def test_given_a_cause_that_signals_proved_when_diagnosed_then_it_counts(run: Run, shortage: dict[str, Any]) -> None:
    shortage["subnets"][0]["free"] = 100
    ran = run("diagnose", "--snapshot", "-", "--json", "--cause", "cni_iam", stdin=shortage)
    assert (ran.status, ran.json["verdict"]) == (4, "cni_fault")


def test_given_names_with_control_characters_when_shown_then_the_terminal_is_safe(
    run: Run, shortage: dict[str, Any]
) -> None:
    shortage["cluster"]["name"] = "shop\x1b[2J\nerror: fake"
    ran = run("plan", "--snapshot", "-", stdin=shortage)
    assert ran.status == 0
    assert "\x1b" not in ran.out
    assert "\nerror: fake" not in ran.out


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"cluster": {}}, "field cluster.name"),
        ({"nods": []}, "field nods"),
        ({"nodes": [{"zone": "a"}]}, "field nodes.0.name"),
        ({"nodes": [{"name": "n", "max_enis": "many"}]}, "field nodes.0.max_enis"),
        ({"nodes": {}}, "field nodes"),
        ({"nodes": [{"name": "n", "max_enis": -1}]}, "field nodes.0.max_enis"),
        ({"subnets": [{"id": "s", "zone": "a", "cidr": "10.0.0.0/24", "free": -3}]}, "field subnets.0.free"),
        ({"vpc": {"id": "v", "security_groups": [{"id": "g", "rules": [{"cidrs": ["x"]}]}]}}, "rules.0.cidrs.0"),
        (
            {
                "vpc": {
                    "id": "v",
                    "network_acls": [
                        {"id": "a", "entries": [{"number": 1, "egress": True, "allow": True, "cidr": "x"}]}
                    ],
                }
            },
            "vpc.network_acls.0.entries.0.cidr",
        ),
        ({"schema_version": 2}, "field schema_version"),
        ({"subnets": [{"id": "s", "zone": "a", "cidr": "10.0.0.0/33"}]}, "field subnets.0.cidr"),
        ({"vpc": {"id": "v", "cidrs": [{"cidr": "10.0.0.1/16"}]}}, "field vpc.cidrs.0.cidr"),
        ({"vpc": {"id": "v", "peerings": [{"id": "p", "status": "active", "cidrs": ["x"]}]}}, "vpc.peerings.0.cidrs.0"),
        ({"vpc": {"id": "v", "routes": [{"destination": "::/0", "target": "t", "route_table": "r"}]}}, "routes.0.dest"),
        ({"cluster": {"name": "x", "service_cidrs": ["10.100.0.0"]}, "vpc": None}, None),
        ({"cluster": {"name": "x", "remote_cidrs": ["ten"]}}, "field cluster.remote_cidrs.0"),
    ],
)
def test_given_a_wrong_field_when_planned_then_one_line_names_it_and_the_remedy(
    run: Run, shortage: dict[str, Any], change: dict[str, Any], named: str | None
) -> None:
    ran = run("plan", "--snapshot", "-", stdin={**shortage, **change})
    if named is None:  # a single address is a CIDR as well
        assert ran.status != 2
        return
    assert ran.status == 2
    line = one_error_line(ran)
    assert named in line
    assert "; " in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--pool", "10.0.0.1/8"], "--pool"),
        (["--exclude", "everything"], "--exclude"),
        (["--cause", "gremlins"], "--cause"),
        (["--strategy", "sorcery"], "--strategy"),
        (["--json", "--snap"], "--snap"),
    ],
)
def test_given_a_wrong_option_then_one_line_names_it(
    run: Run, shortage: dict[str, Any], arguments: list[str], named: str
) -> None:
    ran = run("plan", "--snapshot", "-", *arguments, stdin=shortage)
    assert ran.status == 2
    assert named in one_error_line(ran)


_ZONES = st.sampled_from(["a", "b", "c"])
_CIDRS = st.sampled_from(["10.0.0.0/24", "10.0.1.0/28", "100.64.0.0/24", "100.127.255.240/28", "172.31.0.0/16"])
_OFTEN_ABSENT = {
    "cni": st.fixed_dictionaries(
        {},
        optional={
            "installed": st.booleans(),
            "version": st.sampled_from(["v1.16.0", "v1.19.2", "v1.23.1", "nightly"]),
            "owner": st.sampled_from(["addon", "helm", "gitops", "self-managed"]),
            "env": st.dictionaries(
                st.sampled_from(["AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENABLE_PREFIX_DELEGATION"]),
                st.sampled_from(["true", "false", ""]),
            ),
        },
    ),
    "nodes": st.lists(
        st.fixed_dictionaries(
            {"name": st.sampled_from(["n1", "n2", "n3"])},
            optional={
                "zone": _ZONES,
                "max_enis": st.integers(0, 15),
                "addresses_per_eni": st.integers(0, 50),
                "fargate": st.booleans(),
                "eni_config": _ZONES,
                "interfaces": st.lists(
                    st.fixed_dictionaries(
                        {"id": st.just("eni"), "subnet_id": st.sampled_from(["s1", "s2"]), "primary": st.booleans()}
                    ),
                    max_size=3,
                ),
            },
        ),
        max_size=4,
    ),
    "stuck_pods": st.lists(
        st.fixed_dictionaries(
            {"namespace": st.just("default"), "name": st.sampled_from(["p1", "p2"])},
            optional={"node": st.sampled_from(["n1", "n2", "gone"])},
        ),
        max_size=3,
    ),
    "eni_configs": st.lists(
        st.fixed_dictionaries({"name": _ZONES}, optional={"subnet": st.sampled_from(["s1", "s2"])}), max_size=3
    ),
    "subnets": st.lists(
        st.fixed_dictionaries(
            {"id": st.sampled_from(["s1", "s2"]), "zone": _ZONES, "cidr": _CIDRS},
            optional={
                "free": st.integers(0, 300),
                "tags": st.sampled_from(
                    [{}, {"eks-ip-remediator:pod-subnet": "shop"}, {"kubernetes.io/role/cni": "1"}]
                ),
            },
        ),
        max_size=3,
    ),
    "leaked_interfaces": st.lists(
        st.fixed_dictionaries(
            {"id": st.sampled_from(["e1", "e2"]), "subnet_id": st.sampled_from(["s1", "s2"])},
            optional={"addresses": st.integers(1, 60), "cluster": st.sampled_from(["shop", "other"])},
        ),
        max_size=2,
    ),
    "vpc": st.fixed_dictionaries(
        {"id": st.just("vpc-1")},
        optional={"cidrs": st.lists(_CIDRS.map(lambda cidr: {"cidr": cidr}), max_size=6)},
    ),
}


@given(
    st.fixed_dictionaries({"cluster": st.just({"name": "shop"})}, optional=_OFTEN_ABSENT),
    st.sampled_from([(), *(("--strategy", strategy) for strategy in REQUESTED_STRATEGIES)]),
)
def test_given_any_snapshot_that_is_valid_then_diagnose_and_plan_answer_alike(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], strategy: tuple[str, ...]
) -> None:
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(document))
    answers = []
    for command in (["diagnose"], ["plan", *strategy]):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main([*command, "--snapshot", str(file), "--json"])
        assert not err.getvalue()
        answers.append((status, json.loads(out.getvalue())))
    (diagnosed, diagnosis), (planned, plan) = answers
    assert plan.keys() == set(Plan.model_fields)
    assert (plan["curable"], plan["verdict"]) == (planned == 0, diagnosis["verdict"])
    if planned == 0:
        made = Plan.model_validate(plan)
        assert made.hash == digest(made)
        assert (made.block is None) == (made.source in ("none", "existing-subnets"))
        assert len({subnet.zone for subnet in made.subnets}) == len(made.subnets)
        assert made.prepares_only == (made.strategy == "node-group" or any(change.by_hand for change in made.changes))
        assert 0 <= made.heals_now <= len(document.get("stuck_pods", []))
    # What the diagnosis calls curable may still lack room or facts for a plan.
    assert diagnosed in (0, 3, 4)
    assert planned in ((0, 4) if diagnosed == 0 else (diagnosed,))
