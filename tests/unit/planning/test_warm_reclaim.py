"""Nodes give back what they keep warm: what is promised of it, held against the simulator's ipamd."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import event, given, note
from hypothesis import strategies as st

from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.planning import warm_reclaim
from ip_remediator.planning.model import Plan
from ip_remediator.planning.options import PlanningOptions
from ip_remediator.planning.preconditions import CannotPlan
from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cni, ManagedAddon
from local.cluster.ipamd.settings import NodeLimits
from tests.unit.support.facts import PREFIXES, Part, node, pods, snapshot, subnet
from tests.unit.support.ipamd_world import Host, Range, World
from tests.unit.support.plans import first_plan

WARM = PlanningOptions(strategy="reclaim-warm", insists=True)


def spare(letter: str = "a", number: int = 5, *, running: int | None = 2) -> Part:
    """A node with a spare ENI: 10 addresses for pods, of which pods have `running`."""
    return Part((node(letter, number, enis=(6, 6), pods=running),))


def short(letter: str = "a") -> Part:
    host = node(letter, pods=5)
    return Part((host,), pods(2, host.name), (subnet(letter, free=0),))


def taken(plan: Plan) -> dict[str, str]:
    return {option.option: option.reason for option in plan.options if option.taken}


def test_given_spare_enis_when_asked_for_then_the_plan_lowers_the_targets_and_says_what_it_frees_and_costs() -> None:
    made = first_plan(snapshot(short(), spare(), spare(number=6)), WARM)
    assert (made.strategy, made.source, made.block, made.subnets) == ("reclaim-warm", "none", None, ())
    # Each keeps 4 of its 10 addresses: those of the 2 pods that such nodes run, and 2 ready.
    assert made.settings == {"WARM_IP_TARGET": "2", "MINIMUM_IP_TARGET": "4"}
    assert made.frees == {"subnet-a": 12}
    assert made.heals_now == 2
    assert made.expectation == "heals 2 of 2 pods now; frees at least 12 addresses of subnet-a"
    assert [change.action for change in made.changes] == ["configure_cni"]
    assert "EC2 call" in made.strategy_reason
    assert "temporary" in made.strategy_reason
    assert list(taken(made)) == ["reclaim-warm"]


def test_given_auto_then_it_is_taken_only_where_a_parameter_allows_it_and_it_serves_every_pod() -> None:
    facts = snapshot(short(), spare(), spare(number=6))
    auto = PlanningOptions(strategy="auto")
    assert first_plan(facts, auto).strategy == "subnet-discovery"
    allowed = PlanningOptions(strategy="auto", may_reclaim_warm=True)
    assert first_plan(facts, allowed).strategy == "reclaim-warm"
    # One spare ENI frees too little for a new ENI and its pods; and another zone is short as well.
    assert first_plan(snapshot(short(), spare(running=8)), allowed).strategy == "subnet-discovery"
    assert first_plan(snapshot(short(), short("b"), spare(), spare(number=6)), allowed).strategy == "subnet-discovery"
    # Another strategy is as asked for.
    named = PlanningOptions(strategy="custom-networking", may_reclaim_warm=True)
    assert first_plan(facts, named).strategy == "custom-networking"


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"env": PREFIXES}, "single addresses are not what is missing|prefixes are handed out"),
        ({"env": {"WARM_IP_TARGET": "3"}}, "WARM_IP_TARGET=3 is set"),
        ({"env": {"WARM_ENI_TARGET": "0"}}, "WARM_ENI_TARGET=0 is set"),
        ({"cni": Cni(version="v1.23.1", owner="helm", owned_by="Helm release cni")}, "Helm release cni"),
        (
            {"cni": Cni(version="v1.23.1", owner="addon", addon=ManagedAddon(lacks=("MINIMUM_IP_TARGET",)))},
            "cannot take these variables",
        ),
    ],
    ids=["prefixes", "target set", "no spare", "Helm", "schema"],
)
def test_given_it_cannot_be_done_then_the_refusal_says_why(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(CannotPlan, match=why) as refused:
        first_plan(snapshot(short(), spare(), **fields), WARM)
    assert refused.value.alternatives


def test_given_the_pods_of_nodes_were_not_counted_then_nothing_is_promised() -> None:
    with pytest.raises(CannotPlan, match="how many pods run on node-a5 was not read"):
        first_plan(snapshot(short(), spare(running=None)), WARM)
    with pytest.raises(CannotPlan, match="no node keeps addresses over that"):
        first_plan(snapshot(short(), spare(running=10)), WARM)


def test_given_a_spare_eni_in_another_subnet_then_only_what_surely_lies_in_the_short_one_counts() -> None:
    split = node("a", 5, enis=(6, 6), pods=3)
    there, elsewhere = split.interfaces
    moved = elsewhere.model_copy(update={"subnet_id": "subnet-x"})
    apart = split.model_copy(update={"interfaces": (there, moved)})
    beside = Part((apart,), (), (subnet("a", id="subnet-x", cidr="10.0.70.0/24", free=100),))
    # It gives back 5 of 10, perhaps all of them elsewhere.
    with pytest.raises(CannotPlan, match="no node keeps addresses over that"):
        first_plan(snapshot(short(), beside), WARM)


def test_given_nodes_with_less_than_the_targets_then_what_they_ask_for_is_taken_off() -> None:
    with_less = Part((node("a", 9, enis=(3,), pods=2),))
    alone = first_plan(snapshot(short(), spare(), spare(number=6)), WARM)
    beside = first_plan(snapshot(short(), spare(), spare(number=6), with_less), WARM)
    assert beside.settings == alone.settings
    assert beside.frees["subnet-a"] == alone.frees["subnet-a"] - 2


# --- Against the simulator's ipamd


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """One subnet that is full or nearly so, and nodes that keep warm ENIs."""
    home = Range("subnet-home", IPv4Network(f"10.0.0.0/{draw(st.sampled_from((27, 26)))}"))
    target = draw(st.sampled_from([{}, {}, {"WARM_ENI_TARGET": "2"}]))
    hosts = [
        Host(f"node-{n}", home.id, NodeLimits(draw(st.integers(2, 4)), draw(st.integers(2, 6)), 110), 0)
        for n in range(draw(st.integers(2, 4)))
    ]
    world = World([home], hosts, {"CLUSTER_NAME": "shop", **target})
    world.settle()  # the pools fill while no pod runs
    for host in hosts:
        host.pods = draw(st.integers(0, 10))
    world.settle()
    return world


def addresses_by_subnet(facts: Snapshot, names: set[str]) -> Counter[str]:
    addresses = Counter[str]()
    for host in facts.nodes:
        if host.name in names:
            for eni in host.interfaces:
                addresses[eni.subnet_id] += eni.addresses
    return addresses


@given(worlds())
def test_given_a_world_at_rest_when_the_targets_are_lowered_then_at_least_what_was_promised_comes(world: World) -> None:
    # given
    before, facts = world.stuck(), world.snapshot()
    warm = warm_reclaim.examine(facts, diagnose(facts))
    event(f"refused: {warm.refusal is not None}, enough: {warm.enough}")
    if warm.refusal is not None:
        return
    note(f"{warm} {[(host.pods, *(eni.addresses for eni in host.interfaces)) for host in facts.nodes]} {before}")

    # when
    world.env.update(warm.settings)
    world.restart()
    world.settle()

    # then
    healed = sum(before.values()) - sum(world.stuck().values())
    assert healed >= warm.heals
    calm = {host.name for host in world.hosts} - before.keys()
    freed = addresses_by_subnet(facts, calm)
    freed.subtract(addresses_by_subnet(world.snapshot(), calm))
    assert all(freed[id_] >= promised for id_, promised in warm.frees.items()), (freed, warm)


def test_given_spare_enis_beside_a_full_node_then_every_pod_gets_the_address_that_was_promised() -> None:
    home = Range("subnet-home", IPv4Network("10.0.0.0/26"))
    hosts = [Host(f"node-{n}", home.id, NodeLimits(3, 5, 110), min(n, 1)) for n in range(5)]
    world = World([home], hosts, {"CLUSTER_NAME": "shop"})
    world.settle()
    hosts[0].pods = 8
    world.settle()
    waiting = sum(world.stuck().values())
    assert waiting == 3
    facts = world.snapshot()
    warm = warm_reclaim.examine(facts, diagnose(facts))
    assert warm.refusal is None
    assert warm.heals == waiting
    assert warm.enough
    world.env.update(warm.settings)
    world.restart()
    world.settle()
    assert waiting - sum(world.stuck().values()) >= warm.heals
