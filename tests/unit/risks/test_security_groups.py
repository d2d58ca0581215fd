"""Security groups that admit pods by the addresses they have now."""

from __future__ import annotations

import re
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.risks.model import Risk, Severity
from ip_remediator.risks.security_groups import admits
from ip_remediator.snapshot.model_vpc import Endpoint, GroupUser, SecurityGroup, SecurityGroupRule
from tests.unit.support.facts import CUSTOM, Part, eni_config, node, snapshot, subnet, zone
from tests.unit.support.moving import FULL, group, ordinary, ordinary_vpc, risks, rule, user

OLD = "security-groups-old-ranges"


def of(*groups: SecurityGroup, **of_plan: Any) -> Risk | None:
    return risks(ordinary(security_groups=groups), **of_plan).get(OLD)


def test_given_a_database_that_admits_the_vpcs_range_then_the_rule_and_the_command_are_named() -> None:
    # given RDS behind a group that admits 10.0.0.0/16 only
    risk = of(group("sg-db", rule("10.0.0.0/16", id="sgr-9"), name="orders"))

    # then pods of the new range will be cut off, and one command helps
    assert risk is not None
    assert risk.severity is Severity.HIGH
    assert risk.found == "sg-db (orders) allows tcp 5432 from 10.0.0.0/16 (sgr-9), not 100.64.0.0/22"
    assert risk.breaks == "pods in 100.64.0.0/22 cannot connect to RDS orders-db"
    assert risk.remedy == (
        "`aws ec2 authorize-security-group-ingress --group-id sg-db --protocol tcp --port 5432 --cidr 100.64.0.0/22`"
    )


@pytest.mark.parametrize(
    "cidrs",
    [
        ("0.0.0.0/0",),
        ("10.0.0.0/16", "100.64.0.0/10"),
        ("10.0.0.0/16", "100.64.0.0/23", "100.64.2.0/23"),
        ("10.0.0.0/24", "100.64.0.0/22"),
    ],
)
def test_given_a_group_that_admits_the_new_range_too_then_there_is_no_risk(cidrs: tuple[str, ...]) -> None:
    assert of(group("sg-db", *(rule(cidr) for cidr in cidrs))) is None
    assert of(group("sg-db", rule(*cidrs))) is None


@pytest.mark.parametrize("half", ["100.64.0.0/23", "100.64.0.0/28", "100.64.4.0/22"])
def test_given_a_group_that_admits_a_part_of_the_new_range_then_the_rest_is_cut_off(half: str) -> None:
    assert of(group("sg-db", rule("10.0.0.0/16"), rule(half))) is not None


@pytest.mark.parametrize("cidr", ["10.0.50.0/24", "10.0.0.5/32", "10.0.0.0/25", "192.168.0.0/16"])
def test_given_rules_that_admit_no_subnet_of_pods_then_nothing_that_works_stops(cidr: str) -> None:
    assert of(group("sg-db", rule(cidr))) is None


def test_given_two_rules_that_admit_the_pods_subnet_between_them_then_both_are_too_narrow() -> None:
    risk = of(group("sg-db", rule("10.0.0.0/25", id="sgr-1"), rule("10.0.0.128/25", id="sgr-2")))
    assert risk is not None
    assert "sgr-1" in risk.found
    assert "sgr-2" in risk.found


def test_given_another_port_open_to_the_new_range_then_this_one_is_still_cut_off() -> None:
    assert of(group("sg-db", rule("10.0.0.0/16", port=5432), rule("100.64.0.0/10", port=443))) is not None
    assert of(group("sg-db", rule("10.0.0.0/16", port=5432), rule("100.64.0.0/10", port=5000, to_port=6000))) is None
    assert of(group("sg-db", rule("10.0.0.0/16", port=5432), rule("100.64.0.0/10", port=None))) is None
    assert of(group("sg-db", rule("10.0.0.0/16", port=None), rule("100.64.0.0/10", port=5432))) is not None


