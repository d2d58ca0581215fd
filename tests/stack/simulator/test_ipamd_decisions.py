"""The pool decisions of ipamd, against what amazon-vpc-cni-k8s v1.23.1 decides."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.cluster.ipamd import decisions
from local.cluster.ipamd.management import NO_MANAGE_TAG, NODE_TAG, AttachedEni, managed
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


@dataclass(frozen=True)
class Round:
    """What one round of the pool monitor would do."""

    low: bool
    on_enis: list[tuple[str, int]]
    on_new_eni: int
    given_back: list[tuple[str, list[IPv4Network]]]
    freed: str | None


def decide(pool: Pool, settings: CniSettings, limits: NodeLimits = T3_MEDIUM, now: float = NOW) -> Round:
    stats = pool.stats(now)
    low = decisions.is_too_low(pool, stats, settings, limits)
    room = decisions.has_room_for_eni(pool, settings, limits)
    extra = decisions.may_have_extra_enis(pool, stats, settings, limits)
    freed = decisions.deletable_eni(pool, settings, now) if extra else None
    return Round(
        low=low,
        on_enis=decisions.on_existing_enis(pool, stats, settings, limits) if low else [],
        on_new_eni=decisions.on_new_eni(pool, stats, settings, limits) if low and room else 0,
        given_back=[] if low else decisions.freeable(pool, decisions.units_over(pool, stats, settings)),
        freed=freed.id if freed else None,
    )


def test_given_a_full_spare_eni_when_deciding_then_nothing_is_done() -> None:
    assert decide(pool_of(eni(0, 5)), CniSettings()) == Round(
        low=False, on_enis=[], on_new_eni=0, given_back=[], freed=None
    )


def test_given_one_pod_on_the_only_eni_when_deciding_then_a_second_eni_is_wanted() -> None:
    result = decide(pool_of(eni(0, 5), pods=1), CniSettings())
    assert (result.low, result.on_enis, result.on_new_eni) == (True, [], 5)


def test_given_room_on_the_primary_eni_when_low_then_it_is_filled_first() -> None:
    assert decide(pool_of(eni(0, 2)), CniSettings()).on_enis == [("eni-0", 3)]


def test_given_custom_networking_when_low_then_the_primary_eni_gets_nothing_more() -> None:
    result = decide(pool_of(eni(0, 2)), CniSettings(custom_networking=True))
    assert (result.on_enis, result.on_new_eni) == ([], 5)


def test_given_no_eni_slot_when_low_then_no_new_eni_is_wanted() -> None:
    result = decide(pool_of(eni(0, 5), eni(1, 5), eni(2, 5), pods=14), CniSettings())
    assert (result.low, result.on_new_eni) == (True, 0)


@pytest.mark.parametrize(
    ("settings", "limits", "room"),
    [
        (CniSettings(), NodeLimits(3, 5, 17), True),
        (CniSettings(), NodeLimits(3, 5, 17, unmanaged_enis=1), False),
        (CniSettings(pod_eni=True), NodeLimits(3, 5, 17), False),
        (CniSettings(pod_eni=True), NodeLimits(3, 5, 17, trunking_compatible=False), True),
    ],
    ids=["free slot", "taken by an unmanaged ENI", "kept for the trunk ENI", "no trunk ENI possible"],
)
def test_given_two_enis_of_three_then_the_last_slot_is_used_only_if_nobody_else_needs_it(
    settings: CniSettings, limits: NodeLimits, room: bool
) -> None:
    assert decisions.has_room_for_eni(pool_of(eni(0, 5), eni(1, 5)), settings, limits) is room


def test_given_an_attached_trunk_eni_then_it_fills_its_slot_gets_no_addresses_and_is_never_freed() -> None:
    pool = pool_of(eni(0, 5), eni(1, 0, trunk=True), pods=5)
    result = decide(pool, CniSettings(pod_eni=True))
    assert (result.on_enis, result.on_new_eni) == ([], 5)
    assert decide(pool, CniSettings(minimum_ip_target=1)).freed is None


def test_given_as_many_addresses_as_max_pods_when_none_is_free_then_the_pool_is_not_low() -> None:
    full = pool_of(eni(0, 5), eni(1, 5), pods=10)
    assert not decide(full, CniSettings(), NodeLimits(3, 5, max_pods=10)).low


def test_given_the_default_warm_eni_target_when_a_second_eni_is_empty_then_it_is_kept() -> None:
    """Five spare addresses are exactly one warm ENI: ENIs of a new range stay after the pods left."""
    assert decide(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings()).freed is None


def test_given_two_enis_worth_of_spare_addresses_when_deciding_then_an_empty_one_is_freed() -> None:
    assert decide(pool_of(eni(0, 5), eni(1, 5)), CniSettings()).freed == "eni-1"


def test_given_warm_eni_target_zero_when_a_second_eni_is_empty_then_it_is_freed() -> None:
    assert decide(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings(warm_eni_target=0)).freed == "eni-1"


def test_given_a_minimum_ip_target_when_an_eni_is_empty_then_addresses_and_eni_go() -> None:
    result = decide(pool_of(eni(0, 5), eni(1, 5), pods=5), CniSettings(minimum_ip_target=1))
    assert sum(len(cidrs) for _, cidrs in result.given_back) == 5
    assert result.freed == "eni-1"


@pytest.mark.parametrize(("age", "freed"), [(59.0, None), (61.0, "eni-1")], ids=["under a minute", "over a minute"])
def test_given_an_empty_eni_when_deciding_then_its_age_counts(age: float, freed: str | None) -> None:
    assert decide(pool_of(eni(0, 5), eni(1, 5, added_at=NOW - age)), CniSettings()).freed == freed


@pytest.mark.parametrize(("seconds_ago", "freed"), [(29.0, None), (31.0, "eni-1")])
def test_given_an_address_in_cool_down_when_deciding_then_its_eni_is_kept(
    seconds_ago: float, freed: str | None
) -> None:
    pool = pool_of(eni(0, 5), eni(1, 5), pods=6)
    pool.release("pod-5", NOW - seconds_ago)
    assert decide(pool, CniSettings(warm_eni_target=0)).freed == freed


def test_given_an_address_in_cool_down_then_it_counts_as_available_although_no_pod_can_have_it() -> None:
    pool = pool_of(eni(0, 1), pods=1)
    pool.release("pod-0", NOW)
    assert pool.stats(NOW).available == 1
    assert pool.assign("pod-1", NOW) is None


def test_given_a_cool_down_period_then_addresses_come_back_after_it() -> None:
    pool = Pool(prefixes=False, cooldown_seconds=float(cni_settings({"IP_COOLDOWN_PERIOD": "5"}).cooldown_seconds))
    pool.enis = {"eni-0": eni(0, 1)}
    address = pool.assign("a", NOW)
    pool.release("a", NOW)
    assert pool.assign("b", NOW + 4) is None
    assert pool.assign("b", NOW + 6) == address


def test_given_a_warm_ip_target_when_low_then_only_the_shortage_is_asked_for() -> None:
    assert decide(pool_of(eni(0, 3), pods=3), CniSettings(warm_ip_target=2)).on_enis == [("eni-0", 2)]


def test_given_prefix_mode_when_the_only_prefix_is_used_then_one_more_prefix_is_wanted() -> None:
    primary = Eni("eni-0", True, 0, "subnet-1", cidrs=[IPv4Network("10.0.0.16/28")])
    pool = pool_of(primary, pods=1, prefixes=True)
    wanted = decide(pool, CniSettings(prefix_delegation=True, warm_prefix_target=1), NodeLimits(3, 5, 110))
    assert wanted.on_enis == [("eni-0", 1)]


@pytest.mark.parametrize(("warm", "kept"), [(0, 1), (1, 2), (2, 3)])
def test_given_free_prefixes_then_those_over_the_warm_target_are_given_back_even_when_that_is_zero(
    warm: int, kept: int
) -> None:
    prefixes = [IPv4Network(f"10.0.0.{start}/28") for start in (16, 32, 48)]
    pool = pool_of(Eni("eni-0", True, 0, "subnet-1", cidrs=prefixes), pods=1, prefixes=True)
    result = decide(pool, CniSettings(prefix_delegation=True, warm_prefix_target=warm), NodeLimits(3, 5, 110))
    assert 3 - sum(len(cidrs) for _, cidrs in result.given_back) == kept


def test_given_an_excluded_eni_when_assigning_then_its_addresses_are_not_used_nor_counted() -> None:
    pool = pool_of(eni(0, 1), eni(1, 5, excluded=True))
    assert pool.assign("a", NOW) is not None
    assert pool.assign("b", NOW) is None
    assert pool.stats(NOW).total == 1


@pytest.mark.parametrize(("managed_anyway", "may"), [(False, False), (True, True)])
def test_given_a_cordoned_node_then_enis_are_attached_and_freed_only_if_the_setting_says_so(
    managed_anyway: bool, may: bool
) -> None:
    chosen = CniSettings(manage_enis_when_cordoned=managed_anyway)
    assert decisions.may_attach(chosen, cordoned=True) is may
    assert decisions.may_attach(chosen, cordoned=False) is True


@pytest.mark.parametrize(
    ("one", "settings", "kept"),
    [
        ({}, CniSettings(), True),
        ({"tags": {NO_MANAGE_TAG: "true"}}, CniSettings(), False),
        ({"tags": {NO_MANAGE_TAG: "false"}}, CniSettings(manage_untagged_enis=False), True),
        ({"tags": {NO_MANAGE_TAG: "true"}}, CniSettings(imds_only=True), True),
        ({}, CniSettings(manage_untagged_enis=False), False),
        ({"tags": {NODE_TAG: "i-1"}}, CniSettings(manage_untagged_enis=False), True),
        ({"tags": {NODE_TAG: "i-2"}}, CniSettings(manage_untagged_enis=False), False),
        ({"kind": "efa-only"}, CniSettings(), False),
        ({"kind": "efa"}, CniSettings(), True),
        ({"kind": "trunk"}, CniSettings(), True),
    ],
)
def test_given_an_attached_eni_then_tags_and_type_decide_whether_it_is_managed(
    one: dict[str, Any], settings: CniSettings, kept: bool
) -> None:
    primary = AttachedEni(eni(0, 5), tags={NO_MANAGE_TAG: "true"})
    result, others = managed([primary, AttachedEni(eni(1, 5), **one)], settings, "i-1")
    assert [item.eni.id for item in result] == (["eni-0", "eni-1"] if kept else ["eni-0"])
    assert others == (0 if kept else 1)


def test_given_an_eni_on_another_network_card_then_it_is_left_alone_and_takes_no_slot() -> None:
    result, others = managed([AttachedEni(eni(0, 5)), AttachedEni(eni(1, 5), card=1)], CniSettings(), "i-1")
    assert ([item.eni.id for item in result], others) == (["eni-0"], 0)


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
    result = decide(pool, chosen)
    assert all(0 < count <= 5 - len(pool.enis[name].cidrs) for name, count in result.on_enis)
    assert 0 <= result.on_new_eni <= 5
    assert result.on_new_eni == 0 or len(pool.enis) < T3_MEDIUM.max_enis
    given_back = [cidr for _, cidrs in result.given_back for cidr in cidrs]
    assert not any(pool.assigned_in(cidr) for cidr in given_back)
    assert not given_back or pool.stats(NOW).total - len(given_back) >= chosen.minimum_ip_target
    if result.freed is not None:
        assert not pool.enis[result.freed].primary
        assert not pool.has_pods(pool.enis[result.freed])


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


@pytest.mark.parametrize("text", ["1", "t", "T", "TRUE", "true", "True"])
def test_booleans_are_those_of_gos_parse_bool(text: str) -> None:
    assert cni_settings({"AWS_MANAGE_ENIS_NON_SCHEDULABLE": text}).manage_enis_when_cordoned is True


@pytest.mark.parametrize("text", ["yes", "on", "tRuE", " true", "", "2", "\uff54"])
def test_what_parse_bool_refuses_counts_as_not_set(text: str) -> None:
    read = cni_settings({"ENABLE_SUBNET_DISCOVERY": text, "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG": text})
    assert (read.subnet_discovery, read.custom_networking) == (True, False)


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("+3", 3), ("03", 3), ("-1", 1), (" 3", 1), ("1_0", 1), ("٣", 1), ("3.0", 1), ("9" * 30, 1), ("", 1)],
)
def test_numbers_are_those_of_gos_atoi_and_not_negative(text: str, value: int) -> None:
    assert cni_settings({"WARM_ENI_TARGET": text}).warm_eni_target == value


@pytest.mark.parametrize("name", ["DISABLE_NETWORK_RESOURCE_PROVISIONING", "ENABLE_IMDS_ONLY_MODE"])
def test_provisioning_is_off_by_either_variable(name: str) -> None:
    assert cni_settings({name: "true"}).provisioning is False
    assert cni_settings({name: "false"}).provisioning is True


def test_a_label_or_annotation_without_value_still_names_the_eniconfig() -> None:
    labels = {"k8s.amazonaws.com/eniConfig": "a"}
    assert eni_config_name(CniSettings(), labels, {"k8s.amazonaws.com/eniConfig": ""}) == ""
