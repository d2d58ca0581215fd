"""A second opinion on the room of a node: the simulator's ipamd restates the CNI's source by itself.

Nodes are needy, so every address for pods that they have is in use.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import count

from hypothesis import event, given
from hypothesis import strategies as st

from ip_remediator.snapshot.model import Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, NetworkInterface, Node
from ip_remediator.snapshot.model_vpc import Subnet
from ip_remediator.snapshot.node_room import instance_limits as table
from ip_remediator.snapshot.node_room.limits import free_slots, pods_that_fit, uses_prefixes
from ip_remediator.snapshot.node_room.pools import (
    Hindrance,
    addresses_of_new_eni,
    hindrance,
    prefixes_of_new_eni,
    room_on,
    serving_interfaces,
)
from local.cluster.ipamd import decisions
from local.cluster.ipamd.limits import instance_limits as simulated_limits
from local.cluster.ipamd.pool import Eni, Pool
from local.cluster.ipamd.settings import NodeLimits, cni_settings
from tests.support.properties import examples

MANY_PODS = 10_000
SUBNET = "subnet-a"


@dataclass(frozen=True)
class Twin:
    """One node, as the product's snapshot and as the simulator's pool have it."""

    node: Node
    env: dict[str, str]
    pool: Pool
    limits: NodeLimits

    @property
    def snapshot(self) -> Snapshot:
        subnet = Subnet(id=SUBNET, zone="eu-west-1a", cidr="10.0.0.0/16", free=60_000)
        return Snapshot(cluster=Cluster(name="shop"), cni=Cni(env=self.env), nodes=(self.node,), subnets=(subnet,))


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    flags = {
        name: draw(st.sampled_from(["true", "1", "T", "false", "0", "yes", ""]))
        for name in ("ENABLE_POD_ENI", "ENABLE_PREFIX_DELEGATION", "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG",
                     "AWS_MANAGE_ENIS_NON_SCHEDULABLE")
    }  # fmt: skip
    names = ("MAX_ENI", "WARM_IP_TARGET", "MINIMUM_IP_TARGET", "WARM_PREFIX_TARGET", "WARM_ENI_TARGET")
    numbers = {name: draw(st.sampled_from(["", "0", "1", "2", "3", "7", "20", "-1", "+2", "x"])) for name in names}
    return {name: value for name, value in (flags | numbers).items() if value}


@st.composite
def twins(draw: st.DrawFn) -> Twin:
    env, numbers = draw(environments()), count(1)
    of_type, slots = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    supported = draw(st.booleans())
    prefixes = cni_settings(env).prefix_delegation and supported
    kinds = draw(st.lists(st.sampled_from(["pods", "pods", "unmanaged", "efa-only", "other-card"]), max_size=4))
    kinds = ["primary", *kinds, *draw(st.sampled_from([[], ["trunk"]]))]
    pool, interfaces, unmanaged = Pool(prefixes=prefixes), [], 0
    for index, kind in enumerate(kinds):
        used = draw(st.integers(0, slots)) if kind in ("primary", "pods") else 0
        cidrs = [_cidr(next(numbers), 28 if prefixes else 32) for _ in range(used)]
        eni = f"eni-{index}"
        interfaces.append(
            NetworkInterface(
                id=eni, subnet_id=SUBNET, primary=kind == "primary", addresses=1 + (0 if prefixes else used),
                prefixes=used if prefixes else 0, network_card=int(kind == "other-card"), unmanaged=kind == "unmanaged",
                interface_type=kind if kind in ("trunk", "efa-only") else "interface",
            )
        )  # fmt: skip
        unmanaged += kind in ("unmanaged", "efa-only")
        if kind in ("primary", "pods", "trunk"):
            pool.enis[eni] = Eni(eni, kind == "primary", index, SUBNET, cidrs=cidrs, trunk=kind == "trunk")
            pool.assigned |= {address: f"pod-{address}" for cidr in cidrs for address in cidr}
    chosen = cni_settings(env).max_eni
    limit = min(of_type, chosen) if chosen >= 1 else of_type
    node = Node(
        name="n", zone="eu-west-1a", default_card_enis=of_type, addresses_per_eni=slots + 1,
        supports_prefixes=supported,
        unschedulable=draw(st.booleans()), interfaces=tuple(interfaces),
    )  # fmt: skip
    return Twin(node, env, pool, NodeLimits(limit, slots, MANY_PODS, unmanaged, prefixes_supported=supported))


def _cidr(number: int, length: int) -> IPv4Network:
    return IPv4Network((int(IPv4Address("10.0.0.0")) + 16 * number, length))


many = examples(4)


@many
@given(twins())
def test_given_any_node_then_it_has_a_free_slot_exactly_where_ipamd_has_room_for_an_eni(twin: Twin) -> None:
    slots = free_slots(twin.snapshot.cni, twin.node)
    event(f"{min(slots or 0, 2)} slots")
    assert bool(slots) == decisions.has_room_for_eni(twin.pool, cni_settings(twin.env), twin.limits)


@many
@given(twins())
def test_given_any_node_then_ipamd_asks_exactly_where_no_hindrance_is_named(twin: Twin) -> None:
    snapshot, chosen = twin.snapshot, cni_settings(twin.env)
    result = hindrance(snapshot, twin.node)
    low = decisions.is_too_low(twin.pool, twin.pool.stats(0), chosen, twin.limits)
    asks = low and decisions.may_attach(chosen, cordoned=twin.node.unschedulable)
    event(str(result))
    assert (result is None) == asks
    assert (result is Hindrance.MINIMUM_IP_TARGET) == (not low)


@many
@given(twins())
def test_given_any_node_then_its_enis_with_room_and_its_chunks_are_ipamds(twin: Twin) -> None:
    snapshot, chosen = twin.snapshot, cni_settings(twin.env)
    if hindrance(snapshot, twin.node) is Hindrance.MINIMUM_IP_TARGET:
        return
    stats = twin.pool.stats(0)
    with_room = [eni.id for eni in serving_interfaces(snapshot, twin.node) if room_on(twin.node, eni)]
    assert with_room == [id_ for id_, _ in decisions.on_existing_enis(twin.pool, stats, chosen, twin.limits)]
    units = decisions.on_new_eni(twin.pool, stats, chosen, twin.limits)
    if uses_prefixes(snapshot.cni, twin.node):
        assert prefixes_of_new_eni(snapshot, twin.node) == units
        assert addresses_of_new_eni(snapshot, twin.node) == 1 + 16 * units
    else:
        assert prefixes_of_new_eni(snapshot, twin.node) == 0
        assert addresses_of_new_eni(snapshot, twin.node) == 1 + units


def test_given_any_instance_type_then_limits_and_max_pods_are_the_cnis() -> None:
    for kind in table.instance_types():
        assert_limits_are_the_cnis(kind)


def assert_limits_are_the_cnis(kind: str) -> None:
    limits, node = simulated_limits(kind), Node(name="n", instance_type=kind, max_enis=64)
    assert limits is not None, kind
    assert table.instance_limits(kind) == table.InstanceLimits(
        enis=limits.network_card_enis[limits.default_network_card],
        addresses=limits.ips_per_eni,
        network_cards=len(limits.network_card_enis),
        prefixes=limits.prefix_delegation_supported,
        trunk=limits.trunking_compatible,
    ), kind
    # As misc/eni-max-pods.txt of the CNI has it.
    fitting = limits.eni_limit * (limits.ips_per_eni - 1) + 2
    assert pods_that_fit(Cni(), node, custom_networking=False) == fitting, kind
    prefixed = pods_that_fit(Cni(env={"ENABLE_PREFIX_DELEGATION": "true"}), node, custom_networking=False)
    assert prefixed == ((fitting - 2) * 16 + 2 if limits.prefix_delegation_supported else fitting), kind


def test_given_a_type_that_nobody_knows_then_a_sum_over_cards_is_no_limit() -> None:
    eni = NetworkInterface(id="eni-1", subnet_id=SUBNET, primary=True)
    assert table.instance_limits("x99.huge") is None
    assert free_slots(Cni(), Node(name="n", instance_type="x99.huge", max_enis=64, interfaces=(eni,))) is None
    assert free_slots(Cni(), Node(name="n", instance_type="x99.huge", max_enis=8, interfaces=(eni,))) == 7
    assert table.version() == "v1.23.1"