def test_given_a_second_group_of_the_same_database_that_admits_the_range_then_there_is_no_risk() -> None:
    narrow, wide = group("sg-1", rule("10.0.0.0/16")), group("sg-2", rule("10.0.0.0/8"), rule("100.64.0.0/10"))
    assert of(narrow, wide) is None
    assert of(narrow, wide.model_copy(update={"users": (user("RDS", "others-db"),)})) is not None


def test_given_more_users_than_are_named_then_the_rest_of_one_group_is_not_taken_for_that_of_another() -> None:
    more: dict[str, Any] = {"users": (), "further_users": {"RDS": 3}}
    assert of(group("sg-1", rule("10.0.0.0/16"), **more), group("sg-2", rule("100.64.0.0/10"), **more))


def test_given_a_snapshot_that_has_users_as_texts_then_they_are_read_as_kind_name_and_number() -> None:
    texts = ["RDS eni-1", "load balancer app/shop/1a", "EKS control plane prod", "MSK broker 1", "RDS and 3 more"]
    result = SecurityGroup.model_validate({"id": "sg-1", "used_by": texts})
    assert result.users == (
        user("RDS", "eni-1"),
        user("load balancer", "app/shop/1a"),
        user("EKS control plane", "prod"),
        user("MSK", "broker 1"),
    )
    assert result.further_users == {"RDS": 3}
    assert SecurityGroup.model_validate_json(result.model_dump_json()) == result


@pytest.mark.parametrize(
    ("users", "severity"),
    [
        ((user("RDS", "orders-db"),), Severity.HIGH),
        ((user("instance", "i-9"), user("load balancer", "app/shop/1a")), Severity.HIGH),
        ((user("instance", "i-9"),), Severity.MEDIUM),
        ((user("ENI", "eni-9"),), Severity.MEDIUM),
        ((user("EFS", "fs-9"),), Severity.MEDIUM),
        ((), Severity.LOW),
    ],
)
def test_the_severity_goes_by_what_is_protected(users: tuple[GroupUser, ...], severity: Severity) -> None:
    risk = of(group("sg-1", rule("10.0.0.0/16"), users=users))
    assert risk is not None
    assert risk.severity is severity


@pytest.mark.parametrize(
    ("one", "egress"),
    [(user("Lambda", "orders"), False), (user("RDS", "eni-1"), True), (user("endpoint", "vpce-1"), True)],
)
def test_given_what_neither_is_called_nor_calls_then_its_rules_do_not_matter(one: GroupUser, egress: bool) -> None:
    assert of(group("sg-1", rule("10.0.0.0/16", egress=egress), users=(one,))) is None
    assert of(group("sg-1", rule("10.0.0.0/16", egress=not egress), users=(one,))) is not None


def test_given_an_interface_endpoint_with_such_a_group_then_the_endpoint_is_named() -> None:
    endpoint = Endpoint(id="vpce-1", service="com.amazonaws.eu-west-1.sts", security_groups=("sg-e",))
    facts = ordinary(security_groups=(group("sg-e", rule("10.0.0.0/16", port=443), users=()),), endpoints=(endpoint,))
    risk = risks(facts)[OLD]
    assert risk.severity is Severity.HIGH
    assert "endpoint vpce-1 (com.amazonaws.eu-west-1.sts)" in risk.breaks


def test_given_a_load_balancer_that_may_send_to_the_present_ranges_only_then_its_targets_are_lost() -> None:
    risk = of(
        group("sg-lb", rule("10.0.0.0/16", port=None, egress=True), users=(user("load balancer", "app/shop/1a"),))
    )
    assert risk is not None
    assert risk.severity is Severity.HIGH
    assert "allows everything out to 10.0.0.0/16" in risk.found
    assert "authorize-security-group-egress --group-id sg-lb --protocol -1 --cidr 100.64.0.0/22" in risk.remedy


