"""The pool decisions of ipamd, against what amazon-vpc-cni-k8s v1.23.1 decides."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cluster.ipamd.decisions import Action, FreeEni, Grow, Memory, Shrink, decide
from local.cluster.ipamd.pool import Eni, Pool
from local.cluster.ipamd.settings import CniSettings, NodeLimits, cni_settings, eni_config_name

T3_MEDIUM = NodeLimits(max_enis=3, slots_per_eni=5, max_pods=17)
NOW = 10_000.0


def eni(index: int, count: int, **changes: object) -> Eni:
    cidrs = [IPv4Network(f"10.0.{index}.{host}") for host in range(10, 10 + count)]
    return Eni(f"eni-{index}", index == 0, index, "subnet-1", cidrs=cidrs, **changes)  # type: ignore[arg-type]


def pool_of(*enis: Eni, pods: int = 0, prefixes: bool = False) -> Pool:
    pool = Pool(prefixes=prefixes)
    pool.enis = {item.id: item for item in enis}
    for number in range(pods):
        assert pool.assign(f"pod-{number}", NOW - 1000) is not None
    return pool


def actions(pool: Pool, settings: CniSettings, limits: NodeLimits = T3_MEDIUM, now: float = NOW) -> list[Action]:
    return decide(pool, settings, limits, Memory(), now)


def test_given_a_full_spare_eni_when_deciding_then_nothing_is_done() -> None:
    assert actions(pool_of(eni(0, 5)), CniSettings()) == []


def test_given_one_pod_on_the_only_eni_when_deciding_then_a_second_eni_is_wanted() -> None:
    [grow] = actions(pool_of(eni(0, 5), pods=1), CniSettings())
    assert isinstance(grow, Grow)
    assert grow.on_enis == ()
    assert grow.on_new_eni == 5


def test_given_room_on_the_primary_eni_when_low_then_it_is_filled_first() -> None:
    [grow] = actions(pool_of(eni(0, 2)), CniSettings())
    assert isinstance(grow, Grow)
    assert grow.on_enis == (("eni-0", 3),)


def test_given_custom_networking_when_low_then_the_primary_eni_gets_nothing_more() -> None:
    [grow] = actions(pool_of(eni(0, 2)), CniSettings(custom_networking=True))
    assert isinstance(grow, Grow)
    assert grow.on_enis == ()
    assert grow.on_new_eni == 5


def test_given_no_eni_slot_when_low_then_no_new_eni_is_wanted() -> None:
    full = pool_of(eni(0, 5), eni(1, 5), eni(2, 5), pods=14)
    [grow] = actions(full, CniSettings())
    assert isinstance(grow, Grow)
    assert grow.on_new_eni == 0


def test_given_as_many_addresses_as_max_pods_when_none_is_free_then_the_pool_is_not_low() -> None:
    full = pool_of(eni(0, 5), eni(1, 5), pods=10)
    assert actions(full, CniSettings(), NodeLimits(3, 5, max_pods=10)) == []


def test_given_the_default_warm_eni_target_when_a_second_eni_is_empty_then_it_is_kept() -> None:
    """Five spare addresses are exactly one warm ENI: ENIs of a new range stay after the pods left."""
    assert actions(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings()) == []


def test_given_two_enis_worth_of_spare_addresses_when_deciding_then_an_empty_one_is_freed() -> None:
    [free] = actions(pool_of(eni(0, 5), eni(1, 5)), CniSettings())
    assert isinstance(free, FreeEni)
    assert free.eni_id == "eni-1"


def test_given_warm_eni_target_zero_when_a_second_eni_is_empty_then_it_is_freed() -> None:
    [free] = actions(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings(warm_eni_target=0))
    assert isinstance(free, FreeEni)


def test_given_a_minimum_ip_target_when_an_eni_is_empty_then_addresses_and_eni_go() -> None:
    shrink, free = actions(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings(minimum_ip_target=1))
    assert isinstance(shrink, Shrink)
    assert sum(len(cidrs) for _, cidrs in shrink.cidrs) == 5
    assert isinstance(free, FreeEni)


@pytest.mark.parametrize(
    ("age", "freed"), [(59.0, False), (61.0, True)], ids=["younger than a minute", "older than a minute"]
)
def test_given_an_empty_eni_when_deciding_then_its_age_counts(age: float, freed: bool) -> None:
    pool = pool_of(eni(0, 5), eni(1, 5, added_at=NOW - age))
    assert bool(actions(pool, CniSettings())) is freed


@pytest.mark.parametrize(("seconds_ago", "freed"), [(29.0, False), (31.0, True)])
def test_given_an_address_in_cool_down_when_deciding_then_its_eni_is_kept(seconds_ago: float, freed: bool) -> None:
    pool = pool_of(eni(0, 5), eni(1, 5), pods=6)
    pool.release("pod-5", NOW - seconds_ago)
    found = actions(pool, CniSettings(warm_eni_target=0))
    assert any(isinstance(action, FreeEni) for action in found) is freed


def test_given_a_warm_ip_target_when_low_then_only_the_shortage_is_asked_for() -> None:
    [grow] = actions(pool_of(eni(0, 3), pods=3), CniSettings(warm_ip_target=2))
    assert isinstance(grow, Grow)
    assert grow.on_enis == (("eni-0", 2),)


def test_given_prefix_mode_when_the_only_prefix_is_used_then_one_more_prefix_is_wanted() -> None:
    primary = Eni("eni-0", True, 0, "subnet-1", cidrs=[IPv4Network("10.0.0.16/28")])
    pool = pool_of(primary, pods=1, prefixes=True)
    [grow] = actions(pool, CniSettings(prefix_delegation=True, warm_prefix_target=1), NodeLimits(3, 5, 110))
    assert isinstance(grow, Grow)
    assert grow.on_enis == (("eni-0", 1),)


def test_given_an_excluded_eni_when_assigning_then_its_addresses_are_not_used_nor_counted() -> None:
    pool = pool_of(eni(0, 1), eni(1, 5, excluded=True))
    assert pool.assign("a", NOW) is not None
    assert pool.assign("b", NOW) is None
    assert pool.stats(NOW).total == 1


settings = st.builds(
    CniSettings,
    warm_eni_target=st.integers(0, 2),
    warm_ip_target=st.integers(0, 8),
    minimum_ip_target=st.integers(0, 12),
    custom_networking=st.booleans(),
)


@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=3), data=st.data(), chosen=settings)
def test_no_decision_ever_touches_a_pod_or_exceeds_the_instance(
    sizes: list[int], data: st.DataObject, chosen: CniSettings
) -> None:
    pods = data.draw(st.integers(0, sum(sizes)))
    pool = pool_of(*(eni(index, size) for index, size in enumerate(sizes)), pods=pods)
    for action in actions(pool, chosen):
        if isinstance(action, Grow):
            assert all(0 < count <= 5 - len(pool.enis[name].cidrs) for name, count in action.on_enis)
            assert 0 <= action.on_new_eni <= 5
            assert action.on_new_eni == 0 or len(pool.enis) < T3_MEDIUM.max_enis
        elif isinstance(action, Shrink):
            freed = [cidr for _, cidrs in action.cidrs for cidr in cidrs]
            assert not any(pool.assigned_in(cidr) for cidr in freed)
            assert pool.stats(NOW).total - len(freed) >= chosen.minimum_ip_target
        else:
            assert not pool.enis[action.eni_id].primary
            assert not pool.has_pods(pool.enis[action.eni_id])


@given(st.lists(st.tuples(st.sampled_from(["assign", "release"]), st.integers(0, 8), st.floats(0, 40))))
def test_no_two_sandboxes_share_an_address_and_none_is_reused_within_its_cool_down(
    steps: list[tuple[str, int, float]],
) -> None:
    pool, now = pool_of(eni(0, 5)), 0.0
    released: dict[object, float] = {}
    for step, number, passed in steps:
        now += passed
        if step == "release":
            address = pool.release(f"pod-{number}", now)
            if address is not None:
                released[address] = now
            continue
        held_before = f"pod-{number}" in pool.assigned.values()
        address = pool.assign(f"pod-{number}", now)
        if address is not None and not held_before:
            assert now - released.get(address, float("-inf")) > 30.0
        assert len(set(pool.assigned)) == len(set(pool.assigned.values()))


@pytest.mark.parametrize(
    ("labels", "annotations", "expected"),
    [
        ({}, {}, "default"),
        ({"topology.kubernetes.io/zone": "a"}, {}, "a"),
        ({"topology.kubernetes.io/zone": "a"}, {"k8s.amazonaws.com/eniConfig": "b"}, "b"),
        ({"vpc.amazonaws.com/externalEniConfig": "c"}, {"k8s.amazonaws.com/eniConfig": "b"}, "c"),
    ],
)
def test_the_eniconfig_is_named_by_external_label_then_annotation_then_label(
    labels: dict[str, str], annotations: dict[str, str], expected: str
) -> None:
    given_settings = cni_settings({"ENI_CONFIG_LABEL_DEF": "topology.kubernetes.io/zone"})
    assert eni_config_name(given_settings, labels, annotations) == expected


def test_settings_which_are_no_numbers_or_negative_count_as_not_set() -> None:
    read = cni_settings({"WARM_ENI_TARGET": "many", "WARM_IP_TARGET": "-1", "ENABLE_SUBNET_DISCOVERY": "maybe"})
    assert read == CniSettings()
