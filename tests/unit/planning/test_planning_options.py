"""Options: the first that serves every pod in need is taken, and each says why it was taken or passed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Network
from typing import Any

import pytest

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning.build_plan import plan
from ip_remediator.planning.model import Plan, RequestedStrategy
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.planning.requirements import requirement
from ip_remediator.snapshot.leaked_interface import LeakedInterface
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni
from ip_remediator.snapshot.model_vpc import Peering, Route, SubnetReservation, Vpc, VpcCidr
from tests.unit.support.corpus import FOLDER
from tests.unit.support.facts import CUSTOM, PREFIXES, Part, az, eni_config, node, pods, snapshot, subnet, vpc, zone
from tests.unit.support.plans import first_plan

BY_THE_PLAN = [
    "delete-leaked-enis",
    "reclaim-warm",
    "existing-subnet",
    "sibling-subnet",
    "existing-cidr",
    "new-cidr",
    "ipam-pool",
]
ADVICE = ["prefix-delegation", "max-pods", "reserved-enis"]
FULL = (zone("a", free=0, stuck=1), zone("b", free=0, stuck=1))
POD_SUBNET = subnet("a", id="pods-a", cidr="10.0.64.0/24", free=2)
CONFIG = (eni_config("a", subnet="pods-a"),)
TAGGED = {"eks-ip-remediator:pod-subnet": "prod"}


def leaked(*zones: str, addresses: int = 6, **fields: Any) -> tuple[LeakedInterface, ...]:
    defaults = {"cluster": "prod", "addresses": addresses} | fields
    return tuple(LeakedInterface(id=f"eni-x{zone}", subnet_id=f"subnet-{zone}", **defaults) for zone in zones)


def spare(letter: str = "a", **fields: Any) -> Part:
    """A subnet that nobody uses yet."""
    defaults: dict[str, Any] = {"id": f"spare-{letter}", "cidr": f"10.0.10{ord(letter) - 97}.0/24", "free": 251}
    return Part(subnets=(subnet(letter, **(defaults | fields)),))


def reason(made: Plan, option: str) -> str:
    return next(one.reason for one in made.options if one.option == option)


def taken(made: Plan) -> list[str]:
    return [option.option for option in made.options if option.taken]


def test_whatever_is_taken_every_option_and_every_advice_is_told_in_the_same_order() -> None:
    for facts in (snapshot(*FULL), snapshot(*FULL, leaked_interfaces=leaked("a", "b")), snapshot(*FULL, spare())):
        result = first_plan(facts)
        assert [option.option for option in result.options] == BY_THE_PLAN + ADVICE
        assert all(option.reason for option in result.options)
        assert not any(option.taken for option in result.options[len(BY_THE_PLAN) :])


# --- Leaked ENIs


def test_given_leaked_enis_that_free_enough_then_they_are_deleted_and_nothing_else_is_done() -> None:
    result = first_plan(snapshot(*FULL, leaked_interfaces=leaked("a", "b")))
    assert (result.strategy, result.source, result.block) == ("delete-leaked-enis", "none", None)
    assert [(change.action, change.target) for change in result.changes] == [
        ("delete_leaked_eni", "eni-xa"),
        ("delete_leaked_eni", "eni-xb"),
    ]
    assert (result.heals_now, result.replace_nodes, result.subnets) == (2, (), ())
    assert [eni.id for eni in result.leaked_interfaces] == ["eni-xa", "eni-xb"]
    assert taken(result) == ["delete-leaked-enis"]
    assert "it alone does not last" in reason(result, "delete-leaked-enis")
    assert "when is not known" in reason(result, "delete-leaked-enis")


def test_given_a_forecast_then_the_reason_says_when_it_is_full_again() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    # 1 of 2 zones needs help; the other subnet loses 10 of its 20 addresses a day.
    short = zone("a", free=1, stuck=1)
    forecast = tuple(subnet.model_copy(update={"full_at": now + timedelta(days=1)}) for subnet in short.subnets)
    facts = snapshot(
        Part(short.nodes, short.pods, forecast), taken_at=now, leaked_interfaces=leaked("a", addresses=9), env={}
    )
    assert "full again after 4 more, in about 4 days" in reason(first_plan(facts), "delete-leaked-enis")


@pytest.mark.parametrize(
    ("fields", "addresses", "phrase"),
    [
        ({"cluster": "other"}, 6, "none of which says that it was this cluster's"),
        ({"cluster": None}, 6, "none of which says that it was this cluster's"),
        ({"cluster": None, "instance_id": "i-elsewhere"}, 6, "none of which says that it was this cluster's"),
        ({}, 5, "not enough for"),
    ],
    ids=["another-clusters", "nobodys", "unknown-instance", "one-too-few"],
)
def test_given_leaked_enis_that_are_not_ours_or_too_few_then_they_are_left_alone(
    fields: dict[str, Any], addresses: int, phrase: str
) -> None:
    # A t3.medium asks for all six addresses of a new ENI at once: five do not help it.
    result = first_plan(snapshot(*FULL, leaked_interfaces=leaked("a", "b", addresses=addresses, **fields)))
    assert result.strategy == "custom-networking"
    assert phrase in reason(result, "delete-leaked-enis")


def test_given_a_leaked_eni_of_an_instance_of_the_cluster_then_it_is_ours_without_the_clusters_tag() -> None:
    ours = leaked("a", cluster=None, instance_id="i-a0")
    assert first_plan(snapshot(zone("a", free=0, stuck=1), leaked_interfaces=ours)).strategy == "delete-leaked-enis"


def test_given_room_on_the_nodes_enis_then_single_addresses_are_enough() -> None:
    facts = snapshot(zone("a", free=0, stuck=2, enis=(4,)), leaked_interfaces=leaked("a", addresses=2))
    assert first_plan(facts).strategy == "delete-leaked-enis"


def test_given_two_nodes_that_compete_then_what_one_takes_is_not_counted_twice() -> None:
    hosts = Part((node("a", 0), node("a", 1)), pods(1, "node-a0") + pods(1, "node-a1"), (subnet("a", free=0),))
    assert first_plan(snapshot(hosts, leaked_interfaces=leaked("a", addresses=11))).strategy == "custom-networking"
    assert first_plan(snapshot(hosts, leaked_interfaces=leaked("a", addresses=12))).strategy == "delete-leaked-enis"


def test_given_no_pod_that_waits_yet_then_the_next_eni_must_fit_and_a_forecast_wants_more_than_a_delay() -> None:
    full = zone("a", free=0)
    assert first_plan(snapshot(full, leaked_interfaces=leaked("a", addresses=5))).strategy == "custom-networking"
    assert first_plan(snapshot(full, leaked_interfaces=leaked("a", addresses=6))).strategy == "delete-leaked-enis"
    soon = datetime(2026, 3, 2, tzinfo=UTC)
    forecast = tuple(subnet.model_copy(update={"free": 3, "full_at": soon}) for subnet in full.subnets)
    facts = snapshot(Part(full.nodes, (), forecast), taken_at=soon - timedelta(hours=5), leaked_interfaces=leaked("a"))
    assert first_plan(facts).strategy == "custom-networking"


def test_given_leaked_enis_where_the_needy_nodes_cannot_grow_then_they_do_not_help() -> None:
    facts = snapshot(zone("a", free=0, stuck=1), zone("b", free=9), leaked_interfaces=leaked("b"))
    assert "none in a subnet that the nodes in need can grow into" in reason(first_plan(facts), "delete-leaked-enis")


@pytest.mark.parametrize("lacking", ["max_enis", "addresses_per_eni"])
def test_given_a_node_of_unknown_limits_then_nothing_is_proved_and_space_is_added(lacking: str) -> None:
    facts = snapshot(
        zone("a", free=0, stuck=1, **{lacking: None, "instance_type": None}), leaked_interfaces=leaked("a")
    )
    assert first_plan(facts).strategy == "custom-networking"


def test_given_prefix_delegation_then_single_addresses_are_no_cure() -> None:
    facts = snapshot(*FULL, leaked_interfaces=leaked("a", "b", addresses=40), env=PREFIXES)
    assert "single addresses are not what is missing" in reason(first_plan(facts), "delete-leaked-enis")


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (
            PlanningOptions(strategy="custom-networking", insists=True),
            "this run asks for the strategy custom-networking",
        ),
        (PlanningOptions(block=IPv4Network("100.99.0.0/22")), "this run asks for the block 100.99.0.0/22"),
    ],
)
def test_given_a_run_that_asks_for_something_then_it_gets_that(options: PlanningOptions, phrase: str) -> None:
    facts = snapshot(*FULL, leaked_interfaces=leaked("a", "b"))
    result = first_plan(facts, options)
    assert result.strategy == "custom-networking"
    assert phrase in reason(result, "delete-leaked-enis")


def test_given_many_leaked_enis_then_the_first_are_named_and_the_rest_counted() -> None:
    many = tuple(LeakedInterface(id=f"eni-{number:03}", subnet_id="subnet-a", cluster="prod") for number in range(99))
    text = reason(first_plan(snapshot(*FULL, leaked_interfaces=many)), "delete-leaked-enis")
    assert "eni-004 and 94 more" in text
    assert "eni-005" not in text


def test_given_thousands_of_leaked_enis_then_one_plan_deletes_the_largest_and_stays_small() -> None:
    many = tuple(
        LeakedInterface(id=f"eni-{number:017x}", subnet_id="subnet-a", cluster="prod", addresses=1 + number % 50)
        for number in range(5000)
    )
    result = first_plan(snapshot(zone("a", free=0, stuck=1), leaked_interfaces=many))
    assert len(result.leaked_interfaces) == len(result.changes) == 500
    assert min(eni.addresses for eni in result.leaked_interfaces) == 46
    assert len(result.model_dump_json()) < 200_000


# --- Subnets that are there


@pytest.mark.parametrize(
    "tags",
    [{"eks-ip-remediator:pod-subnet": "prod"}, {"eks-ip-remediator:pod-subnet": "shared"}],
    ids=["of-the-cluster", "shared"],
)
def test_given_free_subnets_meant_for_pods_then_nothing_is_made(tags: dict[str, str]) -> None:
    result = first_plan(snapshot(*FULL, spare("a", tags=tags), spare("b", tags=tags)))
    assert (result.source, result.block) == ("existing-subnets", None)
    assert [(subnet.zone, subnet.id) for subnet in result.subnets] == [(az("a"), "spare-a"), (az("b"), "spare-b")]
    assert not {change.action for change in result.changes} & {"associate_cidr", "create_subnet", "tag_subnet"}
    assert result.changes[0].manifest
    assert result.changes[0].manifest["spec"] == {"subnet": "spare-a"}
    assert taken(result) == ["existing-subnet"]
    assert result.space == "10.0.100.0/24, 10.0.101.0/24"


def test_given_one_zone_with_a_subnet_then_the_other_gets_one_of_a_block_for_one() -> None:
    result = first_plan(snapshot(*FULL, spare(tags=TAGGED)))
    assert (result.source, result.block) == ("new-cidr", "100.64.0.0/16")
    assert [(subnet.zone, subnet.id, subnet.cidr) for subnet in result.subnets] == [
        (az("a"), "spare-a", "10.0.100.0/24"),
        (az("b"), None, "100.64.0.0/19"),
    ]
    assert taken(result) == ["existing-subnet", "new-cidr"]


def test_given_an_eniconfig_of_the_zone_that_no_node_selects_then_its_subnet_is_used() -> None:
    prepared = Part(eni_configs=(eni_config("a", name=f"{az('a')}-next", subnet="spare-a"), eni_config("a")))
    facts = snapshot(zone("a", free=0, stuck=1), prepared, spare(), env=CUSTOM)
    result = first_plan(facts)
    assert (result.strategy, result.source) == ("custom-networking-extension", "existing-subnets")
    assert [change.target for change in result.changes] == [az("a")]


def test_given_eniconfigs_of_the_zones_before_custom_networking_is_on_then_their_subnets_are_used() -> None:
    prepared = Part(eni_configs=tuple(eni_config(item, subnet=f"spare-{item}") for item in "ab"))
    result = first_plan(snapshot(*FULL, prepared, spare("a"), spare("b")))
    assert result.source == "existing-subnets"
    assert [change.action for change in result.changes] == ["apply_eniconfig", "apply_eniconfig", "configure_cni"]


@pytest.mark.parametrize(
    ("fields", "phrase"),
    [
        ({"free": 8}, "has 8 free addresses, 9 are needed"),
        ({"free": None}, "has an unknown number of free addresses"),
        ({"tags": {"eks-ip-remediator:pod-subnet": "other"}}, "is cluster other's"),
        ({"tags": TAGGED | {"kubernetes.io/cluster/other": "owned"}}, "is cluster other's"),
        ({"tags": TAGGED | {"cni.networking.k8s.aws/cluster/other": "shared"}}, "is cluster other's"),
        ({"tags": TAGGED | {"eks-ip-remediator:incident": "prod-1"}}, "was made by incident prod-1"),
        ({"owner_id": "2"}, "is shared by account 2"),
    ],
)
def test_given_a_subnet_that_does_not_fit_then_it_is_passed_over_with_the_reason(
    fields: dict[str, Any], phrase: str
) -> None:
    result = first_plan(snapshot(zone("a", free=0, stuck=1), spare(**({"tags": TAGGED} | fields))))
    assert taken(result) == ["new-cidr"]
    assert f"spare-a of {az('a')} {phrase}" in reason(result, "existing-subnet")


def test_given_a_subnet_that_belongs_to_several_clusters_and_this_one_then_it_is_used() -> None:
    tags = TAGGED | {"kubernetes.io/cluster/other": "shared", "kubernetes.io/cluster/prod": "shared"}
    assert first_plan(snapshot(zone("a", free=0, stuck=1), spare(tags=tags))).source == "existing-subnets"


@pytest.mark.parametrize(("prefixes", "source"), [(None, "existing-subnets"), (1, "new-cidr"), (2, "existing-subnets")])
def test_given_prefix_delegation_then_free_28s_count(prefixes: int | None, source: str) -> None:
    facts = snapshot(zone("a", free=0, stuck=1), spare(tags=TAGGED, free_prefixes=prefixes), env=PREFIXES)
    assert first_plan(facts).source == source


def test_given_several_fitting_subnets_then_the_one_with_most_free_is_taken() -> None:
    small, large = spare(tags=TAGGED, free=100), spare(id="spare-z", cidr="10.0.99.0/24", tags=TAGGED)
    assert first_plan(snapshot(zone("a", free=0, stuck=1), small, large)).subnets[0].id == "spare-z"


def test_given_a_subnet_of_another_zone_then_it_is_not_for_this_one() -> None:
    assert first_plan(snapshot(zone("a", free=0, stuck=1), spare("b", tags=TAGGED))).source == "new-cidr"


def test_given_a_subnet_without_any_sign_then_nobody_meant_it_for_pods() -> None:
    result = first_plan(snapshot(zone("a", free=0, stuck=1), spare()))
    assert "eks-ip-remediator:pod-subnet=prod" in reason(result, "existing-subnet")


# --- Blocks


def test_given_a_vpc_at_its_cidr_quota_with_a_nearly_full_cgnat_cidr_then_a_smaller_block_of_it_is_used() -> None:
    used = Part(subnets=(subnet("a", id="old", cidr="100.64.0.0/25", free=0),))
    crowded = vpc("100.64.0.0/24", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    result = first_plan(snapshot(*FULL, used, vpc=crowded, quotas=Quotas(applied=True)))
    assert (result.source, result.block) == ("existing-cidr", "100.64.0.128/25")
    assert "has room for a /25 only, and no CIDR can be added" in reason(result, "existing-cidr")
    assert [one.cidr for one in result.subnets] == ["100.64.0.128/26", "100.64.0.192/26"]


def test_given_a_cgnat_cidr_with_room_for_the_subnets_but_no_spare_share_then_no_cidr_is_added() -> None:
    # given a /22 of which the upper half is free, and two zones that want a /24 each
    half = Part(subnets=(subnet("a", id="subnet-low", cidr="100.64.0.0/23"),))
    result = first_plan(snapshot(*FULL, half, vpc=vpc("100.64.0.0/22")))
    assert (result.source, result.block) == ("existing-cidr", "100.64.2.0/23")
    assert [one.cidr for one in result.subnets] == ["100.64.2.0/24", "100.64.3.0/24"]
    # and with less than that left, a further one is
    less = Part(subnets=(subnet("a", id="subnet-more", cidr="100.64.2.0/28"),))
    assert first_plan(snapshot(*FULL, half, less, vpc=vpc("100.64.0.0/22"))).source == "new-cidr"


def test_given_no_room_even_for_the_present_nodes_then_the_quota_is_the_reason() -> None:
    used = Part(subnets=(subnet("a", id="old", cidr="100.64.0.0/25", free=0),))
    crowded = vpc("100.64.0.0/24", "10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16")
    # Two times four nodes of 18 addresses: 72 each, and a /26 has 59.
    big = (zone("a", free=0, stuck=1, nodes=4), zone("b", free=0, stuck=1, nodes=4))
    with pytest.raises(CannotPlan, match="quota is 5"):
        first_plan(snapshot(*big, used, vpc=crowded, quotas=Quotas(applied=True)))


@pytest.mark.parametrize(
    ("pool", "cidrs"),
    [
        ("100.64.0.0/16", ["100.64.0.0/19", "100.64.32.0/19"]),
        ("100.64.0.0/21", ["100.64.0.0/22", "100.64.4.0/22"]),
        ("100.64.0.0/23", ["100.64.0.0/24", "100.64.1.0/24"]),
        ("100.64.0.0/24", ["100.64.0.0/25", "100.64.0.128/25"]),
        ("100.64.0.0/26", ["100.64.0.0/27", "100.64.0.32/27"]),
    ],
    ids=["enough", "all-of-it", "without-a-spare-share", "smaller-subnets", "for-the-present-nodes"],
)
def test_given_a_small_pool_then_the_plan_makes_do_with_what_is_free(pool: str, cidrs: list[str]) -> None:
    # A node of 18 addresses in each zone: four times that is 72, once is 18, which a /27 holds.
    result = first_plan(snapshot(*FULL), PlanningOptions(pools=(IPv4Network(pool),)))
    assert [subnet.cidr for subnet in result.subnets] == cidrs
    assert ("is the most that is free in" in reason(result, "new-cidr")) is (not pool.endswith("/16"))


def test_given_more_nodes_than_the_largest_subnet_serves_then_the_plan_says_so() -> None:
    crowd = zone("a", free=0, stuck=1, nodes=1000)
    text = reason(first_plan(snapshot(crowd)), "new-cidr")
    assert text.endswith("a /18 has 16,379 addresses and a zone's nodes can hold 18,000")
    assert "can hold" not in reason(first_plan(snapshot(zone("a", free=0, stuck=1, nodes=900))), "new-cidr")


def test_given_a_pool_too_small_for_the_present_nodes_then_it_is_asked_for_all_and_has_none() -> None:
    needed = requirement(
        snapshot(*FULL), diagnose(snapshot(*FULL)), PlanningOptions(pools=(IPv4Network("100.64.0.0/27"),))
    )
    assert (needed.prefix, needed.subnet_prefix) == (16, 19)


def test_given_an_ipam_pool_then_it_gives_new_cidrs_instead_of_the_pools() -> None:
    facts = snapshot(*FULL)
    needed = requirement(facts, diagnose(facts), PlanningOptions(ipam_pool="ipam-pool-1"))
    assert (needed.source, needed.pools, needed.ipam_pool, needed.prefix) == ("ipam-pool", (), "ipam-pool-1", 22)
    result = plan(facts, diagnose(facts), needed, IPv4Network("100.70.0.0/22"))
    assert (result.ipam_pool, result.source, taken(result)) == ("ipam-pool-1", "ipam-pool", ["ipam-pool"])
    assert result.changes[0].description == "add 100.70.0.0/22 of the IPAM pool ipam-pool-1 to vpc-1"
    assert "ipam-pool-1" in reason(result, "new-cidr")


def test_given_an_ipam_pool_and_a_free_cgnat_cidr_of_the_vpc_then_that_comes_first() -> None:
    facts = snapshot(*FULL, vpc=vpc("100.64.0.0/16"))
    assert requirement(facts, diagnose(facts), PlanningOptions(ipam_pool="ipam-pool-1")).source == "existing-cidr"


def test_given_a_block_of_an_ipam_pool_that_aws_would_refuse_then_no_plan_is_made() -> None:
    facts = snapshot(*FULL)
    needed = requirement(facts, diagnose(facts), PlanningOptions(ipam_pool="ipam-pool-1"))
    with pytest.raises(CannotPlan, match="AWS bars"):
        plan(facts, diagnose(facts), needed, IPv4Network("192.168.0.0/22"))


# --- Quotas


@pytest.mark.parametrize(
    ("facts", "phrases"),
    [
        (
            {"quotas": Quotas(applied=True, routes_per_table=2)},
            ("rtb-a has 2 routes", "L-93826ACB", "--desired-value 102"),
        ),
        (
            {"quotas": Quotas(applied=True, network_address_units=101)},
            ("100 network address units, 14 more", "L-BB24F6E5"),
        ),
        (
            {"quotas": Quotas(applied=True, peered_network_address_units=193), "peered": 80},
            ("and its peers use 180 network address units, 14 more", "L-CD17FD4B", "--desired-value 386"),
        ),
        ({"quotas": Quotas(applied=True, interfaces_per_zone=1)}, ("1 network interfaces", "1 more", "L-DF5E4CA3")),
        ({"quotas": Quotas(applied=True, subnets_per_vpc=3)}, ("2 subnets, 2 more", "L-407747CB")),
    ],
    ids=["routes", "address-units", "units-of-peers", "interfaces", "subnets"],
)
def test_given_a_quota_in_the_way_then_the_refusal_has_its_code_and_the_command(
    facts: dict[str, Any], phrases: tuple[str, ...]
) -> None:
    peer = Peering(id="pcx-1", status="active", vpc_id="vpc-2", network_address_units=facts.get("peered"))
    busy = _busy().model_copy(update={"peerings": (peer,)})
    with pytest.raises(CannotPlan) as caught:
        first_plan(snapshot(*FULL, vpc=busy, quotas=facts["quotas"]))
    assert all(words in str(caught.value) for words in phrases)
    assert "aws service-quotas request-service-quota-increase --service-code vpc --quota-code" in str(caught.value)
    assert caught.value.alternatives


def test_given_the_local_routes_in_a_hand_written_document_then_they_are_not_counted_twice() -> None:
    local = Route(destination="10.0.0.0/16", target="local", route_table="rtb-a")
    busy = _busy()
    facts = busy.model_copy(update={"routes": (local, *busy.routes)})
    room = Quotas(applied=True, routes_per_table=3)
    assert first_plan(snapshot(*FULL, vpc=facts, quotas=room)).source == "new-cidr"


# --- AddressSource of the VPC's own CIDRs


def test_given_space_that_no_subnet_has_then_the_commands_that_offer_it_are_told_beside_plan_and_refusal() -> None:
    advice = (
        "unused space of the VPC, if it is not reserved for others: aws ec2 create-subnet --vpc-id "
        f"vpc-1 --availability-zone {az('a')} --cidr-block 10.0.2.0/24 --tag-specifications "
        "'ResourceType=subnet,Tags=[{Key=eks-ip-remediator:pod-subnet,Value=prod}]' "
        f"(likewise 10.0.3.0/24 in {az('b')}); route table rtb-a"
    )
    assert advice in first_plan(snapshot(*FULL)).alternatives
    with pytest.raises(CannotPlan) as caught:
        first_plan(snapshot(*FULL, quotas=Quotas(applied=True, cidrs_per_vpc=1)))
    assert caught.value.alternatives[0] == advice


def test_given_what_was_offered_then_the_next_plan_uses_it() -> None:
    made = Part(
        subnets=tuple(
            subnet(letter, id=f"subnet-{letter}2", cidr=cidr, free=251, tags={"eks-ip-remediator:pod-subnet": "prod"})
            for letter, cidr in (("a", "10.0.2.0/24"), ("b", "10.0.3.0/24"))
        )
    )
    assert first_plan(snapshot(*FULL, made, vpc=vpc(subnet_count=4))).source == "existing-subnets"


@pytest.mark.parametrize(
    "full_vpc",
    [
        vpc(subnet_count=3),
        vpc(subnet_count=None),
        vpc(cidrs=(VpcCidr(cidr="10.0.0.0/23"),)),
        vpc(cidrs=(VpcCidr(cidr="10.0.0.0/23"), VpcCidr(cidr="100.64.0.0/16"))),
        vpc(cidrs=(VpcCidr(cidr="10.0.0.0/16", state="disassociating"),)),
    ],
    ids=["unread subnets", "unknown number", "full", "cg-nat", "going"],
)
def test_given_no_space_that_is_surely_free_then_none_is_offered(full_vpc: Vpc) -> None:
    assert not any("create-subnet" in text for text in first_plan(snapshot(*FULL, vpc=full_vpc)).alternatives)


def _busy() -> Vpc:
    route = Route(destination="192.168.0.0/24", target="tgw-1", route_table="rtb-a")
    return vpc(routes=(route,), network_address_units=100)


def test_given_awss_defaults_that_are_exceeded_already_then_they_were_raised_and_refuse_nothing() -> None:
    crowded = vpc(*(f"10.{number}.0.0/16" for number in range(1, 7)), subnet_count=900, network_address_units=90_000)
    assert first_plan(snapshot(*FULL, vpc=crowded)).source == "new-cidr"
    with pytest.raises(CannotPlan, match=r"900 subnets.* --desired-value 902"):
        first_plan(snapshot(*FULL, vpc=crowded, quotas=Quotas(applied=True)))


def test_given_quotas_with_room_for_exactly_this_then_there_is_a_plan() -> None:
    # Each of the two hosts attaches an ENI with six addresses.
    units = 100 + 2 * (1 + 6)
    room = Quotas(
        applied=True,
        cidrs_per_vpc=2,
        subnets_per_vpc=4,
        routes_per_table=3,
        network_address_units=units,
        interfaces_per_zone=4,
    )
    assert first_plan(snapshot(*FULL, vpc=_busy(), quotas=room)).source == "new-cidr"


def test_given_prefixes_then_each_is_one_network_address_unit() -> None:
    facts = snapshot(*FULL, env=PREFIXES, vpc=_busy(), quotas=Quotas(applied=True, network_address_units=100 + 2 * 3))
    assert first_plan(facts).source == "new-cidr"


@pytest.mark.parametrize(
    ("quotas", "offers"),
    [
        ({"network_address_units": 101}, set[str]()),
        ({"interfaces_per_zone": 1}, set[str]()),
        ({"subnets_per_vpc": 2}, {"idle", "used"}),
        ({"cidrs_per_vpc": 1}, {"idle", "used", "create-subnet"}),
    ],
    ids=["address units", "interfaces", "subnets", "cidrs"],
)
def test_given_a_quota_that_is_used_up_then_nothing_is_offered_that_it_refuses_as_well(
    quotas: dict[str, int], offers: set[str]
) -> None:
    # An address of a subnet that is there is a unit, and its ENI an ENI, like one of a new CIDR.
    idle = Part(subnets=(subnet("a", id="idle", cidr="10.0.60.0/24", free=200),))
    used = subnet("a", id="used", cidr="10.0.70.0/24", free=200)
    beside = Part((node("a", 9, home="used"),), (), (used,))
    limited = _busy().model_copy(update={"subnet_count": 2})
    facts = snapshot(*FULL, idle, beside, vpc=limited, quotas=Quotas(applied=True, **quotas))
    with pytest.raises(CannotPlan) as caught:
        first_plan(facts)
    alternatives = " ".join(caught.value.alternatives)
    assert {word for word in ("idle", "used", "create-subnet") if word in alternatives} == offers
    assert "delete ENIs that nobody uses" in alternatives or offers


@pytest.mark.parametrize(
    ("tags", "used"),
    [
        ({"cni.networking.k8s.aws/cluster/prod": "shared"}, True),
        ({"kubernetes.io/role/pod": "1"}, True),
        ({"kubernetes.io/role/pod": "0"}, False),
        ({"kubernetes.io/role/cni": "0", "kubernetes.io/role/pod": "1"}, False),
        ({"cni.networking.k8s.aws/cluster/other": "shared"}, False),
        ({"kubernetes.io/role/pod": "1", "kubernetes.io/cluster/other": "owned"}, False),
        ({"kubernetes.io/cluster/prod": "shared"}, False),
    ],
)
@pytest.mark.parametrize("strategy", ["custom-networking", "subnet-discovery"])
def test_given_a_tag_that_says_for_pods_then_the_subnet_is_used_unless_it_is_another_clusters(
    tags: dict[str, str], used: bool, strategy: RequestedStrategy
) -> None:
    made = first_plan(snapshot(zone("a", stuck=1), spare("a", tags=tags)), PlanningOptions(strategy=strategy))
    assert [subnet.id == "spare-a" for subnet in made.subnets] == [used]


def test_given_pods_that_were_counted_then_warm_targets_tell_what_nodes_surely_give_back() -> None:
    # The nodes have their primary ENI alone, and it lies idle.
    calm = [node("a", index, pods=1) for index in range(1, 4)]
    facts = snapshot(Part((node("a", pods=5), *calm), pods(2, "node-a0"), (subnet("a", free=0),)))
    made = first_plan(facts)
    [warm] = [option for option in made.options if option.option == "reclaim-warm"]
    assert warm.advice
    assert not warm.taken
    surely = first_plan(facts, PlanningOptions(strategy="reclaim-warm", insists=True)).frees
    assert f"frees at least {surely['subnet-a']} addresses of subnet-a" in warm.reason
    # where they were not counted, nobody knows
    uncounted = facts.model_copy(update={"nodes": tuple(one.model_copy(update={"pods": None}) for one in facts.nodes)})
    assert "is not known, for their pods were not counted" in reason(first_plan(uncounted), "reclaim-warm")


def test_given_spare_enis_only_where_addresses_are_not_short_then_warm_targets_are_no_advice() -> None:
    facts = snapshot(zone("a", stuck=1), zone("b", free=90, enis=(6, 6)))
    [warm] = [option for option in first_plan(facts).options if option.option == "reclaim-warm"]
    assert not warm.advice
    assert "where they are short" in warm.reason


def test_given_nobody_waits_then_what_is_promised_depends_on_what_present_nodes_can_take() -> None:
    def expected(**of_node: Any) -> str:
        facts = snapshot(
            Part((node("a", enis=(1,), **of_node),), (), (subnet("a", free=9), POD_SUBNET), CONFIG), env=CUSTOM
        )
        return first_plan(facts).expectation

    assert expected() == "no pod waits yet: the next ones find addresses"
    on_new = "no pod waits yet, and no present node can take a further ENI: the next pods find addresses on new nodes"
    assert expected(max_enis=1) == on_new
    assert expected(unschedulable=True) == on_new


def test_given_strategies_that_touch_every_zone_then_discovery_is_offered_with_what_it_spares() -> None:
    facts = snapshot(zone("a", stuck=1), zone("b", free=90), zone("c", free=90))
    for strategy in ("custom-networking", "node-group"):
        first, *_ = first_plan(facts, PlanningOptions(strategy=strategy)).alternatives
        assert f"it touches {az('a')} alone and spares {az('b')}, {az('c')}" in first
    branches = facts.model_copy(update={"cni": facts.cni.model_copy(update={"env": {"ENABLE_POD_ENI": "true"}})})
    assert "it moves no branch ENI" in first_plan(branches).alternatives[0]


@pytest.mark.parametrize(("free", "used"), [(251, True), (238, False)])
def test_given_an_empty_subnet_for_pods_whose_prefixes_nobody_counted_then_they_follow_from_what_is_free(
    free: int, used: bool
) -> None:
    # 14 whole /28 in an empty /24; thirteen used addresses may have spoilt as many, and two are needed.
    facts = snapshot(zone("a", stuck=1, nodes=4), spare("a", tags=TAGGED, free=free), env=PREFIXES)
    assert [subnet.id == "spare-a" for subnet in first_plan(facts).subnets] == [used]


@pytest.mark.parametrize(("prefixes", "offered"), [(0, False), (3, True), (None, True)])
def test_given_prefix_delegation_then_a_sibling_is_offered_only_with_whole_prefixes(
    prefixes: int | None, offered: bool
) -> None:
    home = subnet("a", id="used", cidr="10.0.70.0/24", free=100, free_prefixes=prefixes)
    beside = Part((node("a", 9, home="used"),), (), (home,))
    facts = snapshot(zone("a", stuck=1), beside, env=PREFIXES)
    assert ("used of" in reason(first_plan(facts), "sibling-subnet")) == offered


@pytest.mark.parametrize(("max_pods", "helps"), [(17, True), (12, False)])
def test_given_karpenters_nodes_then_reserved_enis_is_advice_unless_their_max_pods_tells_that_it_is_set(
    max_pods: int, helps: bool
) -> None:
    karpenter = Cluster(name="prod", vpc_id="vpc-1", karpenter=True)
    facts = snapshot(zone("a", stuck=1, provisioner="karpenter", max_pods=max_pods), cluster=karpenter)
    [option] = [option for option in first_plan(facts).options if option.option == "reserved-enis"]
    assert option.advice == helps


def test_given_labels_are_all_that_lacks_then_no_space_is_offered() -> None:
    facts = Snapshot.model_validate_json((FOLDER / "eniconfig_missing/labels-are-all-that-lacks.json").read_text())
    with pytest.raises(CannotPlan) as caught:
        first_plan(facts)
    assert [text.split(" ")[0] for text in caught.value.alternatives] == ["ENIConfig", "ENIConfig"]


def test_given_quotas_in_the_way_of_space_when_leaked_enis_are_enough_then_they_do_not_matter() -> None:
    none = Quotas(applied=True, cidrs_per_vpc=1, subnets_per_vpc=1, network_address_units=1, interfaces_per_zone=1)
    facts: Snapshot = snapshot(*FULL, leaked_interfaces=leaked("a", "b"), quotas=none, vpc=_busy())
    assert first_plan(facts).strategy == "delete-leaked-enis"


def test_given_subnets_that_are_there_when_subnets_are_at_their_quota_then_they_are_used() -> None:
    facts = snapshot(
        *FULL, spare("a", tags=TAGGED), spare("b", tags=TAGGED), quotas=Quotas(applied=True, subnets_per_vpc=2)
    )
    assert first_plan(facts).source == "existing-subnets"


# --- Sizing


def test_given_a_forecast_that_outgrows_the_factor_then_the_subnet_lasts_half_a_year() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    part = zone("a", free=10, stuck=0, nodes=1)
    falling = tuple(subnet.model_copy(update={"full_at": now + timedelta(days=2)}) for subnet in part.subnets)
    facts = snapshot(
        Part(part.nodes, part.pods, falling),
        zone("b", free=0, stuck=1),
        taken_at=now,
        cluster=Cluster(name="prod", vpc_id="vpc-1"),
    )
    # Five a day for 180 days, beside 18 that the node can hold: 918, which a /22 holds and a /23 does not.
    assert requirement(facts, diagnose(facts), PlanningOptions(as_needed=True)).subnet_prefix == 22


# --- Advice


@pytest.mark.parametrize(
    ("env", "enis", "phrase"),
    [
        ({}, (6, 6), "hold back up to 6 addresses on a spare ENI each; WARM_IP_TARGET=2 MINIMUM_IP_TARGET=7"),
        ({}, (6,), "no node has a spare ENI now"),
        ({"WARM_IP_TARGET": "5"}, (6, 6), "WARM_IP_TARGET=5 is set"),
        ({"WARM_ENI_TARGET": "0"}, (6, 6), "WARM_ENI_TARGET=0 is set"),
        (PREFIXES, (6, 6), "WARM_PREFIX_TARGET decides"),
    ],
)
def test_given_warm_targets_then_the_advice_counts_what_they_hold_back(
    env: dict[str, str], enis: tuple[int, ...], phrase: str
) -> None:
    facts = snapshot(zone("a", free=0, stuck=1), zone("b", free=0, enis=enis), env=env)
    assert phrase in reason(first_plan(facts), "reclaim-warm")


def test_given_max_pods_beyond_what_custom_networking_leaves_then_the_advice_computes_it() -> None:
    assert "max-pods is 17 and the ENIs of t3.medium hold 12 pods (custom networking keeps the primary ENI" in reason(
        first_plan(snapshot(*FULL)), "max-pods"
    )
    discovered = first_plan(snapshot(*FULL), PlanningOptions(strategy="subnet-discovery"))
    assert "no node's max-pods exceeds" in reason(discovered, "max-pods")


@pytest.mark.parametrize(
    ("karpenter", "phrase"),
    [(True, "set RESERVED_ENIS=1"), (False, "does not use Karpenter"), (None, "is not known")],
)
def test_given_karpenter_or_not_then_reserved_enis_is_advised_or_not(karpenter: bool | None, phrase: str) -> None:
    facts = snapshot(*FULL, cluster=Cluster(name="prod", vpc_id="vpc-1", karpenter=karpenter))
    assert phrase in reason(first_plan(facts), "reserved-enis")


# --- Quotas of zones, and routes that propagate


def test_given_interfaces_spread_over_zones_then_each_zone_has_the_quota() -> None:
    # given two zones of which neither is full, though both together are over the quota
    crowd = (zone("a", free=0, stuck=1, nodes=4), zone("b", free=0, stuck=1, nodes=4))
    assert first_plan(snapshot(*crowd, quotas=Quotas(applied=True, interfaces_per_zone=5)))
    with pytest.raises(CannotPlan, match=rf"4 network interfaces in {az('a')}, 1 more"):
        first_plan(snapshot(*crowd, quotas=Quotas(applied=True, interfaces_per_zone=4)))


def test_given_propagated_routes_then_they_do_not_count_against_the_routes_of_the_table() -> None:
    learnt = tuple(
        Route(destination=f"192.168.{n}.0/24", target="vgw-1", route_table="rtb-a", propagated=True) for n in range(90)
    )
    full = Quotas(applied=True, routes_per_table=50)
    assert first_plan(snapshot(*FULL, vpc=vpc(routes=learnt), quotas=full)).source == "new-cidr"
    own = tuple(route.model_copy(update={"propagated": False}) for route in learnt)
    with pytest.raises(CannotPlan, match="91 routes"):
        first_plan(snapshot(*FULL, vpc=vpc(routes=own), quotas=full))


# --- Subnets that people made, that others use, and that are another cluster's


def test_given_subnets_made_for_pods_then_the_present_need_decides_and_not_four_times_the_most() -> None:
    # given 60 nodes of 18 addresses at most, of which each holds 6
    many = zone("a", free=0, stuck=21, nodes=60)
    made = first_plan(snapshot(many, spare(tags=TAGGED, cidr="10.0.96.0/21", free=2000)))
    assert made.source == "existing-subnets"
    assert "has 2,000 free addresses for 381 now, less long than a new subnet" in reason(made, "existing-subnet")
    # and it is passed over where it would be short again at once
    assert first_plan(snapshot(many, spare(tags=TAGGED, free=251))).source == "new-cidr"


def test_given_a_roomy_subnet_that_other_nodes_of_the_zone_use_then_the_command_is_told_before_a_new_cidr() -> None:
    other = Part((node("a", 5, home="subnet-z"),), (), (subnet("a", id="subnet-z", cidr="10.0.40.0/24", free=180),))
    made = first_plan(snapshot(zone("a", free=0, stuck=1), other))
    names = [option.option for option in made.options]
    assert names.index("sibling-subnet") < names.index("new-cidr")
    assert "aws ec2 create-tags --resources subnet-a subnet-z" in reason(made, "sibling-subnet")
    # but not with the tags of another cluster, nor too small for what the node asks for at once
    for fields in ({"tags": {"kubernetes.io/cluster/other": "owned"}}, {"free": 5}):
        kept = other.subnets[0].model_copy(update=fields)
        text = reason(
            first_plan(snapshot(zone("a", free=0, stuck=1), Part(other.nodes, (), (kept,)))), "sibling-subnet"
        )
        assert "subnet-z" not in text


def test_given_reservations_then_what_they_keep_from_nodes_does_not_count_as_free() -> None:
    # given a node whose ENI takes six addresses, and subnets with 100 free ones of which half are reserved
    half = (SubnetReservation(cidr="10.0.100.0/26", kind="explicit"),)
    full = zone("a", free=0, stuck=1)

    # then a subnet for pods has the rest, and is passed over when that is too little
    made = first_plan(snapshot(full, spare(tags=TAGGED, free=100, reservations=half)))
    assert "spare-a of" in reason(made, "existing-subnet")
    assert "has 36 free addresses for" in reason(made, "existing-subnet")
    made = first_plan(snapshot(full, spare(tags=TAGGED, free=66, reservations=half)))
    assert "has 2 free addresses beside its reservations" in reason(made, "existing-subnet")
    assert made.source == "new-cidr"

    # and of two subnets the one with more left is chosen, though EC2 counts more in the other
    two = (spare(tags=TAGGED, free=100, reservations=half), spare(tags=TAGGED, free=60, id="b", cidr="10.0.101.0/24"))
    assert [subnet.id for subnet in first_plan(snapshot(full, *two)).subnets] == ["b"]


@pytest.mark.parametrize(("kind", "offered"), [("explicit", False), ("prefix", False), (None, True)])
def test_given_reservations_in_a_sibling_subnet_then_it_is_not_offered_for_what_they_hold(
    kind: Any, offered: bool
) -> None:
    # given another subnet of the zone with 70 free addresses, of which a /26 may be reserved
    reserved = (SubnetReservation(cidr="10.0.40.64/26", kind=kind),) if kind else ()
    sibling = subnet("a", id="subnet-z", cidr="10.0.40.0/24", free=70, reservations=reserved)
    other = Part((node("a", 5, home="subnet-z"),), (), (sibling,))

    # then it is offered only where nothing is reserved
    offer = reason(first_plan(snapshot(zone("a", free=0, stuck=1), other)), "sibling-subnet")
    assert ("subnet-z" in offer) is offered


@pytest.mark.parametrize("tag", ["kubernetes.io/cluster/other", "cni.networking.k8s.aws/cluster/other"])
def test_given_an_idle_subnet_of_another_cluster_then_no_command_offers_it(tag: str) -> None:
    free = subnet("a", id="subnet-idle", cidr="10.0.50.0/24", free=200)
    offered = first_plan(snapshot(zone("a", free=0, stuck=1), Part(subnets=(free,)))).alternatives
    assert any("subnet-idle" in item for item in offered)
    theirs = free.model_copy(update={"tags": {tag: "owned"}})
    made = first_plan(snapshot(zone("a", free=0, stuck=1), Part(subnets=(theirs,))))
    assert not any("--resources subnet-idle" in item for item in made.alternatives)


# --- Warm targets, and prefixes where they are possible


def test_given_warm_enis_on_nodes_then_the_option_before_a_new_cidr_says_what_they_free_and_how() -> None:
    # given three nodes that keep an ENI of 6 warm in the subnet in which a fourth one is stuck
    calm = Part(tuple(node("a", number, enis=(6, 6)) for number in range(1, 4)))
    made = first_plan(snapshot(zone("a", free=0, stuck=1), calm))
    names = [option.option for option in made.options]
    assert names.index("reclaim-warm") < names.index("new-cidr")
    text = reason(made, "reclaim-warm")
    assert f"up to 12 become free in {az('a')}, enough for the 6 that its nodes ask for" in text
    assert "kubectl -n kube-system set env daemonset/aws-node WARM_IP_TARGET=2 MINIMUM_IP_TARGET=" in text
    assert "EC2 call" in text
    addon = first_plan(snapshot(zone("a", free=0, stuck=1), calm, cni=Cni(owner="addon", version="v1.19.0")))
    assert "aws eks update-addon --cluster-name prod --addon-name vpc-cni" in reason(addon, "reclaim-warm")


def test_given_instances_that_cannot_have_prefixes_then_the_advice_says_on_which() -> None:
    xen, nitro = (
        zone(letter, free=0, stuck=1, instance_type=kind) for letter, kind in (("a", "t2.micro"), ("b", "m5.large"))
    )
    assert "t2.micro cannot have prefixes" in reason(first_plan(snapshot(xen)), "prefix-delegation")
    text = reason(first_plan(snapshot(xen, nitro)), "prefix-delegation")
    assert "ENABLE_PREFIX_DELEGATION=true" in text
    assert "not on t2.micro" in text