def test_given_an_existing_cidr_that_the_rules_admit_then_there_is_no_risk() -> None:
    # given pods that live in 100.64.0.0/24 already, and rules that admit 100.64.0.0/16
    pods = subnet("a", id="subnet-pods", cidr="100.64.0.0/24")
    host = node("a", enis=(1,))
    host = host.model_copy(
        update={
            "interfaces": (
                *host.interfaces,
                host.interfaces[0].model_copy(update={"id": "eni-2", "primary": False, "subnet_id": "subnet-pods"}),
            )
        }
    )
    facts = snapshot(
        Part(nodes=(host,), subnets=(subnet("a"), pods), eni_configs=(eni_config("a", subnet="subnet-pods"),)),
        env=CUSTOM,
        vpc=ordinary_vpc(
            "100.64.0.0/16",
            security_groups=(
                group("sg-db", rule("100.64.0.0/16")),
                group("sg-old", rule("10.0.0.0/16"), users=(user("RDS", "old"),)),
            ),
        ),
    )

    # then neither these rules nor those that never admitted pods are a risk
    result = risks(facts, strategy="custom-networking-extension", source="existing-cidr", block="100.64.4.0/22")
    assert OLD not in result


def test_given_pods_that_live_in_two_subnets_then_a_rule_for_one_of_them_counts() -> None:
    facts = ordinary(zone("a"), zone("b"), security_groups=(group("sg-db", rule("10.0.1.0/24")),))
    assert OLD in risks(facts)


def test_given_nodes_whose_subnets_are_unknown_then_every_subnet_may_hold_pods() -> None:
    facts = snapshot(
        Part(subnets=(subnet("a"),)), vpc=ordinary_vpc(security_groups=(group("sg", rule("10.0.0.0/16")),))
    )
    assert OLD in risks(facts)


def test_given_the_nodes_own_group_then_pods_of_both_ranges_may_not_meet() -> None:
    host = node("a")
    eni = host.interfaces[0].model_copy(update={"security_groups": ("sg-node",)})
    facts = ordinary(
        Part(nodes=(host.model_copy(update={"interfaces": (eni,)}),), subnets=(subnet("a"),)),
        security_groups=(group("sg-node", rule("10.0.0.0/16", port=None), users=(user("instance", "i-a0"),)),),
    )
    result = risks(facts)
    assert result["security-groups-of-nodes"].severity is Severity.MEDIUM
    assert "--protocol -1 --cidr 100.64.0.0/22" in result["security-groups-of-nodes"].remedy
    assert OLD not in result


def with_groups(*names: str) -> Part:
    """Two nodes of a full zone, whose ENIs have these groups, in turn."""
    hosts = [node("a", index) for index in range(2)]
    worn = [
        tuple(eni.model_copy(update={"security_groups": (names[index % len(names)],)}) for eni in host.interfaces)
        for index, host in enumerate(hosts)
    ]
    nodes = tuple(host.model_copy(update={"interfaces": enis}) for host, enis in zip(hosts, worn, strict=True))
    return Part(nodes=nodes, subnets=(subnet("a"),))


BY_NODES = rule(groups=("sg-node",), id="sgr-2")


def test_given_a_database_that_admits_the_nodes_group_as_well_then_pods_are_not_cut_off() -> None:
    # given RDS that admits 10.0.0.0/16, and the nodes' group by its id
    groups = (group("sg-db", rule("10.0.0.0/16"), BY_NODES),)

    # then pods go on being admitted, because their ENIs have that group, and else they are cut off
    assert OLD not in risks(ordinary(with_groups("sg-node"), security_groups=groups))
    assert risks(ordinary(with_groups("sg-node", "sg-other"), security_groups=groups))[OLD].severity is Severity.HIGH
    assert OLD in risks(ordinary(with_groups("sg-other"), security_groups=groups))


@pytest.mark.parametrize(
    "unlike", [rule(groups=("sg-node",), port=3306), rule(groups=("sg-node",), egress=True)], ids=["port", "direction"]
)
def test_given_a_rule_by_group_of_another_kind_then_it_admits_nobody_here(unlike: SecurityGroupRule) -> None:
    groups = (group("sg-db", rule("10.0.0.0/16"), unlike),)
    assert OLD in risks(ordinary(with_groups("sg-node"), security_groups=groups))


