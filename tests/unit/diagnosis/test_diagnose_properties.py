"""What holds of the diagnosis of any snapshot at all."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ip_remediator.common.enums import Verdict
from ip_remediator.diagnosis.diagnose import diagnose
from ip_remediator.diagnosis.model import CURABLE, Diagnosis
from ip_remediator.signals.error_catalogue import WORDINGS, Cause
from ip_remediator.snapshot.model import Quotas, Snapshot
from ip_remediator.snapshot.model_cluster import Cluster, Cni, EniConfig, NetworkInterface, Node, StuckPod
from ip_remediator.snapshot.model_vpc import Subnet, Vpc

ZONES, SUBNETS, NODES = ("za", "zb", "zc"), ("s1", "s2", "s3", "s4"), ("n1", "n2", "n3", "n4")
VARIABLES = (
    "AWS_VPC_K8S_CNI_CUSTOM_NETWORK_CFG", "ENABLE_PREFIX_DELEGATION", "ENABLE_SUBNET_DISCOVERY", "WARM_IP_TARGET",
    "MINIMUM_IP_TARGET", "WARM_PREFIX_TARGET",
)  # fmt: skip
DISCOVERY = ("kubernetes.io/role/cni", "cni.networking.k8s.aws/cluster/shop", "cni.networking.k8s.aws/cluster/other")


def sometimes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


numbers = st.integers(0, 60)
moments = st.datetimes(
    datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2026-12-31"), timezones=st.sampled_from((None, UTC))
)
words = st.sampled_from([wording.example for wording in WORDINGS]) | st.text(max_size=40)
interfaces = st.builds(
    NetworkInterface,
    id=st.sampled_from(("e1", "e2", "e3")),
    subnet_id=st.sampled_from((*SUBNETS, "s-unknown")),
    primary=st.booleans(),
    addresses=numbers,
    prefixes=st.integers(0, 10),
)
nodes = st.builds(
    Node,
    name=st.sampled_from(NODES),
    zone=sometimes(st.sampled_from(ZONES)),
    instance_type=sometimes(st.just("m5.large")),
    max_enis=sometimes(st.integers(0, 8)),
    addresses_per_eni=sometimes(st.integers(0, 30)),
    max_pods=sometimes(st.integers(0, 250)),
    provisioner=sometimes(st.sampled_from(("managed", "self-managed", "karpenter", "auto", "fargate", "hybrid"))),
    fargate=st.booleans(),
    windows=st.booleans(),
    own_cni=st.booleans(),
    eni_config=sometimes(st.sampled_from(ZONES)),
    interfaces=st.lists(interfaces, max_size=3).map(tuple),
)
served_nodes = nodes.map(lambda node: node.model_copy(update={"fargate": False, "windows": False, "own_cni": False}))
stuck_pods = st.builds(
    StuckPod,
    namespace=st.just("default"),
    name=st.uuids().map(str),
    node=sometimes(st.sampled_from((*NODES, "gone"))),
    since=sometimes(moments),
    message=sometimes(words),
)
subnets = st.builds(
    Subnet,
    id=st.sampled_from(SUBNETS),
    zone=st.sampled_from(ZONES),
    cidr=st.just("10.0.0.0/24"),
    free=sometimes(numbers),
    free_prefixes=sometimes(st.integers(0, 4)),
    full_at=sometimes(moments),
    tags=st.dictionaries(st.sampled_from(DISCOVERY), st.sampled_from(("", "0", "1", "yes"))),
)
eni_configs = st.builds(
    EniConfig, name=st.sampled_from((*ZONES, "default")), subnet=sometimes(st.sampled_from(SUBNETS))
)
cnis = st.builds(
    Cni,
    installed=st.sampled_from((True, True, True, False)),
    version=sometimes(st.sampled_from(("v1.16.0", "v1.19.2-eksbuild.1", "v1.23.1", "nightly", ""))),
    env=st.dictionaries(
        st.sampled_from(VARIABLES), st.sampled_from(("true", "false", "", "0", "1", "5", "-1", "²", "9" * 5000))
    ),
)
clusters = st.builds(
    Cluster,
    name=st.just("shop"),
    ip_family=st.sampled_from(("ipv4", "ipv4", "ipv4", "ipv6")),
    auto_mode=st.sampled_from((False, False, False, True)),
)


def unique(values: st.SearchStrategy[Any], key: str, most: int = 4) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=most, unique_by=lambda value: getattr(value, key)).map(tuple)


def snapshots(of_nodes: st.SearchStrategy[Node] = nodes) -> st.SearchStrategy[Snapshot]:
    return st.builds(
        Snapshot,
        taken_at=sometimes(moments),
        account_id=sometimes(st.sampled_from(("1", "2"))),
        cluster=clusters,
        cni=cnis,
        eni_configs=unique(eni_configs, "name"),
        nodes=unique(of_nodes, "name"),
        stuck_pods=unique(stuck_pods, "name", 6),
        subnets=unique(subnets, "id"),
        vpc=sometimes(st.builds(Vpc, id=st.just("vpc-1"), owner_id=sometimes(st.sampled_from(("1", "2"))))),
        quotas=st.builds(Quotas, applied=st.booleans()),
        unread=st.lists(st.text(max_size=10), max_size=2).map(tuple),
    )


proven = st.sets(st.sampled_from(Cause))


@given(snapshots(), proven)
def test_given_any_snapshot_when_diagnosed_then_it_is_judged_completely_and_alike_every_time(
    snapshot: Snapshot, causes: set[Cause]
) -> None:
    result = diagnose(snapshot, causes)
    assert result == diagnose(Snapshot.model_validate_json(snapshot.model_dump_json()), sorted(causes, reverse=True))
    assert result.summary
    assert Diagnosis.model_validate_json(result.model_dump_json()) == result
    assert len({zone.zone for zone in result.zones}) == len(result.zones)
    judged = [node.name for node in result.nodes]
    if result.verdict is not Verdict.UNSUPPORTED:
        assert sorted(judged) == sorted(node.name for node in snapshot.nodes if node.runs_vpc_cni)
        assert sum(zone.nodes for zone in result.zones) <= len(judged)
    assert bool(result.alternatives) == (result.verdict is not Verdict.RECOVERED)


@given(snapshots(), proven, st.randoms(use_true_random=False))
def test_given_lists_in_another_order_when_diagnosed_then_nothing_differs(
    snapshot: Snapshot, causes: set[Cause], chance: random.Random
) -> None:
    lists = ("nodes", "subnets", "stuck_pods", "eni_configs")
    shuffled = {name: tuple(chance.sample(getattr(snapshot, name), len(getattr(snapshot, name)))) for name in lists}
    assert diagnose(snapshot.model_copy(update=shuffled), causes) == diagnose(snapshot, causes)


def with_more(snapshot: Snapshot, more: int) -> Snapshot:
    """Every subnet has `more` further addresses, in whole /28 as far as those are counted."""
    roomier = tuple(
        subnet.model_copy(
            update={
                "free": None if subnet.free is None else subnet.free + more,
                "free_prefixes": None if subnet.free_prefixes is None else subnet.free_prefixes + more // 16,
            }
        )
        for subnet in snapshot.subnets
    )
    return snapshot.model_copy(update={"subnets": roomier})


@given(snapshots(served_nodes), proven, st.integers(1, 200))
def test_given_more_free_addresses_then_no_zone_becomes_exhausted_that_was_not(
    snapshot: Snapshot, causes: set[Cause], more: int
) -> None:
    before = {zone.zone: zone.verdict for zone in diagnose(snapshot, causes).zones}
    after = diagnose(with_more(snapshot, more), causes)
    for zone in after.zones:
        if zone.verdict is Verdict.SUBNET_EXHAUSTED:
            assert before[zone.zone] in (Verdict.SUBNET_EXHAUSTED, Verdict.CNI_FAULT)
            # Beside a refusal by IAM a shortage counts for less, never the other way round.
            assert before[zone.zone] is Verdict.SUBNET_EXHAUSTED or Cause.CNI_IAM in causes
    if diagnose(snapshot, causes).verdict is Verdict.RECOVERED:
        assert after.verdict is Verdict.RECOVERED


@given(snapshots(served_nodes), proven)
def test_given_no_stuck_pod_then_nothing_is_a_fault_of_nodes_or_cni(snapshot: Snapshot, causes: set[Cause]) -> None:
    calm = snapshot.model_copy(update={"stuck_pods": ()})
    verdict = diagnose(calm, causes).verdict
    assert verdict in (Verdict.RECOVERED, Verdict.SUBNET_EXHAUSTED, Verdict.ENICONFIG_MISSING, Verdict.UNSUPPORTED)


@given(snapshots(served_nodes), proven)
def test_given_stuck_pods_on_known_nodes_then_it_is_never_recovered(snapshot: Snapshot, causes: set[Cause]) -> None:
    names = {node.name for node in snapshot.nodes}
    if any(pod.node in names for pod in snapshot.stuck_pods):
        assert diagnose(snapshot, causes).verdict is not Verdict.RECOVERED


@given(snapshots(served_nodes), proven)
def test_given_a_curable_verdict_then_a_zone_shows_it_or_words_alone_prove_it(
    snapshot: Snapshot, causes: set[Cause]
) -> None:
    result = diagnose(snapshot, causes)
    if result.verdict in CURABLE and result.zones:
        assert (
            result.verdict in {zone.verdict for zone in result.zones}
            or "that the snapshot does not tell" in result.summary
        )


@pytest.mark.parametrize("name", ["_subnets_by_id", "_nodes_by_zone", "_nodes_by_name"])
def test_given_a_snapshot_that_was_looked_things_up_in_when_it_is_copied_then_the_copy_knows_its_own(name: str) -> None:
    first = Snapshot(
        cluster=Cluster(name="shop"),
        nodes=(Node(name="n1", zone="za"),),
        subnets=(Subnet(id="s1", zone="za", cidr="10.0.0.0/24", free=1),),
    )
    assert getattr(first, name)
    for deep in (False, True):
        copied = first.model_copy(update={"nodes": (), "subnets": ()}, deep=deep)
        assert (copied.subnet("s1"), copied.node("n1"), copied.nodes_in("za")) == (None, None, ())
    assert first.subnet("s1")
    assert first == Snapshot.model_validate_json(first.model_dump_json())