def test_given_a_further_group_of_the_database_that_admits_the_nodes_group_then_there_is_no_risk() -> None:
    groups = (group("sg-db", rule("10.0.0.0/16")), group("sg-db-2", BY_NODES))
    assert OLD not in risks(ordinary(with_groups("sg-node"), security_groups=groups))
    apart = (groups[0], groups[1].model_copy(update={"users": (user("RDS", "others-db"),)}))
    assert OLD in risks(ordinary(with_groups("sg-node"), security_groups=apart))


def test_given_an_eniconfig_with_groups_of_its_own_then_pods_have_those_and_not_the_nodes() -> None:
    groups = (group("sg-db", rule("10.0.0.0/16"), BY_NODES), group("sg-pods", users=()))
    base = ordinary(with_groups("sg-node"), security_groups=groups)
    config = eni_config("a", security_groups=("sg-pods",))
    assert OLD in risks(base.model_copy(update={"eni_configs": (config,)}))
    assert OLD not in risks(base.model_copy(update={"eni_configs": (config,)}), strategy="subnet-discovery")


def test_given_the_nodes_group_that_admits_itself_then_pods_of_both_ranges_meet() -> None:
    groups = (group("sg-node", rule("10.0.0.0/16"), BY_NODES, users=(user("instance", "i-a0"),)),)
    assert "security-groups-of-nodes" not in risks(ordinary(with_groups("sg-node"), security_groups=groups))


def test_given_nodes_with_the_clusters_group_then_rules_of_the_control_planes_others_do_not_matter() -> None:
    def facts(nodes_group: str) -> Any:
        host = node("a")
        eni = host.interfaces[0].model_copy(update={"security_groups": (nodes_group,)})
        base = ordinary(
            Part(nodes=(host.model_copy(update={"interfaces": (eni,)}),), subnets=(subnet("a"),)),
            security_groups=(group("sg-x", rule("10.0.0.0/16", port=443), users=(user("EKS control plane", "prod"),)),),
        )
        return base.model_copy(update={"cluster": base.cluster.model_copy(update={"security_group": "sg-cluster"})})

    assert OLD not in risks(facts("sg-cluster"))
    assert risks(facts("sg-other"))[OLD].severity is Severity.MEDIUM


PEERS = (group("sg-peer", rule("10.0.0.0/16"), vpc_id="vpc-peer", users=()),)


@pytest.mark.parametrize(
    ("env", "strategy", "severity"),
    [
        ({}, "custom-networking", None),
        ({"AWS_VPC_K8S_CNI_EXTERNALSNAT": "true"}, "custom-networking", Severity.HIGH),
        ({"AWS_VPC_K8S_CNI_EXCLUDE_SNAT_CIDRS": "10.8.0.0/16"}, "custom-networking", Severity.MEDIUM),
        ({}, "node-group", Severity.HIGH),
    ],
)
def test_groups_of_other_vpcs_matter_where_they_see_addresses_of_the_new_range(
    env: dict[str, str], strategy: str, severity: Severity | None
) -> None:
    facts = snapshot(FULL, env=env, vpc=ordinary_vpc(security_groups=PEERS))
    risk = risks(facts, strategy=strategy).get("security-groups-of-other-vpcs")
    assert (risk.severity if risk else None) is severity
    assert risk is None or "vpc-peer" in risk.breaks


@pytest.mark.parametrize(
    "rules",
    [
        (rule("10.0.0.0/16"), rule("10.0.0.0/16", port=443), rule("10.0.0.0/16", port=8000, to_port=8080)),
        (rule("10.0.0.0/16", port=None), rule("10.0.0.0/16", egress=True)),
        (rule("10.0.0.0/24", port=None, protocol="icmp"), rule("10.0.0.0/16", port=0, to_port=65535, protocol="udp")),
        (rule("10.0.0.0/16", port=None, protocol="50"),),
    ],
)
def test_given_the_commands_of_the_remedy_one_after_the_other_then_the_risk_is_gone(
    rules: tuple[SecurityGroupRule, ...],
) -> None:
    mended, users = list(rules), (user("load balancer", "app/shop/1a"),)
    for _ in rules:
        risk = of(group("sg-db", *mended, users=users))
        assert risk is not None
        command = re.match(r"`aws ec2 authorize-security-group-(\w+) --group-id sg-db (.+?)`", risk.remedy)
        assert command, risk.remedy
        options = dict(zip(command[2].split()[::2], command[2].split()[1::2], strict=True))
        first, _, last = options.get("--port", "").partition("-") if options.get("--port") != "-1" else ("", "", "")
        mended.append(
            rule(
                options["--cidr"],
                protocol=options["--protocol"],
                egress=command[1] == "egress",
                port=int(first) if first else None,
                to_port=int(last or first) if first else None,
            )
        )
    assert of(group("sg-db", *mended, users=users)) is None


def test_given_groups_that_were_not_read_then_that_is_said() -> None:
    risk = risks(ordinary(security_groups=None))["security-groups-unread"]
    assert risk.severity is Severity.MEDIUM
    assert "10.0.0.0/24" in risk.remedy
    assert "security-groups-unread" not in risks(ordinary())


def test_given_5000_rules_then_the_text_stays_short_and_the_worst_come_first() -> None:
    # given 100 groups of 50 rules, one of which protects a database
    groups = [
        group(
            f"sg-{number}",
            *(rule("10.0.0.0/16", port=port, id=f"sgr-{port}") for port in range(1000, 1050)),
            users=(user("RDS", "db"),) if number == 77 else (user("instance", f"i-{number}"),),
            name="n" * 255,
        )
        for number in range(100)
    ]
    risk = of(*groups)

    # then it is the first to be told, and the others are counted
    assert risk is not None
    assert risk.found.startswith("sg-77 ")
    assert risk.found.endswith("; and 4,998 more rules of 100 groups")
    assert "likewise for 4,999 others" in risk.remedy
    assert max(len(risk.found), len(risk.breaks), len(risk.remedy)) < 600


def test_given_the_same_facts_in_another_order_then_the_risks_are_the_same() -> None:
    groups = [group(f"sg-{n}", rule("10.0.0.0/16", port=n), users=(user("RDS", f"{n}"),)) for n in range(1, 9)]
    assert of(*groups) == of(*reversed(groups))


PORTS = st.tuples(st.integers(0, 5), st.integers(0, 5)).map(sorted)
CIDRS = st.tuples(st.integers(0, 15), st.integers(28, 32)).map(
    lambda at: str(IPv4Network((at[0], at[1]), strict=False))
)


@given(
    rules=st.lists(st.tuples(st.booleans(), st.sampled_from(["tcp", "udp", "-1"]), PORTS, st.lists(CIDRS, max_size=3))),
    wanted=CIDRS.map(IPv4Network),
    ports=PORTS,
    egress=st.booleans(),
)
def test_a_range_is_admitted_only_if_each_of_its_addresses_is(
    rules: list[Any], wanted: IPv4Network, ports: list[int], egress: bool
) -> None:
    group_rules = [
        rule(*cidrs, port=None if protocol == "-1" else low, to_port=high, protocol=protocol, egress=out)
        for out, protocol, (low, high), cidrs in rules
    ]
    like = rule(port=ports[0], to_port=ports[1], egress=egress)

    def admitted(address: Any, port: int) -> bool:
        return any(
            out == egress and protocol in ("tcp", "-1") and (protocol == "-1" or low <= port <= high)
            for out, protocol, (low, high), cidrs in rules
            for cidr in cidrs
            if address in IPv4Network(cidr)
        )

    every = all(admitted(address, port) for address in wanted for port in range(ports[0], ports[1] + 1))
    assert every or not admits(group_rules, like, wanted)
    if ports[0] == ports[1]:
        assert admits(group_rules, like, wanted) == every
